"""The keywords of a JSON schema, one at a time and with suspicion.

A schema comes from a stranger: any keyword may hold anything. Each function here reads one kind of
keyword and refuses what is not as it should be, naming the place as a JSON pointer.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

from glassmind.errors import UserError

MAX_VALUES = 10_000  # in one enum
MAX_COUNT = 100_000

DESCRIPTIONS = frozenset(("title", "description", "default", "examples", "deprecated")) | frozenset(
    ("$schema", "$id", "$comment", "$defs", "definitions", "readOnly", "writeOnly")
)
KEYWORDS = {
    "object": frozenset(("properties", "required", "additionalProperties")),
    "array": frozenset(("items", "minItems", "maxItems")),
    "string": frozenset(("minLength", "maxLength", "pattern", "format")),
    "integer": frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")),
    "number": frozenset(("minimum",)),
    "boolean": frozenset[str](),
    "null": frozenset[str](),
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def wrong(place: str, what: str) -> NoReturn:
    """Refuse the schema."""
    raise UserError(f"the JSON schema cannot be used: at {shortened(place)}, {what}")


def under(place: str, key: str) -> str:
    """The JSON pointer one step further."""
    return shortened(place) + "/" + key[:100].replace("~", "~0").replace("/", "~1")


def shortened(place: str) -> str:
    """A pointer of a length fit for a message."""
    return place if len(place) <= 200 else "#…" + place[-150:]


def short(text: object) -> str:
    """A word of the schema, quoted."""
    shown = repr(text)
    return shown if len(shown) <= 60 else shown[:60] + "…"


def types_of(schema: dict[str, Any], place: str) -> list[str]:
    """The types it names, or else the one its keywords are about."""
    names = schema.get("type")
    if names is None:
        for name, keywords in KEYWORDS.items():
            if not keywords.isdisjoint(schema):
                return [name]
        unknown = next(key for key in schema if key not in DESCRIPTIONS)
        wrong(under(place, unknown), f"the keyword {short(unknown)} is not supported")
    types = names if isinstance(names, list) else [names]
    if not types or not all(isinstance(name, str) and name in TYPES for name in types):
        wrong(under(place, "type"), f"type must be one or a list of {', '.join(TYPES)}")
    if len(set(types)) < len(types):
        wrong(under(place, "type"), "a type stands there twice")
    return types


def given_values(schema: dict[str, Any], place: str) -> list[Any]:
    """What ``const`` or ``enum`` lists."""
    if "const" in schema:
        return [schema["const"]]
    choices = schema["enum"]
    if not isinstance(choices, list) or not 0 < len(choices) <= MAX_VALUES:
        wrong(under(place, "enum"), f"enum must be a list of 1 to {MAX_VALUES} values")
    return choices


def is_type(value: object, name: str) -> bool:
    """Whether a value has a type; 1.0 is an integer, and true is not a number."""
    if isinstance(value, bool):
        return name == "boolean"
    if name == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, TYPES[name])


def kind_of(value: object) -> str:
    """The type of a value; integers count as numbers."""
    return next(name for name in TYPES if name != "integer" and is_type(value, name))


def spelling(value: object) -> str:
    """Equal for equal values that are not lists or objects."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value)


def whole(value: object, place: str) -> int:
    """A bound for integers."""
    if not is_type(value, "integer") or not isinstance(value, int | float):
        wrong(place, "a bound for integers must be an integer")
    return int(value)


def bounds(schema: dict[str, Any], least: str, most: str, place: str) -> tuple[int, int | None]:
    """Two counts of a schema; ``None`` is no limit."""
    found: list[int | None] = []
    for keyword in (least, most):
        value = schema.get(keyword)
        if value is not None:
            value = whole(value, under(place, keyword))
            if not 0 <= value <= MAX_COUNT:
                wrong(under(place, keyword), f"{keyword} must lie between 0 and {MAX_COUNT}")
        found.append(value)
    low, high = found[0] or 0, found[1]
    if high is not None and high < low:
        wrong(under(place, most), f"{most} is smaller than {least}")
    return low, high
