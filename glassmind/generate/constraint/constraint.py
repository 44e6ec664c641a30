"""Constrained output: only tokens that can still become what was asked for.

    constraint = RegexConstraint(r"(yes|no), because [^\\n]{1,200}", Vocabulary.of(tokenizer))
    SamplingParams(max_new_tokens=100, constraint=constraint)

A pattern, a JSON schema or a grammar is a set of texts. While an output forms, a parser keeps track
of how it could go on; a token is allowed if its bytes lead to the beginning of a text in the set,
and the end where the text is in it. The logits of all other tokens are masked before sampling
(Willard and Louf 2023, arXiv 2307.09702). Where there is only one way to go on, the tokens are
written without asking the model (Zheng et al. 2023, arXiv 2312.07104, call it jump-forward), and
marked as forced.

The parser is llguidance's: an Earley parser whose terminals are regular expressions, matched by
their derivatives, so that neither recursion nor large counts need a machine made beforehand. Read
https://guidance-ai.github.io/llguidance/llg-go-brrr for how it finds the masks of 100,000 tokens in
50 microseconds.

Whatever the model wants to say, an output that ends with ``finish == "stop"`` is in the set; one
that ends with ``"length"`` is the beginning of one that is. What must be in it is what
``decode_bytes`` makes of the output alone, without the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
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
"""What may stand between the parts of JSON: without a bound, small models write it for ever."""

_DEEPER = 'start: {lead}@inner\n%llguidance {{"no_forcing": {no_forcing}}}'


class Constraint(Protocol):
    """What an output has to be; immutable, so that many requests can share one."""

    def begin(self) -> TokenHook:
        """Follows one new output."""
        ...


class GrammarConstraint:
    """The output is a text of a grammar in Lark's notation, as llguidance extends it
    (https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md), or in llama.cpp's GBNF.
    Its first rule is ``start`` (GBNF: ``root``).

    Raises ``UserError`` for a grammar that is malformed or not supported, costs too much, or has no
    text that the vocabulary can spell and end.
    """

    def __init__(self, grammar: str, vocabulary: Vocabulary) -> None:
        _check_length(grammar, MAX_GRAMMAR, "grammar")
        _ = vocabulary.grammar_tokenizer  # says so where llguidance is missing
        self._set_up({"lark_grammar": _lark(grammar)}, vocabulary, "grammar")

    def _set_up(self, grammar: dict[str, object], vocabulary: Vocabulary, what: str) -> None:
        """``grammar`` is one of llguidance's: ``lark_grammar`` or ``json_schema``."""
        tokenizer = vocabulary.grammar_tokenizer
        self.vocabulary, self._what = vocabulary, what
        self._masks = Masks(tokenizer)
        lead = vocabulary.lead
        if lead or not tokenizer.forces:
            self._matcher = self._masks.matcher(_inside(grammar, lead, tokenizer.forces), what)
            if lead and not self._may_begin_with(grammar, lead, tokenizer.forces):
                # Decoding takes it away where it is there; nothing is lost where it is not.
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
    """The whole output matches a regular expression in the notation of Rust's ``regex``
    (https://docs.rs/regex/latest/regex/#syntax): as Python's, without looking around and back
    references. ``^`` and ``$`` may stand at its ends and change nothing.

    Raises ``UserError`` for a pattern that is malformed or not supported.
    """

    def __init__(self, pattern: str, vocabulary: Vocabulary) -> None:
        _check_length(pattern, MAX_PATTERN, "regular expression")
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise UserError("the regular expression ends with a backslash that escapes nothing")
        _ = vocabulary.grammar_tokenizer  # says so where llguidance is missing
        from llguidance import LLMatcher

        [grammar] = json.loads(LLMatcher.grammar_from_regex(pattern))["grammars"]
        lark = {"lark_grammar": grammar["lark_grammar"]}
        self._set_up(lark, vocabulary, "regular expression")


class ChoiceConstraint(GrammarConstraint):
    """The whole output is one of ``choices``.

    Raises ``UserError`` for no choices, or more than ``MAX_CHOICES``.
    """

    def __init__(self, choices: Sequence[str], vocabulary: Vocabulary) -> None:
        if not 1 <= len(choices) <= MAX_CHOICES:
            raise UserError(f"there must be 1 to {MAX_CHOICES} choices, not {len(choices)}")
        _check_length("".join(choices), MAX_GRAMMAR, "list of choices")
        lark = "start: ONE\nONE: " + " | ".join(map(json.dumps, choices))
        self._set_up({"lark_grammar": lark}, vocabulary, "list of choices")


class JSONSchemaConstraint(GrammarConstraint):
    """The output is JSON that validates against ``schema``, a schema as ``json.loads`` gives it.
    Between its parts stands at most one space.

    Raises ``UserError`` for a schema that is malformed or asks for what cannot be kept.
    """

    def __init__(self, schema: object, vocabulary: Vocabulary) -> None:
        self._set_up({"json_schema": _json_schema(schema)}, vocabulary, "JSON schema")


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
        raise UserError(f"the {what} has {len(text)} characters; {most} are the most")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UserError(f"the {what} has half a surrogate pair; it is not text")


def _alone(grammar: dict[str, object]) -> str:
    return json.dumps({"grammars": [grammar]})


def _inside(
    grammar: dict[str, object], lead: bytes, forces: bool, *, optional: bool = False
) -> str:
    """``grammar`` behind what decoding takes away, and with what is forced left to the masks where
    text cannot be made tokens."""
    before = json.dumps(lead.decode()) + ("? " if optional else " ") if lead else ""
    outer = _DEEPER.format(lead=before, no_forcing=json.dumps(not forces))
    return json.dumps({"grammars": [{"lark_grammar": outer}, {**grammar, "name": "inner"}]})


def _lark(grammar: str) -> str:
    """Lark's notation of a grammar in it or in GBNF, the JSON schemas in it prepared."""
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
            continue  # in a string, or malformed: llguidance says so
        parts += [lark[end : found.end()], json.dumps(_json_schema(schema))]
        end = after
    return "".join(parts) + lark[end:]
