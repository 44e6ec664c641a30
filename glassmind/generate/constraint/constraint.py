"""Constrained output: only tokens that can still become what was asked for.

    constraint = RegexConstraint(r"(yes|no), because [^\\n]{1,200}", Vocabulary.of(tokenizer))
    SamplingParams(max_new_tokens=100, constraint=constraint)

A pattern, a JSON schema or a grammar defines a set of texts. A parser follows the output; a token
is allowed if the output with it is the beginning of a text in the set, and the end token if the
output is in the set. The logits of all other tokens are masked before sampling (Willard and Louf
2023, arXiv 2307.09702). Where only one continuation is possible, its tokens are appended without
asking the model (jump-forward decoding: Zheng et al. 2023, arXiv 2312.07104) and marked as forced.

The parser is llguidance: an Earley parser whose terminals are regular expressions, matched by their
derivatives, so that neither recursion nor large counts need an automaton built in advance. How it
computes the mask of 100,000 tokens in 50 microseconds is described in
https://guidance-ai.github.io/llguidance/llg-go-brrr.

An output with ``finish == "stop"`` is in the set; one with ``"length"`` is the beginning of a text
in it. The text is what ``decode_bytes`` makes of the output alone, without the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from glassmind.errors import UserError
from glassmind.generate.constraint.json_schema import prepared_schema
from glassmind.generate.constraint.matcher import Follower, Masks
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.token_hook import TokenHook

MAX_PATTERN = 10_000  # characters of a regular expression
MAX_GRAMMAR = 100_000  # characters of a grammar, and of all choices together
MAX_CHOICES = 1_000

WHITESPACE = " ?"
"""Between the parts of JSON. Without a bound, small models can write white space for ever."""

Trial = Callable[[str, str], None]
"""Called with a grammar, and what it is for, before it is compiled; it may refuse."""

_DEEPER = 'start: {lead}@inner\n%llguidance {{"no_forcing": {no_forcing}}}'


class Constraint(Protocol):
    """The set of texts an output must be in; immutable, so many requests can share one."""

    def begin(self) -> TokenHook:
        """Follows one new output."""
        ...


class GrammarConstraint:
    """The output is a text of a grammar in Lark notation with llguidance's extensions
    (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), or in llama.cpp's GBNF.
    The first rule is ``start`` (GBNF: ``root``).

    ``trial``, if given, sees the grammar before it is compiled here (``trial.GrammarTrial``).

    Raises ``UserError`` for a grammar that is malformed, not supported, or too expensive, and for
    one none of whose texts the vocabulary can spell.
    """

    def __init__(self, grammar: str, vocabulary: Vocabulary, trial: Trial | None = None) -> None:
        _check_length(grammar, MAX_GRAMMAR, "grammar")
        _ = vocabulary.grammar_tokenizer  # says so where llguidance is missing
        self._set_up({"lark_grammar": _lark(grammar)}, vocabulary, "grammar", trial)

    def _set_up(
        self, grammar: dict[str, object], vocabulary: Vocabulary, what: str, trial: Trial | None
    ) -> None:
        """``grammar`` is one of llguidance's: ``lark_grammar`` or ``json_schema``."""
        if trial is not None:
            trial(_alone(grammar), what)
        tokenizer = vocabulary.grammar_tokenizer
        self.vocabulary, self._what = vocabulary, what
        self._masks = Masks(tokenizer)
        lead = vocabulary.lead
        if lead or not tokenizer.forces:
            self._matcher = self._masks.matcher(_inside(grammar, lead, tokenizer.forces), what)
            if lead and not self._may_begin_with(grammar, lead, tokenizer.forces):
                # Decoding removes the lead if it is there, so it can be left out as well.
                optional = _inside(grammar, lead, tokenizer.forces, optional=True)
                self._matcher = self._masks.matcher(optional, what)
        else:
            self._matcher = self._masks.matcher(_alone(grammar), what)
        self._masks.try_out(self._matcher, what)

    def _may_begin_with(self, grammar: dict[str, object], lead: bytes, forces: bool) -> bool:
        """Whether a text of the grammar may begin as ``lead`` does."""
        bare = self._masks.matcher(_inside(grammar, b"", forces), self._what)
        first = self._masks.allowed(bare)
        tokens = zip(first.tolist(), self.vocabulary.token_bytes, strict=True)
        return any(may and data and data[0] == lead[0] for may, data in tokens)

    def begin(self) -> TokenHook:
        """Follows one new output."""
        return Follower(self._masks, self._matcher.deep_copy(), self.vocabulary.end_ids)


