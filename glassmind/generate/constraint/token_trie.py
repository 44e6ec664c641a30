"""All tokens of a vocabulary, sorted by how they begin, and walked by a machine at once.

Which tokens may come next? Trying each of 50,000 against the automaton costs some 300,000 steps.
Tokens share their beginnings, though (``th``, ``the``, ``there``): in the tree of beginnings, a
*trie*, there are 98,000 nodes for GPT-2. The tree is kept as arrays, level by level, so that a
level is a few numpy calls and all of them half a millisecond. (Looking only at what the machine
has not refused yet is less work, but more calls: it was not faster.)
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glassmind.generate.constraint.grammar.automaton import Automaton


class TokenTrie:
    """Nodes are numbered level by level; node 0 is the empty beginning. ``parent`` and ``byte``
    lead to a node; level i are the nodes from ``levels[i]`` to ``levels[i + 1] - 1``."""

    def __init__(self, token_bytes: Sequence[bytes | None]) -> None:
        token_ids = [token_id for token_id, data in enumerate(token_bytes) if data]
        spelled = [data for data in token_bytes if data]
        letters = np.frombuffer(b"".join(spelled), np.uint8).astype(np.int64)
        length = np.array([len(data) for data in spelled], np.int64)
        begin = np.cumsum(length) - length
        node = np.zeros(len(spelled), np.int64)  # where each token has got to
        parents, bytes_ = [np.zeros(1, np.int64)], [np.zeros(1, np.int64)]
        self.levels = [0, 1]
        going, depth = np.flatnonzero(length), 0
        while len(going):
            step = node[going] * 256 + letters[begin[going] + depth]
            new, number = np.unique(step, return_inverse=True)
            node[going] = self.levels[-1] + number
            parents.append(new >> 8)
            bytes_.append(new & 255)
            self.levels.append(self.levels[-1] + len(new))
            depth += 1
            going = going[length[going] > depth]
        self.parent, self.byte = np.concatenate(parents), np.concatenate(bytes_)
        # Ids without bytes have a node behind the last, where nothing ever arrives.
        self.node_of_id = np.full(len(token_bytes), len(self.byte))
        self.node_of_id[token_ids] = node

    def after(self, automaton: Automaton, state: int) -> NDArray[np.int32]:
        """The automaton's state after each token, from ``state``: int32 (V,), ``DEAD`` for tokens
        that lead nowhere or have no bytes."""
        step = automaton.class_of_byte.take(self.byte)
        n_classes = automaton.table.shape[1]
        reached = np.zeros(len(self.byte) + 1, np.int32)
        reached[0] = state
        for begin, end in itertools.pairwise(self.levels[1:]):
            row = reached.take(self.parent[begin:end]) * n_classes
            states = automaton.table.take(row + step[begin:end])
            if not states.any():
                break
            reached[begin:end] = states
        return reached.take(self.node_of_id)
