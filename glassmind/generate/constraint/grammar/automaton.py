"""The machine that is run: deterministic, over bytes, without dead ends.

A network may be in many states at once. The subset construction (Rabin and Scott 1959) makes each
set of states that can come up one state of a new machine, which is then in exactly one: a step is a
table look-up. In the worst case there are exponentially many sets (``(a|b)*a(a|b){20}``), hence
the bounds.

Bytes that no edge of the network tells apart share a column of the table (a *class*): JSON takes
some 50 columns instead of 256. States from which no end can be reached are cut off; stepping
there gives ``DEAD``. So in this machine every state but ``DEAD`` can still come to a match.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar.network import Network, too_large
from glassmind.generate.constraint.grammar.tree import Node

DEAD = 0
MAX_STATES = 60_000
MAX_WORK = 1_000_000  # members of sets looked at: a second or two


@dataclass(frozen=True, eq=False)
class Automaton:
    """``table[state, class_of_byte[byte]]`` is the next state: int32 (states, classes), and int64
    (256,). ``accepting`` is bool (states,). State 0 is ``DEAD``."""

    table: NDArray[np.int32]
    class_of_byte: NDArray[np.int64]
    accepting: NDArray[np.bool_]
    start: int

    def run(self, state: int, data: bytes) -> int:
        """The state after ``data``."""
        for byte in data:
            state = int(self.table[state, self.class_of_byte[byte]])
        return state

    def accepts(self, data: bytes) -> bool:
        """Whether ``data`` as a whole is in the language."""
        return bool(self.accepting[self.run(self.start, data)])

    def used_bytes(self) -> frozenset[int]:
        """The bytes that some string of the language has."""
        used = (self.table != DEAD).any(0)[self.class_of_byte]
        return frozenset(np.flatnonzero(used).tolist())

    def without_lead(self, lead: bytes) -> Automaton:
        """The language of strings that are in this one after ``removeprefix(lead)``.

        Some tokenizers put a space in front of every text and take it away in decoding; what the
        model writes may or may not begin with it.
        """
        if not lead:
            return self
        table, class_of_byte = self.table, self.class_of_byte.copy()
        for byte in set(lead):  # each needs a column of its own
            table = np.hstack([table, table[:, class_of_byte[byte], None]])
            class_of_byte[byte] = table.shape[1] - 1
        # New state i: the first i bytes of the lead have been read, and may yet turn out to be
        # the beginning of the text itself.
        first = len(table)
        before = [self.run(self.start, lead[:i]) for i in range(len(lead))]
        rows = table[before].copy()
        for i, byte in enumerate(lead):
            rows[i, class_of_byte[byte]] = first + i + 1 if i + 1 < len(lead) else self.start
        accepting = np.concatenate([self.accepting, self.accepting[before]])
        return Automaton(np.vstack([table, rows]), class_of_byte, accepting, first)


def automaton(tree: Node) -> Automaton:
    """The machine for a language.

    Raises:
        UserError: it would be too large, or the language has no string at all.
    """
    net = Network()
    start, end = net.state(), net.state()
    tree.lay(net, start, end)
    return _Determinizer(net, end).run(start)


class _Determinizer:
    """The subset construction over one network."""

    def __init__(self, net: Network, end: int) -> None:
        self.net, self.end = net, end
        self.work = MAX_WORK
        masks = sorted({byte_set for edges in net.edges for byte_set, _ in edges})
        packed = b"".join(mask.to_bytes(32, "little") for mask in masks)
        bits = np.frombuffer(packed, np.uint8).reshape(len(masks), 32)
        members = np.unpackbits(bits, axis=1, bitorder="little")  # (masks, 256)
        _, first, self.class_of_byte = np.unique(
            members, axis=1, return_index=True, return_inverse=True
        )
        self.n_classes = len(first)
        self.classes = {
            mask: np.flatnonzero(row[first]).tolist()
            for mask, row in zip(masks, members, strict=True)
        }
        self.closures: dict[frozenset[int], frozenset[int]] = {}
        self.index: dict[frozenset[int], int] = {}
        self.queue: list[frozenset[int]] = [frozenset()]  # state 0, DEAD, is the empty set

    def run(self, start: int) -> Automaton:
        first = self._number(frozenset([start]))
        states: list[int] = []
        classes: list[int] = []
        targets: list[int] = []
        state = first
        while state < len(self.queue):
            for byte_class, target in self._moves(self.queue[state]):
                states.append(state)
                classes.append(byte_class)
                targets.append(target)
            state += 1
        table = np.zeros((len(self.queue), self.n_classes), np.int32)
        table[states, classes] = targets
        accepting = np.array([self.end in members for members in self.queue])
        live = reaching(accepting, np.array(states, np.int64), np.array(targets, np.int64))
        if not live[first]:
            raise UserError("no text at all matches the pattern or schema")
        table[~live[table]] = DEAD
        return Automaton(table, self.class_of_byte.reshape(256).astype(np.int64), accepting, first)

    def _moves(self, members: frozenset[int]) -> list[tuple[int, int]]:
        """(class, next state) for every class that leads somewhere."""
        edges = [edge for member in members for edge in self.net.edges[member]]
        self._spend(len(edges) + len(members))
        if len(edges) == 1:
            byte_set, target = edges[0]
            number = self._number(frozenset([target]))
            return [(byte_class, number) for byte_class in self.classes[byte_set]]
        targets: dict[int, set[int]] = {}
        for byte_set, target in edges:
            byte_classes = self.classes[byte_set]
            self._spend(len(byte_classes))
            for byte_class in byte_classes:
                targets.setdefault(byte_class, set()).add(target)
        return [(byte_class, self._number(frozenset(to))) for byte_class, to in targets.items()]

    def _number(self, members: frozenset[int]) -> int:
        """The state for these and whatever they reach freely."""
        closure = self.closures.get(members)
        if closure is None:
            closure = self.closures[members] = self._closure(members)
        number = self.index.get(closure)
        if number is None:
            number = self.index[closure] = len(self.queue)
            if number >= MAX_STATES:
                raise too_large()
            self.queue.append(closure)
        return number

    def _closure(self, members: frozenset[int]) -> frozenset[int]:
        """What is reached freely, as far as it matters: states with edges, and the end."""
        seen, todo = set(members), list(members)
        for member in todo:  # grows while it is read
            for target in self.net.free[member]:
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        self._spend(len(todo))
        return frozenset(member for member in todo if self.net.edges[member] or member == self.end)

    def _spend(self, work: int) -> None:
        self.work -= work
        if self.work < 0:
            raise too_large()


def reaching(
    goal: NDArray[np.bool_], states: NDArray[np.int64], targets: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """From which states a goal can be reached by the steps ``states[i] -> targets[i]``: bool."""
    order = np.argsort(targets, kind="stable")
    into = states[order].tolist()
    begins = np.searchsorted(targets[order], np.arange(len(goal) + 1)).tolist()
    live = goal.tolist()
    todo = np.flatnonzero(goal).tolist()
    for state in todo:  # grows while it is read
        for before in into[begins[state] : begins[state + 1]]:
            if not live[before]:
                live[before] = True
                todo.append(before)
    return np.array(live)