class RegexConstraint(GrammarConstraint):
    """The whole output matches a regular expression in the syntax of Rust's ``regex``
    (https://docs.rs/regex/latest/regex/#syntax): like Python's, without lookaround and back
    references. ``^`` and ``$`` are allowed at its ends and change nothing.

    Raises ``UserError`` for a pattern that is malformed or not supported.
    """

    def __init__(self, pattern: str, vocabulary: Vocabulary, trial: Trial | None = None) -> None:
        _check_length(pattern, MAX_PATTERN, "regular expression")
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise UserError("the regular expression ends with a backslash that escapes nothing")
        _ = vocabulary.grammar_tokenizer  # says so where llguidance is missing
        from llguidance import LLMatcher

        [grammar] = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"]
        lark = {"lark_grammar": grammar["lark_grammar"]}
        self._set_up(lark, vocabulary, "regular expression", trial)


class ChoiceConstraint(GrammarConstraint):
    """The whole output is one of ``choices``.

    Raises ``UserError`` for no choices, or more than ``MAX_CHOICES``.
    """

    def __init__(
        self, choices: Sequence[str], vocabulary: Vocabulary, trial: Trial | None = None
    ) -> None:
        if not 1 <= len(choices) <= MAX_CHOICES:
            raise UserError(f"there must be 1 to {MAX_CHOICES} choices, not {len(choices)}")
        _check_length("".join(choices), MAX_GRAMMAR, "list of choices")
        lark = "start: ONE\nONE: " + " | ".join(map(json.dumps, choices))
        self._set_up({"lark_grammar": lark}, vocabulary, "list of choices", trial)


class JSONSchemaConstraint(GrammarConstraint):
    """The output is JSON that validates against ``schema``, a schema as ``json.loads`` returns it.
    At most one space separates the parts of the JSON.

    Raises ``UserError`` for a schema that is malformed, not supported, or too expensive.
    """

    def __init__(self, schema: object, vocabulary: Vocabulary, trial: Trial | None = None) -> None:
        self._set_up({"json_schema": _json_schema(schema)}, vocabulary, "JSON schema", trial)


class JSONObjectConstraint(JSONSchemaConstraint):
    """The output is a JSON object."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        super().__init__({"type": "object"}, vocabulary)


def _json_schema(schema: object) -> object:
    ready = json.loads(prepared_schema(schema))
    if isinstance(ready, dict):
        ready["x-guidance"] = {"whitespace_pattern": WHITESPACE}
    return ready


def _check_length(text: str, most: int, what: str) -> None:
    if len(text) > most:
        raise UserError(f"the {what} has {len(text)} characters; at most {most} are allowed")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"the {what} has half a surrogate pair; it is not text")


def _alone(grammar: dict[str, object]) -> str:
    return json.dumps({"grammars": [grammar]})


def _inside(
    grammar: dict[str, object], lead: bytes, forces: bool, *, optional: bool = False
) -> str:
    """``grammar`` after the ``lead`` that decoding removes; ``forces`` says whether it may force
    tokens."""
    before = json.dumps(lead.decode()) + ("? " if optional else " ") if lead else ""
    outer = _DEEPER.format(lead=before, no_forcing=json.dumps(not forces))
    return json.dumps({"grammars": [{"lark_grammar": outer}, {**grammar, "name": "inner"}]})


def _lark(grammar: str) -> str:
    """A grammar in Lark or GBNF notation as Lark, with the JSON schemas in it prepared."""
    from llguidance.gbnf_to_lark import any_to_lark

    try:
        lark = any_to_lark(grammar)
    except Exception as error:  # its own kind, and RecursionError
        problem = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"the grammar cannot be read: {problem}") from None
    parts: list[str] = []
    end = 0
    for found in re.finditer(r"%json\s*", lark):
        if found.start() < end:
            continue
        try:
            schema, after = json.JSONDecoder().raw_decode(lark, found.end())
        except (ValueError, RecursionError):
            continue  # within a string, or malformed, which llguidance reports
        parts += [lark[end : found.end()], json.dumps(_json_schema(schema))]
        end = after
    return "".join(parts) + lark[end:]
