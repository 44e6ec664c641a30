"""Check a JSON schema, and rewrite what llguidance would not enforce exactly.

llguidance enforces a schema or refuses it, with a few exceptions, which are handled here first:

- Its ``format: date`` allows 29 February in any year, and the year 0. The formats of date and time
  become exact patterns (``_DATES``).
- A ``format`` that JSON Schema does not define (``int32``, ``password``) is an annotation by the
  standard. Those of OpenAPI that bound an integer become bounds, others are dropped. Formats of the
  standard that cannot be enforced are refused.
- Python, JavaScript and Rust disagree about ``\\W`` and about ``[`` in a character class. Patterns
  are rewritten to match only what all of them match.
- ``oneOf`` with disjoint branches becomes ``anyOf`` (``one_of``).
- ``x-guidance``, with which a schema could disable checks, is dropped.
- Schemas come from untrusted clients, and some take minutes to compile (``multipleOf: 99999989``,
  thousands of optional properties). They are refused.
"""

from __future__ import annotations

import json
import math
import re
from fractions import Fraction

from glassmind.errors import UserError
from glassmind.generate.constraint.one_of import certainly_apart

MAX_DEPTH = 100  # of a schema
MAX_TEXT = 1 << 20  # characters of it, written as JSON
MAX_SCHEMAS = 5_000  # in it, itself included
MAX_PROPERTIES = 1_000  # of one object: the work grows with the square
MAX_VALUES = 10_000  # in all of its ``enum``
MAX_STRUCTURES = 500  # of those, arrays and objects
MAX_MULTIPLE = 50_000  # what a number is a multiple of, decimals shifted away

_YEAR = r"(?:[1-9]\d{3}|0[1-9]\d{2}|00[1-9]\d|000[1-9])"  # there is no year 0
_EVERY_FOURTH = r"(?:0[48]|[2468][048]|[13579][26])"
_DATES = (
    rf"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])"
    rf"|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    rf"|(?:\d\d{_EVERY_FOURTH}|{_EVERY_FOURTH}00)-02-29)"
)
_TIMES = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"

_PATTERNS = {
    "date": _DATES,
    "time": _TIMES,
    "date-time": f"{_DATES}T{_TIMES}",
    "json-pointer": r"(?:/(?:[^/~]|~[01])*)*",
}
_KNOWN = {"duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"}  # to llguidance
_NOT_WRITABLE = {
    "idn-email",
    "idn-hostname",
    "iri",
    "iri-reference",
    "regex",
    "relative-json-pointer",
    "uri-reference",
    "uri-template",
}
_BOUNDS = {
    **{f"int{bits}": (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32)},
    **{f"uint{bits}": (0, (1 << bits) - 1) for bits in (8, 16, 32)},
    # llguidance stores bounds as float64, so these are rounded inwards to numbers it has exactly.
    "int64": (-(10**18), 10**18),
    "uint64": (0, 10**18),
}

# Characters that are neither digits, word characters or spaces in any of the languages.
_NARROW = {r"\D": r"[^\p{Nd}]", r"\W": r"[^\p{L}\p{N}_]", r"\S": r"[^\s\x1c-\x1f\ufeff]"}
_PART_OF_PATTERN = re.compile(r"\\.|\[\^?|.", re.DOTALL)

# Keywords whose values are not schemas.
_VALUES = {"const", "enum", "default", "examples", "example", "required", "type"}
# Keywords whose values are schemas by name.
_NAMED = {"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"}


def prepared_schema(schema: object) -> str:
    """``schema``, as ``json.loads`` returns it, as JSON text for llguidance. The result allows
    nothing that ``schema`` does not.

    Raises ``UserError`` for a schema that is too large or not supported, as far as it is found
    here; llguidance reports the rest.
    """
    if not isinstance(schema, dict | bool):
        raise _wrong("#", "a schema must be an object, true or false")
    walk = _Walk(schema)
    ready = walk.schema(schema, "#", 1)
    walk.check_multiples()
    try:
        text = json.dumps(ready, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError):
        raise _wrong("#", "it contains a value that cannot be written as JSON") from None
    if len(text) > MAX_TEXT:
        raise _wrong("#", f"it has {len(text)} characters; at most {MAX_TEXT} are allowed")
    return text


def _wrong(place: str, problem: str) -> UserError:
    return UserError(f"the JSON schema is not supported: at {place[:200]}, {problem}")


