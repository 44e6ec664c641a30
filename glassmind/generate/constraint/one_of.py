"""Whether the branches of a ``oneOf`` are disjoint.

``oneOf`` requires a value to fit exactly one branch, which a grammar cannot express. Usually it is
meant as a union whose branches differ in type or in a constant property
(``{"kind": {"const": "cat"}, ...}``). Then it equals ``anyOf``, which a grammar can express. Where
disjointness is not proven here, llguidance tries, and refuses the schema if it cannot either.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

_TYPES = frozenset({"null", "boolean", "number", "string", "array", "object"})
_NAME_OF: dict[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
_DEEPEST = 3  # levels of nested objects that are compared
_HOPS = 8  # references followed
MAX_BRANCHES = 64  # each is compared with each
MOST_WORK = 50_000  # values and properties that are looked at; what is left then is not proven

Schema = dict[str, object]


def certainly_apart(branches: Sequence[object], document: object) -> bool:
    """Whether no value fits two of ``branches``, whose references are within ``document``.

    False also where that would take more than ``MOST_WORK`` to prove: a reference lets each branch
    name the same long list, so the work can be far larger than the schema.
    """
    if len(branches) > MAX_BRANCHES:
        return False
    comparison = _Comparison(document)
    try:
        return all(
            comparison.apart(one, other, _DEEPEST)
            for number, one in enumerate(branches)
            for other in branches[:number]
        )
    except _TooMuchWork:
        return False


class _TooMuchWork(Exception):
    pass


class _Comparison:
    """Comparisons of schemas of one document. Each schema's types and values are found once."""

    def __init__(self, document: object) -> None:
        self._document = document
        self._left = MOST_WORK
        self._known: dict[int, tuple[frozenset[str], frozenset[str] | None]] = {}  # by identity

    def apart(self, one: object, other: object, depth: int) -> bool:
        """Whether no value fits both."""
        a, b = _resolved(one, self._document), _resolved(other, self._document)
        self._work(1)
        if a is None or b is None:
            return False
        (types_a, values_a), (types_b, values_b) = self._facts(a), self._facts(b)
        if not types_a & types_b:
            return True
        if values_a is not None and values_b is not None:
            self._work(min(len(values_a), len(values_b)))
            if values_a.isdisjoint(values_b):
                return True
        if not depth or types_a != {"object"} or types_b != {"object"}:
            return False
        properties_a, properties_b = a.get("properties"), b.get("properties")
        if not (isinstance(properties_a, dict) and isinstance(properties_b, dict)):
            return False
        self._work(len(properties_a) + len(properties_b))
        return any(
            self.apart(properties_a[name], properties_b[name], depth - 1)
            for name in sorted(_required(a) & _required(b))
            if name in properties_a and name in properties_b
        )

    def _facts(self, schema: Schema) -> tuple[frozenset[str], frozenset[str] | None]:
        known = self._known.get(id(schema))
        if known is None:
            self._work(len(_listed(schema) or ()))
            known = self._known[id(schema)] = (_types(schema), _values(schema))
        return known

    def _work(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise _TooMuchWork


def _resolved(schema: object, document: object) -> Schema | None:
    """A schema with its references resolved; ``None`` if it is not an object or they cannot be."""
    for _ in range(_HOPS):
        if not isinstance(schema, dict):
            return None
        reference = schema.get("$ref")
        if reference is None:
            return schema
        if not (isinstance(reference, str) and reference.startswith("#/")):
            return None
        schema = document
        for part in reference[2:].split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            schema = schema.get(name) if isinstance(schema, dict) else None
    return None


def _types(schema: Schema) -> frozenset[str]:
    """The types that a value may have; all, where that is not known."""
    said = schema.get("type", sorted(_TYPES))
    types = {said} if isinstance(said, str) else set(said) if isinstance(said, list) else _TYPES
    types = {"number" if name == "integer" else name for name in types}
    listed = _listed(schema)
    if listed is not None:
        types &= {_NAME_OF.get(type(value), "object") for value in listed}
    return frozenset(types)


def _listed(schema: Schema) -> list[object] | None:
    if "const" in schema:
        return [schema["const"]]
    listed = schema.get("enum")
    return listed if isinstance(listed, list) else None


def _values(schema: Schema) -> frozenset[str] | None:
    """The values that are listed, if all are simple; numbers that are equal are the same."""
    listed = _listed(schema)
    if listed is None:
        return None
    values = set()
    for value in listed:
        if isinstance(value, list | dict) or (isinstance(value, int) and abs(value) >= 1 << 53):
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            values.add(f"number {float(value)}")
        else:
            values.add(json.dumps(value))
    return frozenset(values)


def _required(schema: Schema) -> set[str]:
    required = schema.get("required")
    names = required if isinstance(required, list) else []
    return {name for name in names if isinstance(name, str)}
