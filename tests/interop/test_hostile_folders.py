"""Hugging Face folders that are damaged, or made to do harm: one sentence is all that happens.

``corpus/huggingface`` has one small sound folder, and beside it files that each take the place of
one of its own and have one fault, which their name tells.
"""

from __future__ import annotations

import json
import math
import shutil
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.interop.building import MOST_TABLE_NUMBERS, skeleton
from glassmind.interop.canonical import differences
from glassmind.interop.huggingface import FAMILIES, choose_family, load_folder
from glassmind.interop.huggingface.json_fields import Fields
from glassmind.interop.huggingface.safetensors_file import read_header, read_tensor
from glassmind.model import PRESETS
from glassmind.serialization import parse_object

CORPUS = Path(__file__).parent / "corpus" / "huggingface"
WHOLE = (CORPUS / "model.safetensors").read_bytes()

# What is said of each file, in part.
SAID = {
    "weights": {
        "backward_offsets": "model.norm.weight has -8 bytes",
        "beyond_the_file": "model.norm.weight overlaps another, or leaves a gap",
        "cut_in_data": "tensors end at byte 1416, and the file at byte 1409",
        "cut_in_header": "claims a header of 1056 bytes, but has 100",
        "empty": "ends too early",
        "extra_tensor": "no tensor model.layers.1.input_layernorm.weight",
        "five_bytes": "ends too early",
        "fractional_shape": r"model.norm.weight has the impossible shape \[4.0\]",
        "header_is_a_list": "must hold a JSON object",
        "header_is_no_json": "not valid JSON",
        "header_is_no_utf8": "not valid JSON",
        "header_nested_deeply": "not valid JSON",
        "header_of_1e15_bytes": "claims a header of 1000000000000000 bytes",
        "header_of_2_to_the_64_bytes": "claims a header of 18446744073709551615 bytes",
        "header_without_tensors": "n_layers = 1, more than its 0 tensors",
        "integers": "model.norm.weight has dtype I16",
        "missing_tensor": "tensor model.norm.weight is missing",
        "name_that_writes_on_the_terminal": "tensor model.norm.weight is missing",
        "name_twice": "model.norm.weight' is there twice",
        "negative_offset": "model.norm.weight has the impossible data_offsets",
        "negative_shape": "model.norm.weight has the impossible shape",
        "one_offset": "model.norm.weight has the impossible data_offsets",
        "overlapping": "overlaps another",
        "really_a_pickle": "not a safetensors file",
        "shape_that_overflows": "model.norm.weight has 8 bytes, which is not its shape",
        "something_after_the_end": "tensors end at byte 1416, and the file at byte 1420",
        "tensor_is_null": "model.norm.weight is not described by an object",
        "unknown_dtype": "model.norm.weight has the unknown dtype F4",
        "wrong_shape": r"q_proj.weight has shape \[2, 8\], and config.json makes it \[4, 4\]",
    },
    "configs": {
        "a_billion_layers": "n_layers = 1000000000; 1000 are the limit",
        "a_list": "must hold a JSON object",
        "a_million_heads": "n_heads = 1000000, more than",
        "activation_we_lack": r"hidden_act \(gelu\)",
        "architecture_is_a_number": r"model_type \(7\) must be a string",
        "context_of_1e12": "a context of 1000000000000 tokens",
        "empty": "not valid JSON",
        "heads_of_1e9": "head_dim = 1000000000, more than",
        "integer_of_400_digits": "rms_norm_eps .* must be a number below 1e30",
        "key_twice": "the key 'model_type' is there twice",
        "more_layers_than_tensors": "n_layers = 5000; 1000 are the limit",
        "nested_deeply": "not valid JSON",
        "no_architecture": "model_type is missing",
        "no_numbers": r"rms_norm_eps \(NaN\)",
        "no_size": "hidden_size is missing",
        "not_json": "not valid JSON",
        "quantized": "quantization_config .* is not supported",
        "size_in_words": r"hidden_size \(four\) must be a whole number",
        "unknown_architecture": r"model_type \(mamba2\) is not one of apertus, .*qwen3",
        "vocabulary_of_1e12": "vocab_size = 1000000000000, more than",
        "wider_than_the_file": "d_model = 1073741824, more than",
        "zero_heads": r"attention.n_heads \(0\)",
    },
    "indexes": {
        "a_list": "weight_map .* must be an object",
        "absolute_path": "/etc/passwd must name a .safetensors file in its folder",
        "empty_object": "n_layers = 1, more than its 0 tensors",
        "file_that_is_not_there": "model-00002-of-00002.safetensors is missing",
        "no_safetensors": "model.bin must name a .safetensors file",
        "numbers_for_names": r"\(1\) must be a string",
        "on_another_system": "must name a .safetensors file in its folder",
        "out_of_the_folder": "../model.safetensors must name a .safetensors file in its folder",
        "tensor_that_is_not_there": "tensor another is missing",
    },
}
PLACES = {
    "weights": ("model.safetensors", None),
    "configs": ("config.json", "model.safetensors"),
    "indexes": ("model.safetensors.index.json", "shard.safetensors"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For examples of hypothesis, which write over each other's files."""
    return tmp_path_factory.mktemp("place")


def test_the_corpus_is_whole() -> None:
    assert load_folder(CORPUS).model.config.d_model == 4
    for kind, said in SAID.items():
        assert {path.stem for path in (CORPUS / kind).iterdir()} == said.keys()


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, said in SAID.items() for name in said]
)
def test_what_is_wrong_is_said(kind: str, name: str, tmp_path: Path) -> None:
    (bad,) = (CORPUS / kind).glob(f"{name}.*")
    taken, weights = PLACES[kind]
    shutil.copy(CORPUS / "config.json", tmp_path)
    if weights is not None:
        shutil.copy(CORPUS / "model.safetensors", tmp_path / weights)
    shutil.copy(bad, tmp_path / taken)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=SAID[kind][name]) as caught:
            load_folder(tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 30e6
    finally:
        tracemalloc.stop()
    said = str(caught.value)
    assert str(tmp_path) in said and said.isprintable() and len(said) < 600


def test_only_a_pickle_is_there(tmp_path: Path) -> None:
    shutil.copy(CORPUS / "config.json", tmp_path)
    with pytest.raises(UserError, match=r"has no weights: neither model\.safetensors nor"):
        load_folder(tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin is a pickle.*save_pretrained"):
        load_folder(tmp_path)


def test_there_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_folder(tmp_path / "nowhere")


def check_header(path: Path) -> None:
    """The file is refused, or every tensor lies in it with as many bytes as its shape needs."""
    try:
        tensors = read_header(path)
        for tensor in tensors.values():
            assert read_tensor(tensor).numel() == math.prod(tensor.shape)
    except UserError as error:
        assert str(error).isprintable()


@given(
    edits=st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, len(WHOLE)),
    more=st.binary(max_size=9),
)
def test_any_bytes_changed(
    place: Path, edits: list[tuple[int, int]], cut: int, more: bytes
) -> None:
    data = bytearray(WHOLE)
    for at, byte in edits:
        data[at] = byte
    path = place / "changed.safetensors"
    path.write_bytes(bytes(data) if len(edits) > 1 else bytes(data[:cut]) + more)
    check_header(path)


SIZES = st.integers(-3, 20) | st.sampled_from([2**31, 2**40 + 1, 2**62, 2**63, 2**64, 10**400])
JUNK = st.recursive(
    st.none() | st.booleans() | SIZES | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "BF16", "F8_E4M3", "I64", "BOOL", "C64"]) | JUNK,
        "shape": st.lists(SIZES, max_size=3) | JUNK,
        "data_offsets": st.tuples(SIZES, SIZES) | JUNK,
    },
)