class _Walk:
    """One pass over a schema, counting."""

    def __init__(self, document: object) -> None:
        self._document = document  # in which references are looked up
        self._schemas = self._values = self._structures = 0
        self._multiples: set[Fraction] = set()

    def schema(self, schema: object, place: str, depth: int) -> object:
        """The rewritten schema; a value that is neither object nor list is returned as it is."""
        if depth > MAX_DEPTH:
            raise _wrong(place, f"it is nested more than {MAX_DEPTH} deep")
        if isinstance(schema, list):
            return [
                self.schema(inner, f"{place}/{number}", depth + 1)
                for number, inner in enumerate(schema)
            ]
        if not isinstance(schema, dict):
            return schema
        self._schemas += 1
        if self._schemas > MAX_SCHEMAS:
            raise _wrong(place, f"it has more than {MAX_SCHEMAS} schemas in it")
        around = self._document
        if isinstance(schema.get("$id"), str):
            self._document = schema
        ready = self._keywords(schema, place, depth)
        branches = schema.get("oneOf")
        if (
            isinstance(branches, list)
            and "anyOf" not in ready
            and certainly_apart(branches, self._document)
        ):
            ready["anyOf"] = ready.pop("oneOf")
        self._document = around
        if isinstance(pattern := ready.get("pattern"), str):
            ready["pattern"] = _agreed(pattern)
        self._multiple(ready.get("multipleOf"))
        return self._with_format(ready, place)

    def _keywords(self, schema: dict[str, object], place: str, depth: int) -> dict[object, object]:
        ready: dict[object, object] = {}
        for key, value in schema.items():
            inner = f"{place}/{_step(key)}"
            if key in _VALUES:
                self._count(value, inner, depth + 1)
                ready[key] = value
            elif key in _NAMED and isinstance(value, dict):
                ready[key] = self._named(value, inner, depth + 1)
            elif self._says_something(key, value):
                ready[key] = self.schema(value, inner, depth + 1)
        return ready

    def _named(self, schemas: dict[str, object], place: str, depth: int) -> object:
        if len(schemas) > MAX_PROPERTIES and not place.endswith(("$defs", "definitions")):
            raise _wrong(place, f"it has {len(schemas)} entries; the limit is {MAX_PROPERTIES}")
        return {
            name: self.schema(inner, f"{place}/{_step(name)}", depth + 1)
            for name, inner in schemas.items()
        }

    @staticmethod
    def _says_something(key: object, value: object) -> bool:
        if key == "$schema":  # an unknown dialect cannot be looked up here
            return isinstance(value, str) and "json-schema.org/" in value
        return key != "x-guidance" and not (key == "uniqueItems" and value is False)

    def _count(self, value: object, place: str, depth: int) -> None:
        """Count the values of an ``enum`` and the like, and bound how deep they are."""
        if depth > MAX_DEPTH:
            raise _wrong(place, f"it is nested more than {MAX_DEPTH} deep")
        self._values += 1
        if isinstance(value, dict | list):
            self._structures += 1
            for inner in value.values() if isinstance(value, dict) else value:
                self._count(inner, place, depth + 1)
        if self._values > MAX_VALUES or self._structures > MAX_STRUCTURES:
            raise _wrong(
                place,
                f"it lists too many values; the limits are {MAX_VALUES} values and "
                f"{MAX_STRUCTURES} arrays or objects",
            )

    def _multiple(self, value: object) -> None:
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
            self._multiples.add(Fraction(str(value)) if math.isfinite(value) else Fraction(1))

    def check_multiples(self) -> None:
        """Refuse steps for which, alone or together, the automaton would be too large."""
        if not self._multiples:
            return
        scale = math.lcm(*(step.denominator for step in self._multiples))
        together = math.lcm(*(int(step * scale) for step in self._multiples))
        if together > MAX_MULTIPLE:
            raise UserError(
                "the JSON schema is not supported: the least common multiple of its multipleOf, "
                f"decimals shifted away, is above {MAX_MULTIPLE}"
            )

    @staticmethod
    def _with_format(schema: dict[object, object], place: str) -> dict[object, object]:
        name = schema.get("format")
        if not isinstance(name, str) or name in _KNOWN:
            return schema
        if name in _NOT_WRITABLE:
            raise _wrong(
                f"{place}/format",
                f"the format {name!r} is not supported: use {', '.join(sorted(_KNOWN))}, "
                f"{', '.join(sorted(_PATTERNS))} or a pattern",
            )
        rest = {key: value for key, value in schema.items() if key != "format"}
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            return _and(rest, {"minimum": low, "maximum": high})
        if name in _PATTERNS:
            rest = _and(rest, {"pattern": f"^(?:{_PATTERNS[name]})$"})
        return rest


def _and(schema: dict[object, object], more: dict[object, object]) -> dict[object, object]:
    """``schema`` with further keywords, which apply in addition to its own of the same name."""
    if not more.keys() & schema.keys():
        return {**schema, **more}
    also = schema.get("allOf", [])
    return {**schema, "allOf": [*also, more] if isinstance(also, list) else also}


def _agreed(pattern: str) -> str:
    """The pattern in Rust's syntax; it matches no more than Python and JavaScript do."""
    parts: list[str] = []
    brackets: str | None = None  # those that are open
    for part in _PART_OF_PATTERN.findall(pattern):
        if brackets is None:
            brackets = part if part[0] == "[" else None
            parts.append(_NARROW.get(part, part))
        elif part == "]":
            brackets = None
            parts.append(part)
        elif part[0] in "[&~":
            parts.append("".join(f"\\{character}" for character in part))
        else:  # in a negated class, the narrower set would allow more
            parts.append(_NARROW.get(part, part) if brackets == "[" else part)
    return "".join(parts)


def _step(key: object) -> str:
    """A part of a JSON pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")
