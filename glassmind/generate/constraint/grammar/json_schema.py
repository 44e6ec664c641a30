"""JSON Schema to a language: everything in it validates.

Not everything that validates is in it: properties come in the schema's order, and those it does not
name are not written (``additionalProperties`` counts as false beside ``properties``). What a schema
may say:

    any type     type (also a list), enum, const, anyOf, oneOf of apart branches, allOf of one, $ref
    object       properties, required, additionalProperties (a schema only without properties)
    array        items, minItems, maxItems
    string       minLength, maxLength, pattern, format: date, time, date-time, uuid
    integer      minimum, maximum, exclusiveMinimum, exclusiveMaximum
    number       minimum: 0

and what only describes (title, description, default ...) is passed over. Any other keyword is
refused with its place, because a constraint that is silently not kept is worse than none. So is a
schema that refers to itself: a finite machine cannot nest without end. Where a schema leaves a
value open, it may be any JSON nested at most ``ANY_DEPTH`` deep.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import unquote

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar import json_values as values
from glassmind.generate.constraint.grammar.json_values import StringCharacter
from glassmind.generate.constraint.grammar.regex_parser import parse_regex
from glassmind.generate.constraint.grammar.schema_fields import (
    DESCRIPTIONS,
    KEYWORDS,
    bounds,
    given_values,
    is_type,
    kind_of,
    short,
    shortened,
    spelling,
    types_of,
    under,
    whole,
    wrong,
)
from glassmind.generate.constraint.grammar.tree import Either, Node, Repeat, Sequence

ANY_DEPTH = 3
MAX_NESTING = 64  # of schemas
MAX_SCHEMAS = 10_000

_DAY = r"[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|"
_DAY += r"(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
_CLOCK = (
    r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
)
_FORMATS = {
    "date": _DAY,
    "time": _CLOCK,
    "date-time": f"{_DAY}T{_CLOCK}",
    "uuid": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}


def read_schema(schema: object) -> Node:
    """The language of JSON texts that a schema (as ``json.loads`` gives it) describes.

    Raises:
        UserError: it uses what is not supported, or is malformed; names the place in it.
    """
    return _Reader(schema).read(schema, "#", 0)


class _Reader:
    """Reads one schema; remembers what its references lead to."""

    def __init__(self, root: object) -> None:
        self.root = root
        self.left = MAX_SCHEMAS
        self.found: dict[str, Node] = {}
        self.open: list[str] = []  # references being read

    def read(self, schema: object, place: str, depth: int) -> Node:
        self.left -= 1
        if self.left < 0 or depth > MAX_NESTING:
            wrong(
                place, f"there are more than {MAX_SCHEMAS} schemas or {MAX_NESTING} levels of them"
            )
        if schema is True:
            return values.any_value(ANY_DEPTH)
        if schema is False:
            wrong(place, "false allows no value")
        if not isinstance(schema, dict):
            wrong(place, "a schema must be an object")
        said = [key for key in schema if key not in DESCRIPTIONS]
        if not said:
            return values.any_value(ANY_DEPTH)
        for keyword, read in _SPECIAL.items():
            if keyword in schema:
                beside = {keyword, "type"} if keyword in ("enum", "const") else {keyword}
                for key in said:
                    if key not in beside:
                        wrong(under(place, key), f"{short(key)} beside {keyword} is not supported")
                return read(self, schema, place, depth)
        types = types_of(schema, place)
        for key in said:
            if key != "type" and not any(key in KEYWORDS[name] for name in types):
                wrong(
                    under(place, key),
                    f"the keyword {short(key)} is not supported for {' or '.join(types)}",
                )
        parts = [_READERS[name](self, schema, place, depth) for name in types]
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    # Values given one by one, and schemas made of schemas.

    def constant(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        choices = given_values(schema, place)
        if "type" in schema:
            types = types_of(schema, place)
            choices = [value for value in choices if any(is_type(value, name) for name in types)]
        parts: list[Node] = []
        for value in choices:
            try:
                parts.append(values.constant(value))
            except (ValueError, TypeError, RecursionError):
                wrong(place, "a value in it cannot be written as JSON")
        if not parts:
            wrong(place, "no value is left that it allows")
        return Either(tuple(parts))

    def any_of(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        return self.branches(schema, "anyOf", place, depth)

    def one_of(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        node = self.branches(schema, "oneOf", place, depth)
        seen: list[list[_Trait]] = []
        for branch in schema["oneOf"]:
            traits = self.traits(branch)
            for other in seen:
                self.left -= 1
                if self.left < 0:
                    wrong(under(place, "oneOf"), "it has too many branches to compare")
                if not all(apart(a, b) for a in traits for b in other):
                    wrong(
                        under(place, "oneOf"),
                        "two branches may allow the same value, as far as can be told from their "
                        "types, constants and the constants of required properties; use anyOf",
                    )
            seen.append(traits)
        return node

    def all_of(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        if not isinstance(schema["allOf"], list) or len(schema["allOf"]) != 1:
            wrong(under(place, "allOf"), "allOf is supported with exactly one schema in it")
        return self.branches(schema, "allOf", place, depth)

    def branches(self, schema: dict[str, Any], keyword: str, place: str, depth: int) -> Node:
        place = under(place, keyword)
        branches = schema[keyword]
        if not isinstance(branches, list) or not branches:
            wrong(place, f"{keyword} must be a list of schemas")
        return Either(
            tuple(self.read(b, under(place, str(i)), depth + 1) for i, b in enumerate(branches))
        )

    def reference(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        place = under(place, "$ref")
        pointer = schema["$ref"]
        if pointer in self.open or pointer == "#":
            wrong(
                place, "a schema that refers to itself has no greatest depth and is not supported"
            )
        if not isinstance(pointer, str) or not pointer.startswith("#/"):
            wrong(place, "only references that begin with #/ are supported")
        if pointer not in self.found:
            target = self.target(pointer, place)
            self.open.append(pointer)
            self.found[pointer] = self.read(target, shortened(pointer), depth + 1)
            self.open.pop()
        return self.found[pointer]

    def target(self, pointer: str, place: str) -> object:
        """What a JSON pointer (RFC 6901) in a URI fragment points to."""
        here = self.root
        for step in unquote(pointer[2:]).split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(here, dict) and key in here:
                here = here[key]
            elif (
                isinstance(here, list) and key.isdecimal() and len(key) < 9 and int(key) < len(here)
            ):
                here = here[int(key)]
            else:
                wrong(place, f"there is nothing at {short(pointer)}")
        return here

    # One type each.

    def read_object(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        more = schema.get("additionalProperties", "properties" not in schema)
        properties = schema.get("properties", {})
        if not isinstance(properties, dict):
            wrong(under(place, "properties"), "properties must be an object")
        required = schema.get("required", [])
        if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
            wrong(under(place, "required"), "required must be a list of names")
        for name in required:
            if name not in properties:
                wrong(under(place, "required"), f"{short(name)} is not among the properties")
        if not properties and more is not False:
            if more is True:
                return values.any_object(ANY_DEPTH)
            value = self.read(more, under(place, "additionalProperties"), depth + 1)
            return values.Listing(b"{}", values.named(values.ANY_STRING, value))
        if not isinstance(more, bool):
            wrong(
                under(place, "additionalProperties"),
                "a schema for further properties is supported only without properties",
            )
        names = set(required)
        members = []
        for name, value in properties.items():
            at = under(under(place, "properties"), name)
            try:
                key = values.constant(name)
            except ValueError:
                wrong(at, "the name is not text that UTF-8 can hold")
            members.append(values.Member(key, self.read(value, at, depth + 1), name in names))
        return values.Members(tuple(members))

    def read_array(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        least, most = bounds(schema, "minItems", "maxItems", place)
        if "items" in schema:
            item = self.read(schema["items"], under(place, "items"), depth + 1)
        else:
            item = values.any_value(ANY_DEPTH - 1)
        return values.Listing(b"[]", item, least, most)

    def read_string(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        least, most = bounds(schema, "minLength", "maxLength", place)
        if "format" in schema:
            kind = schema["format"]
            if not isinstance(kind, str) or kind not in _FORMATS:
                wrong(under(place, "format"), f"the formats supported are {', '.join(_FORMATS)}")
            if not {"pattern", "minLength", "maxLength"}.isdisjoint(schema):
                wrong(place, "a format beside other rules for the text is not supported")
            return values.string(parse_regex(_FORMATS[kind]))
        if "pattern" not in schema:
            return values.string(Repeat(values.ANY_CHARACTER, least, most))
        try:
            content = parse_regex(schema["pattern"], search=True, character=StringCharacter)
        except UserError as error:
            wrong(under(place, "pattern"), str(error))
        shortest, longest = lengths(content)
        if shortest < least or (most is not None and (longest is None or longest > most)):
            wrong(
                under(place, "pattern"),
                "it matches texts that minLength or maxLength forbids; count in the pattern, with "
                "^ and $ at its ends",
            )
        return values.string(content)

    def read_integer(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        if KEYWORDS["integer"].isdisjoint(schema):
            return values.INTEGER
        greatest = 10**values.MOST_DIGITS - 1
        low, high = -greatest, greatest
        for keyword, beyond in (("minimum", 0), ("exclusiveMinimum", 1)):
            if keyword in schema:
                low = max(low, whole(schema[keyword], under(place, keyword)) + beyond)
        for keyword, beyond in (("maximum", 0), ("exclusiveMaximum", 1)):
            if keyword in schema:
                high = min(high, whole(schema[keyword], under(place, keyword)) - beyond)
        if low > high:
            wrong(place, f"no integer of at most {values.MOST_DIGITS} digits is within its bounds")
        return values.integer_between(low, high)

    def read_number(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        if "minimum" not in schema:
            return values.NUMBER
        if isinstance(schema["minimum"], bool) or schema["minimum"] != 0:
            wrong(under(place, "minimum"), "of the bounds for number only minimum: 0 is supported")
        return values.NATURAL_NUMBER

    def read_boolean(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        return values.BOOLEAN

    def read_null(self, schema: dict[str, Any], place: str, depth: int) -> Node:
        return values.NULL

    # Which values a branch of oneOf allows, roughly.

    def traits(self, schema: object, follow: int = MAX_NESTING) -> list[_Trait]:
        """What is known of *all* values that validate against a schema, which has been read
        already; those that would not be written under it count too."""
        self.left -= 1
        if self.left < 0 or follow == 0 or not isinstance(schema, dict):
            return [_Trait("", {})]
        if "$ref" in schema:
            return self.traits(self.target(schema["$ref"], "#"), follow - 1)
        for keyword in ("anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return [t for b in schema[keyword] for t in self.traits(b, follow - 1)]
        if "const" in schema or "enum" in schema:
            choices = given_values(schema, "#")
            return [
                _Trait(kind_of(v), {} if isinstance(v, dict | list) else {"": {spelling(v)}})
                for v in choices
            ]
        if "type" not in schema:  # its keywords hold for one type, and values of others pass
            return [_Trait("", {})]
        known: dict[str, set[str]] = {}
        for name in schema.get("required", []):
            traits = self.traits(schema["properties"][name], follow - 1)
            if all("" in trait.constants for trait in traits):
                known[name] = {text for trait in traits for text in trait.constants[""]}
        types = types_of(schema, "#")
        return [
            _Trait("number" if t == "integer" else t, known if t == "object" else {}) for t in types
        ]


class _Trait:
    """Values of one kind (``""``: any); ``constants`` are the spellings that a required property
    can have, or under ``""`` those of the value itself."""

    def __init__(self, kind: str, constants: dict[str, set[str]]) -> None:
        self.kind, self.constants = kind, constants


def apart(one: _Trait, other: _Trait) -> bool:
    """Whether no value has both."""
    if one.kind and other.kind and one.kind != other.kind:
        return True
    both = one.constants.keys() & other.constants.keys()
    return any(one.constants[name].isdisjoint(other.constants[name]) for name in both)


def lengths(content: Node) -> tuple[int, int | None]:
    """The fewest and the most characters of a pattern's texts; ``None``: no limit."""
    if isinstance(content, Repeat):
        low, high = lengths(content.part)
        most = (
            0
            if high == 0
            else None
            if high is None or content.most is None
            else high * content.most
        )
        return low * content.least, 0 if content.most == 0 else most
    if isinstance(content, Sequence | Either):
        pairs = [lengths(part) for part in content.parts]
        lows, highs = [low for low, _ in pairs], [high for _, high in pairs]
        join: Callable[[Collection[int]], int] = sum if isinstance(content, Sequence) else max
        limited = [high for high in highs if high is not None]
        most = join(limited or [0]) if len(limited) == len(highs) else None
        return (sum(lows) if isinstance(content, Sequence) else min(lows)), most
    return 1, 1


_Read = Callable[[_Reader, dict[str, Any], str, int], Node]
_SPECIAL: dict[str, _Read] = {
    "$ref": _Reader.reference,
    "const": _Reader.constant,
    "enum": _Reader.constant,
    "anyOf": _Reader.any_of,
    "oneOf": _Reader.one_of,
    "allOf": _Reader.all_of,
}
_READERS: dict[str, _Read] = {
    "object": _Reader.read_object,
    "array": _Reader.read_array,
    "string": _Reader.read_string,
    "integer": _Reader.read_integer,
    "number": _Reader.read_number,
    "boolean": _Reader.read_boolean,
    "null": _Reader.read_null,
}
