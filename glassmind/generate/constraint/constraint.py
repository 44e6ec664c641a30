"""Constrained output: only tokens that can still become what was asked for.

    constraint = RegexConstraint(r"(yes|no), because [^\\n]{1,200}", Vocabulary.of(tokenizer))
    SamplingParams(max_new_tokens=100, constraint=constraint)

A pattern or a JSON schema becomes a state machine over bytes (``grammar``). A row of the batch is
at each moment in one state of it, and a token is allowed if its bytes lead from there to a state
from which a match can be completed; the end of the text is allowed where the machine accepts. The
logits of all other tokens are masked before sampling (Willard and Louf 2023, arXiv 2307.09702).
They work out the masks of all states beforehand; here a mask is made when a row first comes to its
state, and kept.

So whatever the model wants to say, an output that finishes matches; one that is cut off by its
length is the beginning of a match. What must match is what ``decode_bytes`` makes of the output
alone, without the prompt.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar.automaton import DEAD, Automaton, automaton, reaching
from glassmind.generate.constraint.grammar.json_schema import read_schema
from glassmind.generate.constraint.grammar.json_values import any_object
from glassmind.generate.constraint.grammar.regex_parser import parse_regex
from glassmind.generate.constraint.grammar.tree import Node
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.token_hook import NOTHING, Reaction, TokenHook

JSON_DEPTH = 6
"""How deep arrays and objects nest in ``JSONObjectConstraint``, the outermost included."""

MASK_BYTES = 32 << 20  # of masks remembered for one constraint
MAX_STEPS = 300_000_000  # tokens · states looked at for a vocabulary without all bytes: seconds

FINISHED = Reaction(finished=True)


class Constraint(Protocol):
    """What an output has to be; immutable, so that many requests can share one."""

    def begin(self) -> TokenHook:
        """Follows one new output."""
        ...


class LanguageConstraint:
    """The output is a string of a language.

    Raises ``UserError`` where the language would take too large a machine, has no string, or has
    none that the vocabulary can spell and end.
    """

    def __init__(self, language: Node, vocabulary: Vocabulary) -> None:
        if not vocabulary.end_ids:
            raise UserError(
                "a constraint needs to know how a text ends, and the vocabulary names no end token"
            )
        self.vocabulary = vocabulary
        self.automaton: Automaton = automaton(language).without_lead(vocabulary.lead)
        self._ends = torch.tensor(sorted(vocabulary.end_ids))
        self._live = self._find_live()
        self._masks: OrderedDict[int, Tensor] = OrderedDict()
        self._most_masks = max(1, MASK_BYTES // len(vocabulary))

    def begin(self) -> TokenHook:
        """Follows one new output."""
        return _Follower(self)

    def mask(self, state: int) -> Tensor:
        """Which tokens may come in a state: bool (V,); the same tensor while it is remembered."""
        mask = self._masks.get(state)
        if mask is not None:
            self._masks.move_to_end(state)
            return mask
        after = self.vocabulary.trie.after(self.automaton, state)
        mask = torch.from_numpy(after != DEAD if self._live is None else self._live[after])
        mask[self._ends] = bool(self.automaton.accepting[state])
        self._masks[state] = mask
        if len(self._masks) > self._most_masks:
            self._masks.popitem(last=False)
        return mask

    def step(self, state: int, token_id: int) -> int:
        """The state after a token; ``DEAD`` if it is not allowed."""
        data = self.vocabulary.token_bytes[token_id]
        if data is None:
            return DEAD
        after = self.automaton.run(state, data)
        return after if self._live is None or self._live[after] else DEAD

    def is_complete(self, state: int) -> bool:
        """Whether nothing but the end may follow."""
        if not self.automaton.accepting[state]:
            return False
        follows = self.automaton.table[state]
        if self._live is None or not follows.any():
            return not follows.any()
        return int(self.mask(state).sum()) == len(self._ends)

    def _find_live(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
        """States from which the *vocabulary* can come to a match: bool (states,).

        ``None``: all but ``DEAD``, certainly, since every byte needed is a token. Where not, as
        with WordPiece, a state may be a dead end although bytes lead on, and the tokens of every
        state have to be looked at beforehand.
        """
        machine, trie = self.automaton, self.vocabulary.trie
        if machine.used_bytes() <= self.vocabulary.single_bytes:
            return None
        n_states = len(machine.accepting)
        if n_states * len(self.vocabulary) > MAX_STEPS:
            raise UserError(
                f"the tokenizer has no token for each byte, and the pattern or schema has "
                f"{n_states} states: too many to find its dead ends; lower the counts in it"
            )
        targets = [np.unique(trie.after(machine, state)) for state in range(1, n_states)]
        states = np.repeat(np.arange(1, n_states), [len(found) for found in targets])
        live = reaching(machine.accepting, states, np.concatenate(targets).astype(np.int64))
        if not live[machine.start]:
            raise UserError("the tokenizer has no tokens that could spell what is asked for")
        return live


class _Follower:
    """Follows one output."""

    def __init__(self, constraint: LanguageConstraint) -> None:
        self._constraint = constraint
        self._state = constraint.automaton.start

    def allowed(self) -> Tensor:
        """Which tokens may come next: bool (V,), not to be written to."""
        return self._constraint.mask(self._state)

    def see(self, token_id: int) -> Reaction:
        """Finished after an end token, and as soon as nothing but the end may follow.

        Raises ``ValueError`` for a token that was not allowed.
        """
        constraint = self._constraint
        if token_id in constraint.vocabulary.end_ids:
            if not constraint.automaton.accepting[self._state]:
                raise ValueError(f"the end token {token_id} came before a match was complete")
            return FINISHED
        self._state = constraint.step(self._state, token_id)
        if self._state == DEAD:
            raise ValueError(f"the token {token_id} was not allowed")
        return FINISHED if constraint.is_complete(self._state) else NOTHING


class RegexConstraint(LanguageConstraint):
    """The whole output matches a regular expression (``grammar/regex_parser.py`` says which).

    Raises ``UserError`` for a pattern that is malformed or not supported.
    """

    def __init__(self, pattern: str, vocabulary: Vocabulary) -> None:
        super().__init__(parse_regex(pattern), vocabulary)


class JSONSchemaConstraint(LanguageConstraint):
    """The output is JSON that validates against ``schema``, a schema as ``json.loads`` gives it
    (``grammar/json_schema.py`` says what it may contain).

    Raises ``UserError`` for a schema that is malformed or not supported, with the place in it.
    """

    def __init__(self, schema: object, vocabulary: Vocabulary) -> None:
        super().__init__(read_schema(schema), vocabulary)


class JSONObjectConstraint(LanguageConstraint):
    """The output is a JSON object, nested at most ``JSON_DEPTH`` deep."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__(any_object(JSON_DEPTH), vocabulary)
