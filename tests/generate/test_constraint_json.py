"""JSON: whatever is written under a schema validates, by the ``jsonschema`` package."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from constrained_walk import text_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import (
    JSON_DEPTH,
    JSONObjectConstraint,
    JSONSchemaConstraint,
)
from glassmind.generate.constraint.grammar.automaton import automaton
from glassmind.generate.constraint.grammar.json_schema import read_schema
from glassmind.generate.constraint.grammar.json_values import any_object, integer_between
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize import CharTokenizer, train_bpe

SCHEMAS: dict[str, Any] = {
    "anything": {},
    "true": True,
    "open-object": {"type": "object"},
    "open-array": {"type": "array", "maxItems": 2},
    "types": {"type": ["string", "null", "boolean", "integer"], "maxLength": 3},
    "person": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Person",
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 5},
            "age": {"type": "integer", "minimum": 0, "exclusiveMaximum": 150},
            'naïve "key"': {"type": "number", "minimum": 0},
            "tags": {"type": "array", "items": {"enum": ["a", "b\n", 3, None]}, "minItems": 2},
        },
        "required": ["age", "tags"],
        "additionalProperties": False,
    },
    "all-optional": {"properties": {key: {"const": key} for key in "abc"}},
    "map": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "no-properties": {"type": "object", "properties": {}},
    "array-of-arrays": {"items": {"items": {"type": "null"}, "maxItems": 2}, "maxItems": 3},
    "no-items": {"type": "array", "maxItems": 0},
    "bounds": {"type": "integer", "minimum": -1205, "maximum": 93},
    "above": {"type": "integer", "exclusiveMinimum": 41},
    "number": {"type": "number"},
    "choice": {"anyOf": [{"type": "number"}, {"const": {"a": [1, 2.5, "é"]}}, {"type": "null"}]},
    "one-of": {
        "oneOf": [
            {"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
            {"type": "object", "properties": {"k": {"enum": [2, True]}}, "required": ["k"]},
            {"type": "string"},
            {"enum": [5, None]},
        ]
    },
    "references": {
        "$defs": {"a/b": {"type": "array", "items": {"$ref": "#/$defs/c"}}, "c": {"const": 1}},
        "anyOf": [{"$ref": "#/$defs/a~1b"}, {"allOf": [{"$ref": "#/$defs/c"}]}],
    },
    "pattern": {"type": "string", "pattern": '^[a-c"\\\\\n]{2,4}$', "minLength": 2},
    "search": {"type": "string", "pattern": "x\\d|^é"},
    "shorthand": {"type": "string", "pattern": "^\\W\\S\\D[^a-z]$"},
    "long": {"type": "string", "minLength": 200, "maxLength": 220},
    "date": {"type": "string", "format": "date"},
    "date-time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "enum-of-type": {"type": "integer", "enum": ["1", 2, True, 3.0]},
}


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, Vocabulary]:
    texts = [json.dumps(SCHEMAS), json.dumps(SCHEMAS, indent=1), "äöü😀 the and of x1 " * 5]
    return {
        "bpe": Vocabulary.of(train_bpe(texts, 500)),
        "char": Vocabulary.of(CharTokenizer("éï😀"), size=280),
    }


@pytest.mark.parametrize("name", SCHEMAS)
@given(random=st.randoms(use_true_random=False), tokenizer=st.sampled_from(["bpe", "char"]))
@settings(max_examples=8)
def test_what_is_written_validates(
    name: str, random: Random, tokenizer: str, vocabularies: dict[str, Vocabulary]
) -> None:
    constraint = _constraint(name, tokenizer, vocabularies)
    text = text_of(constraint, walk(constraint, random)).decode("utf-8")
    value = json.loads(text, parse_constant=pytest.fail)
    jsonschema.validate(value, SCHEMAS[name], format_checker=jsonschema.FormatChecker())


_MADE: dict[tuple[str, str], JSONSchemaConstraint] = {}


def _constraint(
    name: str, tokenizer: str, vocabularies: dict[str, Vocabulary]
) -> JSONSchemaConstraint:
    key = name, tokenizer
    if key not in _MADE:
        _MADE[key] = JSONSchemaConstraint(SCHEMAS[name], vocabularies[tokenizer])
    return _MADE[key]


def schemas() -> st.SearchStrategy[Any]:
    """Schemas of everything that is supported, in everything."""
    scalars = st.sampled_from(
        [
            {"type": "integer", "minimum": -3},
            {"type": "string", "maxLength": 4},
            {"type": "boolean"},
            {"type": ["null", "number"]},
            {"enum": ["a", 1, None]},
            {"const": 'x"y'},
            {"type": "string", "pattern": "^a+b"},
        ]
    )

    def more(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        properties = st.dictionaries(st.sampled_from(["a", "b", "ü", '"', "\n"]), inner)
        return st.one_of(
            properties.flatmap(
                lambda found: st.fixed_dictionaries(
                    {
                        "type": st.just("object"),
                        "properties": st.just(found),
                        "required": st.lists(st.sampled_from(sorted(found)), unique=True)
                        if found
                        else st.just([]),
                    }
                )
            ),
            st.fixed_dictionaries({"items": inner, "minItems": st.integers(0, 2)}),
            st.fixed_dictionaries({"items": inner, "maxItems": st.integers(0, 3)}),
            st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
            st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=2)}),
            st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
        )

    return st.recursive(scalars, more, max_leaves=5)


@given(schema=schemas(), random=st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_random_schemas_are_kept_or_refused(
    schema: Any, random: Random, vocabularies: dict[str, Vocabulary]
) -> None:
    try:
        constraint = JSONSchemaConstraint(schema, vocabularies["bpe"])
    except UserError as refusal:
        assert "oneOf" in str(refusal)
        return
    for _ in range(3):
        text = text_of(constraint, walk(constraint, random)).decode("utf-8")
        jsonschema.validate(json.loads(text), schema)


@given(random=st.randoms(use_true_random=False))
@settings(max_examples=5)
def test_json_objects(random: Random, vocabularies: dict[str, Vocabulary]) -> None:
    constraint = _object_constraint(vocabularies["bpe"])
    text = text_of(constraint, walk(constraint, random, at_random=80)).decode("utf-8")
    assert isinstance(json.loads(text), dict)


_OBJECTS: list[JSONObjectConstraint] = []


def _object_constraint(vocabulary: Vocabulary) -> JSONObjectConstraint:
    if not _OBJECTS:
        _OBJECTS.append(JSONObjectConstraint(vocabulary))
    return _OBJECTS[0]


def test_ordinary_json_is_in_the_language() -> None:
    machine = automaton(any_object(4))
    value = {"a": [1, -2.5e3, True, None, 'q"\\\n é😀'], "b": {}, "": [{}, {"c": []}]}
    assert machine.accepts(json.dumps(value, ensure_ascii=False).encode())
    assert machine.accepts(b'{ "a":[ 1, 2 ] }')
    for text in (b"{", b"[]", b'{"a"}', b'{"a":01}', b'{"a":1.}', b'{"a":"\n"}', b'{"a":1,}'):
        assert not machine.accepts(text)
    nested = b'{"a":' * JSON_DEPTH + b"1" + b"}" * JSON_DEPTH
    deepest = automaton(any_object(JSON_DEPTH))
    assert deepest.accepts(nested)
    assert not deepest.accepts(b'{"a":' + nested + b"}")


@given(st.integers(-2000, 2000), st.integers(0, 2000), st.lists(st.integers(-4500, 4500)))
@settings(max_examples=60)
def test_integers_between(low: int, width: int, others: list[int]) -> None:
    machine = automaton(integer_between(low, low + width))
    for number in (*others, low - 1, low, low + width, low + width + 1, 0):
        assert machine.accepts(str(number).encode()) == (low <= number <= low + width)
    assert not machine.accepts(b"-0") and not machine.accepts(b"007")


@pytest.mark.parametrize("tokenizer", ["gpt2", "llama2"])
def test_published_vocabularies_write_json(tokenizer: str, data_folder: Path) -> None:
    folder = data_folder / "tokenizers" / tokenizer
    if not folder.is_dir():
        pytest.skip(f"no tokenizer {tokenizer} in the data folder")
    end = {"gpt2": 50256, "llama2": 2}[tokenizer]
    vocabulary = Vocabulary.of(load_tokenizer(folder), end_ids=[end], size=50304)
    random = Random(3)
    for name in ("person", "one-of", "search"):
        constraint = JSONSchemaConstraint(SCHEMAS[name], vocabulary)
        mask = constraint.mask(constraint.automaton.start)
        assert mask.shape == (50304,)
        for _ in range(5):
            text = text_of(constraint, walk(constraint, random)).decode("utf-8")
            jsonschema.validate(json.loads(text), SCHEMAS[name])


# What is refused, and where the message says it is.
OBJECT = {"type": "object"}
WRONG: dict[str, tuple[Any, str]] = {
    "not-a-schema": ([], "#, a schema must be"),
    "false": ({"items": False}, "#/items, false"),
    "unknown-keyword": ({"type": "string", "foo": 1}, "#/foo, the keyword 'foo'"),
    "keyword-alone": ({"not": {}}, "#/not, the keyword"),
    "other-type": ({"type": "string", "minimum": 1}, "#/minimum, .* for string"),
    "if": ({"type": "object", "if": {}}, "#/if"),
    "unique": ({"type": "array", "uniqueItems": True}, "#/uniqueItems"),
    "tuple": ({"type": "array", "prefixItems": [{}]}, "#/prefixItems"),
    "patternProperties": ({**OBJECT, "patternProperties": {}}, "#/patternProperties"),
    "multiple": ({"type": "integer", "multipleOf": 5}, "#/multipleOf"),
    "unknown-type": ({"type": "int"}, "#/type"),
    "type-twice": ({"type": ["null", "null"]}, "#/type"),
    "type-of-types": ({"type": [["null"]]}, "#/type"),
    "inside": ({"properties": {"a/b": {"items": {"oops": 1}}}}, "#/properties/a~1b/items/oops"),
    "any-of-beside": ({"anyOf": [{}], "properties": {}}, "#/properties, .* beside anyOf"),
    "any-of-nothing": ({"anyOf": []}, "#/anyOf"),
    "all-of-two": ({"allOf": [{}, {}]}, "#/allOf"),
    "one-of-both": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "use anyOf"),
    "one-of-lists": ({"oneOf": [{"const": [1]}, {"const": [1.0]}]}, "use anyOf"),
    "one-of-anything": ({"oneOf": [{}, {"type": "null"}]}, "use anyOf"),
    "one-of-untyped": ({"oneOf": [{"type": "integer"}, {"items": {}}]}, "use anyOf"),
    "enum-of-nothing": ({"enum": []}, "#/enum"),
    "enum-of-other-type": ({"enum": ["a"], "type": "null"}, "#, no value is left"),
    "infinite": ({"const": float("inf")}, "cannot be written"),
    "surrogate": ({"const": "\ud800"}, "cannot be written"),
    "surrogate-name": ({"properties": {"\ud800": {}}}, "not text"),
    "required-unknown": ({"properties": {}, "required": ["a"]}, "#/required, 'a'"),
    "required-text": ({"properties": {}, "required": "a"}, "#/required, required must be"),
    "properties-list": ({"properties": []}, "#/properties"),
    "further": ({"properties": {"a": {}}, "additionalProperties": {}}, "#/additionalProperties"),
    "bound-float": ({"type": "integer", "minimum": 0.5}, "#/minimum"),
    "bound-true": ({"type": "integer", "minimum": True}, "#/minimum"),
    "bounds-apart": ({"type": "integer", "minimum": 3, "maximum": 2}, "#, no integer"),
    "bound-of-number": ({"type": "number", "minimum": 1}, "#/minimum"),
    "negative": ({"type": "string", "minLength": -1}, "#/minLength"),
    "endless": ({"type": "string", "maxLength": 10**9}, "#/maxLength"),
    "backwards": ({"type": "array", "minItems": 2, "maxItems": 1}, "#/maxItems"),
    "format": ({"type": "string", "format": "email"}, "#/format"),
    "bad-pattern": ({"type": "string", "pattern": "(?=a)"}, "#/pattern, the pattern"),
    "pattern-number": ({"type": "string", "pattern": 5}, "#/pattern"),
    "pattern-length": ({"type": "string", "pattern": "a", "maxLength": 5}, "#/pattern, it matches"),
    "reference-away": ({"$ref": "https://example.com/x"}, "#/\\$ref, only"),
    "reference-nowhere": ({"$ref": "#/$defs/x"}, "#/\\$ref, there is nothing"),
    "reference-number": ({"$ref": 5}, "#/\\$ref"),
    "root": ({"properties": {"a": {"$ref": "#"}}}, "#/properties/a/\\$ref, .* itself"),
    "itself": ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "itself"),
    "in-a-ring": ({"properties": {"a": {"items": {"$ref": "#/properties/a"}}}}, "itself"),
}


@pytest.mark.parametrize("schema, said", WRONG.values(), ids=WRONG)
def test_what_is_refused_and_where(schema: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        read_schema(schema)
    assert len(str(refusal.value)) < 500


def hostile() -> dict[str, Any]:
    deep: Any = {"type": "null"}
    for _ in range(1_000_000):
        deep = {"type": "array", "items": deep}
    deep_value: Any = []
    for _ in range(100_000):
        deep_value = [deep_value]
    doubling = {str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(30)}
    counted = {str(i): {"items": {"$ref": f"#/$defs/{i + 1}"}, "minItems": 1000} for i in range(9)}
    return {
        "deep": deep,
        "deep-value": {"const": deep_value},
        "many-values": {"enum": list(range(1_000_000))},
        "long-values": {"enum": ["x" * 1000] * 9000},
        "long-name": {"properties": {"x" * 1_000_000: {"oops": 1}}},
        "many-properties": {"properties": {str(i): {} for i in range(100_000)}},
        "many-branches": {"oneOf": [{"const": i} for i in range(9000)]},
        "doubling": {"$ref": "#/$defs/0", "$defs": {**doubling, "30": {"type": "null"}}},
        "counted": {"$ref": "#/$defs/0", "$defs": {**counted, "9": {"type": "null"}}},
        "long-text": {"type": "string", "maxLength": 100_000},
        "bomb": {"type": "string", "pattern": "(a|b)*a(a|b){20}$"},
    }


def test_hostile_schemas_are_refused_in_bounded_time() -> None:
    """Without bounds this would take not seconds, but hours."""
    for name, schema in hostile().items():
        with pytest.raises(UserError) as refusal:
            automaton(read_schema(schema))
        assert len(str(refusal.value)) < 500, name
        while isinstance(schema, dict) and "items" in schema:  # deep: taken apart from outside
            schema = schema["items"]