@given(st.dictionaries(st.text(max_size=8), ENTRY | JUNK, max_size=4), st.integers(0, 64))
def test_any_header(place: Path, header: dict[str, Any], n_bytes: int) -> None:
    path = place / "made_up.safetensors"
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(n_bytes))
    check_header(path)


@given(st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=5))
def test_every_sound_header_is_read(place: Path, shapes: list[list[int]]) -> None:
    header, end = {}, 0
    for number, shape in enumerate(shapes):
        start, end = end, end + 4 * math.prod(shape)
        header[f"{number}"] = {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}
    path = place / "sound.safetensors"
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + bytes(end))
    found = read_header(path)
    assert [list(read_tensor(found[f"{n}"]).shape) for n in range(len(shapes))] == shapes


def every_config() -> Iterator[dict[str, Any]]:
    """A sound config.json of every preset, and so of every family."""
    for preset in PRESETS.values():
        try:
            family = choose_family(preset)
        except UserError:
            continue
        yield json.loads(json.dumps({"model_type": family.model_type, **family.write(preset)}))


CONFIGS = list(every_config())
WORDS = st.sampled_from(["silu", "relu", "default", "yarn", "llama3", "linear", "full_attention"])


def places(config: dict[str, Any]) -> list[tuple[str, ...]]:
    """The paths to all values of a config."""
    found: list[tuple[str, ...]] = []
    for name, value in config.items():
        found.append((name,))
        if isinstance(value, dict):
            found += [(name, *rest) for rest in places(value)]
    return found


@given(st.data())
def test_any_config(data: st.DataObject) -> None:
    """What is changed in a sound config is refused, or understood and said again the same way."""
    config = json.loads(json.dumps(data.draw(st.sampled_from(CONFIGS))))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(places(config)))
        table = config
        for name in path:
            table = table[name]
        if data.draw(st.integers(0, 4)) == 0:
            del table[last]
        else:
            table[last] = data.draw(JUNK | WORDS | st.lists(SIZES, max_size=4))
        if not config:
            break
    fields = Fields(parse_object(json.dumps(config).encode(), "config.json"), "config.json")
    try:
        model_type = fields.word("model_type")
        if model_type not in FAMILIES:
            return
        read = FAMILIES[model_type].read(fields)
        again = FAMILIES[model_type].read(Fields(FAMILIES[model_type].write(read), "again"))
        assert differences(read, again) == []
        if read.max_tokens * max(read.d_model, read.head_dim) < MOST_TABLE_NUMBERS >> 10:
            skeleton(read, "it", n_tensors=20, n_numbers=50_000)
    except UserError as error:
        assert str(error).isprintable()


def test_every_family_is_among_the_configs() -> None:
    assert {config["model_type"] for config in CONFIGS} == FAMILIES.keys() - {"gemma3"}
