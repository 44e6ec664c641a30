"""JSON: whatever is written under a schema validates, by the ``jsonschema`` package."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from constrained_walk import fits, text_of, walk
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import JSONObjectConstraint, JSONSchemaConstraint
from glassmind.generate.constraint.json_schema import prepared_schema
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize import CharTokenizer, train_bpe

FORMATS = jsonschema.Draft202012Validator.FORMAT_CHECKER

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
    "pattern-properties": {
        "type": "object",
        "patternProperties": {"^n": {"type": "integer"}},
        "additionalProperties": False,
    },
    "no-properties": {"type": "object", "properties": {}},
    "array-of-arrays": {"items": {"items": {"type": "null"}, "maxItems": 2}, "maxItems": 3},
    "no-items": {"type": "array", "maxItems": 0},
    "bounds": {"type": "integer", "minimum": -1205, "maximum": 93},
    "above": {"type": "integer", "exclusiveMinimum": 41},
    "number": {"type": "number"},
    "multiple": {"type": "number", "multipleOf": 0.5},
    "choice": {"anyOf": [{"type": "number"}, {"const": {"a": [1, 2.5, "é"]}}, {"type": "null"}]},
    "one-of": {
        "oneOf": [
            {"type": "object", "properties": {"k": {"const": 1}}, "required": ["k"]},
            {"type": "object", "properties": {"k": {"enum": [2, True]}}, "required": ["k"]},
            {"type": "string"},
            {"type": "null"},
        ]
    },
    # As Pydantic writes a union with a discriminator; it holds itself.
    "union": {
        "$defs": {
            "Num": {
                "type": "object",
                "properties": {
                    "kind": {"const": "num", "type": "string"},
                    "n": {"type": "integer"},
                },
                "required": ["kind", "n"],
                "additionalProperties": False,
            },
            "Neg": {
                "type": "object",
                "properties": {
                    "kind": {"const": "neg", "type": "string"},
                    "of": {"oneOf": [{"$ref": "#/$defs/Num"}, {"$ref": "#/$defs/Neg"}]},
                },
                "required": ["kind", "of"],
                "additionalProperties": False,
            },
        },
        "discriminator": {"propertyName": "kind"},
        "oneOf": [{"$ref": "#/$defs/Num"}, {"$ref": "#/$defs/Neg"}],
    },
    "references": {
        "$defs": {"a/b": {"type": "array", "items": {"$ref": "#/$defs/c"}}, "c": {"const": 1}},
        "anyOf": [{"$ref": "#/$defs/a~1b"}, {"allOf": [{"$ref": "#/$defs/c"}]}],
    },
    "documents-of-their-own": {
        "properties": {
            "name": {"const": "set"},
            "arguments": {
                "$id": "urn:tool:0",
                "properties": {
                    "name": {"enum": ["ann", "bob"]},
                    "as": {"$ref": "#/properties/name"},
                },
                "required": ["name", "as"],
            },
        },
        "required": ["name", "arguments"],
    },
    "pattern": {"type": "string", "pattern": '^[a-c"\\\\\n]{2,4}$', "minLength": 2},
    "search": {"type": "string", "pattern": "x\\d|^é"},
    "shorthand": {"type": "string", "pattern": "^\\W\\S\\D[^a-z]$"},
    "brackets": {"type": "string", "pattern": "^[[&&~\\S]][^\\W]$"},
    "long": {"type": "string", "minLength": 200, "maxLength": 220},
    "time": {"type": "string", "format": "time"},
    "date-time": {"type": "string", "format": "date-time"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "ipv6": {"type": "string", "format": "ipv6"},
    "json-pointer": {"type": "string", "format": "json-pointer", "maxLength": 9},
    "date-with-pattern": {"type": "string", "format": "date", "pattern": "^20"},
    "enum-of-type": {"type": "integer", "enum": ["1", 2, True, 3.0]},
    # Schemas that people sent and other servers refused (llama.cpp#16790, vllm#45592).
    "number-bounds": {
        "type": "object",
        "properties": {"x": {"type": "number", "exclusiveMinimum": 0, "maximum": 1}},
        "required": ["x"],
    },
    "recursive": {
        "$defs": {
            "N": {
                "type": "object",
                "properties": {
                    "v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]},
                },
                "required": ["v", "next"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/N",
    },
    "pattern-and-length": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 3},
    "email": {"type": "string", "format": "email"},
    "prefix-items": {
        "type": "array",
        "prefixItems": [{"type": "string"}, {"type": "integer"}],
        "minItems": 2,
        "maxItems": 2,
    },
    "nullable": {"type": "string", "nullable": True},
    "int32": {"type": "integer", "format": "int32"},
    "date": {"type": "string", "format": "date"},
}


@pytest.fixture(scope="module")
def vocabularies() -> dict[str, Vocabulary]:
    texts = [json.dumps(SCHEMAS), json.dumps(SCHEMAS, indent=1), "äöü😀 the and of x1 " * 5]
    return {
        "bpe": Vocabulary.of(train_bpe(texts, 500)),
        "char": Vocabulary.of(CharTokenizer("éï😀"), size=280),
    }


@pytest.mark.parametrize("name", SCHEMAS)
@given(seed=st.integers(0, 1 << 32), tokenizer=st.sampled_from(["bpe", "char"]))
@settings(max_examples=8, deadline=None)
def test_what_is_written_validates(
    name: str, seed: int, tokenizer: str, vocabularies: dict[str, Vocabulary]
) -> None:
    constraint = JSONSchemaConstraint(SCHEMAS[name], vocabularies[tokenizer])
    ids = walk(constraint, Random(seed))
    if ids is None:
        return
    text = text_of(constraint, ids).decode("utf-8")
    value = json.loads(text, parse_constant=pytest.fail)
    jsonschema.validate(value, SCHEMAS[name], format_checker=FORMATS)


def schemas() -> st.SearchStrategy[Any]:
    """Schemas of everything that is supported, in everything."""
    scalars = st.sampled_from(
        [
            {"type": "integer", "minimum": -3},
            {"type": "number", "exclusiveMaximum": 2.5},
            {"type": "string", "maxLength": 4},
            {"type": "string", "format": "date"},
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
            st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
            st.fixed_dictionaries({"type": st.just("object"), "additionalProperties": inner}),
        )

    return st.recursive(scalars, more, max_leaves=5)


@given(schema=schemas(), seed=st.integers(0, 1 << 32))
@settings(max_examples=40, deadline=None)
def test_random_schemas_are_kept_or_refused(
    schema: Any, seed: int, vocabularies: dict[str, Vocabulary]
) -> None:
    try:
        constraint = JSONSchemaConstraint(schema, vocabularies["bpe"])
    except UserError:
        assert "oneOf" in str(schema) or "allOf" in str(schema), "everything else is supported"
        return
    random = Random(seed)
    for _ in range(3):
        ids = walk(constraint, random)
        if ids is not None:
            text = text_of(constraint, ids).decode("utf-8")
            jsonschema.validate(json.loads(text), schema, format_checker=FORMATS)


@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=5, deadline=None)
def test_json_objects(seed: int, vocabularies: dict[str, Vocabulary]) -> None:
    constraint = JSONObjectConstraint(vocabularies["bpe"])
    ids = walk(constraint, Random(seed), at_random=80)
    assert ids is not None
    assert isinstance(json.loads(text_of(constraint, ids)), dict)


def test_ordinary_json_is_allowed(vocabularies: dict[str, Vocabulary]) -> None:
    anything = JSONObjectConstraint(vocabularies["char"])
    value = {"a": [1, -2.5e3, True, None, 'q"\\\n ü'], "b": {}, "": [{}, {"c": []}]}
    assert fits(anything, json.dumps(value, ensure_ascii=False).encode())
    assert fits(anything, json.dumps(value, separators=(",", ":")).replace("\\u00fc", "").encode())
    assert fits(anything, b'{ "a" :[ 1, 2 ] }')
    assert fits(anything, b'{"a":' * 40 + b"1" + b"}" * 40)
    for text in (b"{", b"[]", b'{"a"}', b'{"a":01}', b'{"a":1.}', b'{"a":"\n"}', b'{"a":1,}',
                 b' {"a":1}', b'{"a":1} ', b'{  "a":1}'):  # fmt: skip
        assert not fits(anything, text), text


@given(st.integers(-2000, 2000), st.integers(0, 2000), st.lists(st.integers(-4500, 4500)))
@settings(max_examples=30, deadline=None)
def test_integers_between(
    vocabularies: dict[str, Vocabulary], low: int, width: int, others: list[int]
) -> None:
    schema = {"type": "integer", "minimum": low, "maximum": low + width}
    constraint = JSONSchemaConstraint(schema, vocabularies["char"])
    for number in (*others[:4], low - 1, low, low + width, low + width + 1, 0):
        assert fits(constraint, b"%d" % number) == (low <= number <= low + width)
    assert not fits(constraint, b"007")


def test_dates_are_those_of_the_calendar(vocabularies: dict[str, Vocabulary]) -> None:
    date = JSONSchemaConstraint({"type": "string", "format": "date"}, vocabularies["char"])
    for day in ("2024-02-29", "2000-02-29", "0004-02-29", "1999-12-31", "9999-01-01"):
        assert fits(date, json.dumps(day).encode()), day
    for day in ("2023-02-29", "1900-02-29", "2024-02-30", "2024-04-31", "0000-01-01", "0000-02-29",
                "2024-1-1", "2024-13-01", "2024-00-10", "2024-01-00"):  # fmt: skip
        assert not fits(date, json.dumps(day).encode()), day
    moment = JSONSchemaConstraint({"type": "string", "format": "date-time"}, vocabularies["char"])
    assert fits(moment, b'"2024-02-29T23:59:59.5+01:30"') and fits(
        moment, b'"2024-02-29T00:00:00Z"'
    )
    assert not fits(moment, b'"2023-02-29T00:00:00Z"') and not fits(moment, b'"2024-02-29"')


def test_formats_of_integers_are_bounds(vocabularies: dict[str, Vocabulary]) -> None:
    def of(schema: dict[str, Any]) -> JSONSchemaConstraint:
        return JSONSchemaConstraint({"type": "integer", **schema}, vocabularies["char"])

    int32 = of({"format": "int32"})
    for number in (-(2**31), 0, 2**31 - 1):
        assert fits(int32, str(number).encode())
    assert not fits(int32, str(2**31).encode()) and not fits(int32, str(-(2**31) - 1).encode())
    above = of({"format": "uint8", "minimum": 250})
    assert [n for n in range(240, 260) if fits(above, b"%d" % n)] == list(range(250, 256))
    assert fits(of({"format": "int64"}), b"999999999999999999")
    assert fits(of({"format": "mine"}), b"5"), "an unknown format is a remark"


def test_white_space_is_bounded(vocabularies: dict[str, Vocabulary]) -> None:
    pair = JSONSchemaConstraint({"items": {"type": "null"}, "type": "array"}, vocabularies["char"])
    assert fits(pair, b"[null,null]") and fits(pair, b"[ null , null ]")
    for text in (b"[  null]", b"[\nnull]", b" [null]", b"[null] "):
        assert not fits(pair, text)


def test_what_must_come_is_forced_and_written_as_the_tokenizer_would() -> None:
    tokenizer = train_bpe(['{"temperature": 1, "time": 22}' * 3, "t te tem time " * 9], 400)
    schema = {
        "properties": {"temperature": {"type": "boolean"}, "time": {"const": 22}},
        "required": ["temperature", "time"],
        "additionalProperties": False,
        "type": "object",
    }
    vocabulary = Vocabulary.of(tokenizer)
    constraint = JSONSchemaConstraint(schema, vocabulary)
    follower = constraint.begin()
    wanted = tokenizer.encode('{"temperature": true, "time": 22}')
    forced = 0
    at = 0
    while at < len(wanted):
        mask = follower.allowed()
        assert mask is not None and mask[wanted[at]]
        reaction = follower.see(wanted[at])
        at += 1
        for token in reaction.forced:  # what is forced is what the tokenizer writes
            assert token == wanted[at]
            assert not follower.see(token).forced
            at += 1
            forced += 1
    assert forced >= 3, "the names of the properties"
    blind = Vocabulary(vocabulary.token_bytes, vocabulary.end_ids)  # cannot encode: forces nothing
    follower = JSONSchemaConstraint(schema, blind).begin()
    ids = [token for token in wanted for _ in (0,) if not follower.see(token).forced]
    assert ids == wanted


@pytest.mark.parametrize("tokenizer", ["gpt2", "llama2"])
def test_published_vocabularies_write_json(tokenizer: str, data_folder: Path) -> None:
    folder = data_folder / "tokenizers" / tokenizer
    if not folder.is_dir():
        pytest.skip(f"no tokenizer {tokenizer} in the data folder")
    end = {"gpt2": 50256, "llama2": 2}[tokenizer]
    reader = load_tokenizer(folder)
    vocabulary = Vocabulary.of(reader, end_ids=[end], size=50304)
    random = Random(3)
    for name in ("person", "union", "date"):
        constraint = JSONSchemaConstraint(SCHEMAS[name], vocabulary)
        mask = constraint.begin().allowed()
        assert mask is not None and mask.shape == (50304,)
        for _ in range(3):
            ids = walk(constraint, random)
            assert ids is not None
            text = reader.decode_bytes([i for i in ids if i != end]).decode("utf-8")
            assert text.encode() == text_of(constraint, ids)
            jsonschema.validate(json.loads(text), SCHEMAS[name])


# What is refused, and what the message says.
WRONG: dict[str, tuple[Any, str]] = {
    "not-a-schema": ([], "at #, a schema must be"),
    "false": (False, "schema is false"),
    "keyword": ({"not": {}}, "not"),
    "if": ({"type": "object", "if": {}}, "if"),
    "unique": ({"type": "array", "uniqueItems": True}, "uniqueItems"),
    "unknown-type": ({"type": "int"}, "int"),
    "any-of-nothing": ({"anyOf": []}, "anyOf"),
    "one-of-both": ({"oneOf": [{"type": "integer"}, {"type": "number"}]}, "oneOf"),
    "one-of-true-and-one": ({"oneOf": [{"enum": [1, "a"]}, {"enum": [1.0, True]}]}, "oneOf"),
    "one-of-optional": ({"oneOf": [{"properties": {"k": {"const": n}}} for n in (1, 2)]}, "oneOf"),
    "enum-of-other-type": ({"enum": ["a"], "type": "null"}, "Unsatisfiable"),
    "infinite": ({"const": float("inf")}, "cannot be written|cannot be enforced|as JSON"),
    "surrogate": ({"const": "\ud800"}, "as JSON"),
    "surrogate-name": ({"properties": {"\ud800": {}}}, "as JSON"),
    "not-json": ({"const": {1, 2}}, "as JSON"),
    "bounds-apart": ({"type": "integer", "minimum": 3, "maximum": 2}, "greater"),
    "lengths-apart": ({"type": "string", "minLength": 5, "pattern": "^a$"}, "Unsatisfiable"),
    "format": ({"type": "string", "format": "uri-template"}, "#/format, the format"),
    "bad-pattern": ({"type": "string", "pattern": "(?=a)"}, "look-around"),
    "reference-away": ({"$ref": "https://example.com/x"}, "example.com"),
    "reference-to-a-file": ({"$ref": "file:///etc/passwd"}, "passwd"),
    "reference-nowhere": ({"$ref": "#/$defs/x"}, "defs/x"),
    "nothing-but-itself": ({"$ref": "#"}, "nothing"),
    "switched-off": ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
}


@pytest.mark.parametrize("schema, said", WRONG.values(), ids=WRONG)
def test_what_is_refused_and_why(
    schema: Any, said: str, vocabularies: dict[str, Vocabulary]
) -> None:
    with pytest.raises(UserError, match=said) as refusal:
        JSONSchemaConstraint(schema, vocabularies["char"])
    assert len(str(refusal.value)) < 500 and "\n" not in str(refusal.value)


def test_what_says_nothing_is_ignored(vocabularies: dict[str, Vocabulary]) -> None:
    schema = {
        "type": "array",
        "uniqueItems": False,
        "x-mine": 3,
        "$schema": "urn:mine",
        "maxItems": 1,
    }
    assert fits(JSONSchemaConstraint(schema, vocabularies["char"]), b"[1]")
    # A keyword's name may be a property's, and the values of const are no schemas.
    schema = {"properties": {"format": {"const": {"format": "int8"}}}, "required": ["format"]}
    assert json.loads(prepared_schema(schema)) == schema


def hostile() -> dict[str, Any]:
    deep: Any = {"type": "null"}
    for _ in range(100_000):
        deep = {"type": "array", "items": deep}
    deep_value: Any = []
    for _ in range(10_000):
        deep_value = [deep_value]
    counted = {str(i): {"items": {"$ref": f"#/$defs/{i + 1}"}, "minItems": 1000} for i in range(9)}
    eight = [
        {
            "anyOf": [
                {"properties": {f"p{i}": {"const": j}}, "required": [f"p{i}"]} for j in range(8)
            ]
        }
        for i in range(8)
    ]
    return {
        "deep": deep,
        "deep-value": {"const": deep_value},
        "many-values": {"enum": list(range(1_000_000))},
        "many-structures": {"enum": [{"a": i} for i in range(5000)]},
        "many-properties": {"properties": {str(i): {} for i in range(100_000)}},
        "many-branches": {"anyOf": [{"const": i} for i in range(9000)]},
        "long-name": {"properties": {"x" * 2_000_000: {}}},
        "steps": {"type": "integer", "multipleOf": 99_999_989},
        "steps-together": {"allOf": [{"multipleOf": 997}, {"multipleOf": 991}]},
        "small-steps": {"type": "number", "multipleOf": 1e-300},
        "all-of-any-of": {"type": "object", "allOf": eight},
        "patterns": {"type": "object", "patternProperties": {
            f"^(a|b)*a(a|b){{{i}}}$": {} for i in range(10, 40)}},
        "huge-number": {"type": "integer", "minimum": 10**5000},
        "repeated": {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"},
        "counted": {"$ref": "#/$defs/0", "$defs": counted, "type": "null", "const": 1},
    }  # fmt: skip


def test_hostile_schemas_are_refused(vocabularies: dict[str, Vocabulary]) -> None:
    """Without bounds some of these would take not seconds, but hours, or crash the process."""
    for name, schema in hostile().items():
        with pytest.raises(UserError) as refusal:
            JSONSchemaConstraint(schema, vocabularies["char"])
        assert len(str(refusal.value)) < 500, name
        while isinstance(schema, dict) and "items" in schema:  # deep: taken apart from outside
            schema = schema["items"]


LARGE: dict[str, Any] = {
    "doubling": {
        "$ref": "#/$defs/0",
        "$defs": {
            **{str(i): {"anyOf": [{"$ref": f"#/$defs/{i + 1}"}] * 2} for i in range(30)},
            "30": {"type": "null"},
        },
    },
    "endless": {"type": "string", "maxLength": 10**9},
    "long": {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
    "bomb": {"type": "string", "pattern": "^(a|b)*a(a|b){200}$"},
    "many": {"enum": [f"value {i}" for i in range(9000)]},
}


@pytest.mark.parametrize("name", LARGE)
def test_large_schemas_cost_little(name: str, vocabularies: dict[str, Vocabulary]) -> None:
    follower = JSONSchemaConstraint(LARGE[name], vocabularies["char"]).begin()
    random = Random(1)
    for _ in range(60):
        mask = follower.allowed()
        assert mask is not None and mask.any()
        reaction = follower.see(random.choice(mask.nonzero()[:, 0].tolist()))
        for token in reaction.forced:
            reaction = follower.see(token)
        if reaction.finished:
            break
