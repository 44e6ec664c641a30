"""GGUF files that nobody vouches for: read as the library reads them, or refused in one sentence.

``corpus/gguf`` holds a whole file and copies of it with one thing wrong each.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from gguf_files import random_model, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.interop.gguf import load_gguf, save_gguf
from glassmind.interop.gguf.packed import check_places, unpack
from glassmind.interop.gguf_header import MOST_ENTRIES, read_header
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import composed
from glassmind.tokenize import SPECIAL_TOKENS, train_bpe
from glassmind.tokenize.composed.tokenizer import TokenizerFacts

CORPUS = Path(__file__).parent / "corpus" / "gguf"

# What is said of each file: the place, and what is wrong with it.
SAID = {
    "empty": "does not begin with the word GGUF",
    "magic_alone": "header is cut off",
    "not_a_gguf": "does not begin with the word GGUF",
    "version_1": "version 1; .* version 2 and 3",
    "version_1000": "version 1000",
    "big_endian": "is big-endian",
    "cut_in_the_facts": "9 facts, more than the file has room for",
    "cut_in_the_tensor_list": "attn_k.weight' is cut off",
    "cut_in_the_weights": "ffn_down.weight' ends at byte 3072, but the file has 3032",
    "claims_a_quadrillion_facts": "claims 1000000000000000 facts",
    "claims_a_quadrillion_tensors": "claims 1000000000000000 tensors",
    "name_of_a_quadrillion_bytes": "name of fact 0 claims a text of 1000000000000000 bytes",
    "text_of_negative_length": "general.name' claims a text of",
    "array_of_a_quadrillion": "general.tags' claims 1000000000000000 elements",
    "array_of_arrays": "general.tags' is an array of the unknown type 9",
    "array_of_unknown_type": "general.tags' is an array of the unknown type 77",
    "fact_of_unknown_type": "general.tags' has the unknown type 77",
    "fact_twice": "general.name' is there twice",
    "name_not_utf8": "general.name' holds a text that is not UTF-8",
    "one_part_of_three": "one of 3 parts .* llama-gguf-split --merge",
    "alignment_0": "alignment' must be a multiple of 8",
    "alignment_7": "alignment' must be a multiple of 8",
    "alignment_text": "alignment' must be a multiple of 8",
    "no_architecture": "general.architecture is None",
    "architecture_is_a_number": "general.architecture is 7",
    "unknown_architecture": "general.architecture is 'mamba'",
    "no_width": "llama.embedding_length is missing",
    "width_is_text": "embedding_length must be a whole number, not '8'",
    "width_0": "d_model must be at least 1",
    "heads_0": "n_heads",
    "heads_do_not_divide": "must be divisible by attention.n_heads",
    "heads_differ_by_layer": "head_count differs from layer to layer",
    "heads_negative": "head_count must be a whole number, not -2",
    "kv_heads_0": "head_count_kv is 0",
    "epsilon_nan": "epsilon must be a number from 0 up, not nan",
    "epsilon_infinite": "epsilon must be a number from 0 up, not inf",
    "four_billion_layers": "n_layers = 4294967295; 1000 are the limit",
    "four_billion_wide": "d_model = 4294967288, more than",
    "four_billion_tokens": "a context of 4294967295 tokens",
    "four_billion_experts": "4294967295 experts in 1 layers; 131072 in all are the limit",
    "rope_theta_0": "rope_theta must be above 0",
    "rope_of_half_a_head": "rope.dimension_count is 2",
    "rope_scaling_unknown": "rope.scaling.type is 'longrope'",
    "unknown_fact_that_matters": "attn_logit_softcapping is 50.0",
    "looks_at_the_future": "attention.causal is False",
    "no_embedding": "token_embd.weight' is missing",
    "tensor_missing": "asks for 504 parameters, but it holds 440",
    "tensor_too_many": "attn_q.bias' is not part of the llama model",
    "tensor_twice": "two of its tensors have the same name",
    "tensor_of_wrong_shape": r"attn_q.weight' has shape \(8, 16\) instead of \(8, 8\)",
    "tensor_of_five_sides": "attn_q.weight' has 5 dimensions",
    "tensor_without_sides": "attn_q.weight' has 0 dimensions",
    "tensor_with_side_0": "attn_q.weight' has the impossible shape",
    "tensor_of_2_to_the_124": "attn_q.weight' has the impossible shape",
    "tensor_of_a_quadrillion": "attn_q.weight' ends at byte 4000000000001280",
    "tensor_of_unknown_type": "attn_q.weight' has the unknown type 99",
    "tensor_of_a_type_gone": "attn_q.weight' has the unknown type 4",
    "tensor_of_integers": "attn_q.weight' is packed as I32",
    "tensor_of_broken_blocks": "attn_q.weight' has rows of 8 .* block size 32",
    "tensor_outside": "attn_q.weight' ends at byte 1001312",
    "tensor_at_the_end_of_time": "attn_q.weight' ends at byte",
    "tensors_overlap": "attn_q.weight' overlaps tensor 'token_embd.weight'",
    "rope_factors_of_wrong_shape": r"rope_freqs.weight has the wrong shape \(3,\)",
    "rope_factors_negative": "rope_freqs.weight is not a blend",
    "tokenizer_unknown": "model is 'rwkv'",
    "tokenizer_without_tokens": "tokenizer.ggml.tokens must be there",
    "tokenizer_without_types": "token_type must be there",
    "tokenizer_with_broken_merge": r"merges\[0\] must be two tokens",
}


def test_the_corpus_is_whole() -> None:
    assert {path.stem for path in CORPUS.iterdir()} == {"whole", *SAID}
    assert load_gguf(CORPUS / "whole.gguf").model.config.d_model == 8


@pytest.mark.parametrize("name", SAID)
def test_what_is_wrong_is_said(name: str) -> None:
    with pytest.raises(UserError, match=SAID[name]) as caught:
        load_gguf(CORPUS / f"{name}.gguf")
    assert f"{name}.gguf" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_entries_than_any_model_has(tmp_path: Path) -> None:
    whole = (CORPUS / "whole.gguf").read_bytes()
    count = (MOST_ENTRIES + 1).to_bytes(8, "little")
    (tmp_path / "a.gguf").write_bytes(whole[:8] + count + whole[16:] + bytes(30 * MOST_ENTRIES))
    with pytest.raises(UserError, match=f"claims {MOST_ENTRIES + 1} tensors; {MOST_ENTRIES} are"):
        read_header(tmp_path / "a.gguf")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.gguf is missing"):
        load_gguf(tmp_path / "a.gguf")
    with pytest.raises(UserError, match="is a folder"):
        load_gguf(tmp_path)


# Held against the library.


def test_every_kind_of_fact(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(None, "llama")
    values: dict[str, tuple[Callable[[str, object], None], object]] = {
        "a.u8": (writer.add_uint8, 255),
        "a.i8": (writer.add_int8, -128),
        "a.u16": (writer.add_uint16, 65_535),
        "a.i16": (writer.add_int16, -32_768),
        "a.u32": (writer.add_uint32, 2**32 - 1),
        "a.i32": (writer.add_int32, -(2**31)),
        "a.f32": (writer.add_float32, 1e-6),
        "a.u64": (writer.add_uint64, 2**64 - 1),
        "a.i64": (writer.add_int64, -(2**63)),
        "a.f64": (writer.add_float64, 0.1),
        "a.bool": (writer.add_bool, True),
        "a.text": (writer.add_string, "Tür ▁ 🙂"),
        "a.numbers": (writer.add_array, [1, -2, 3]),
        "a.halves": (writer.add_array, [0.5, -0.25]),
        "a.yes_no": (writer.add_array, [True, False]),
        "a.texts": (writer.add_array, ["", "x", "Ġthe"]),
    }
    for name, (add, value) in values.items():
        add(name, value)
    writer.write_header_to_file(tmp_path / "a.gguf")
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    read = read_header(tmp_path / "a.gguf").metadata
    assert read == {"general.architecture": "llama", **{n: v for n, (_, v) in values.items()}}
    assert {name: type(value) for name, value in read.items() if name in values} == {
        name: type(value) for name, (_, value) in values.items()
    }


@pytest.mark.parametrize("alignment", [32, 8, 256])
def test_every_packing_that_the_library_unpacks(alignment: int, tmp_path: Path) -> None:
    """Three matrices of each, one of them stacked; random bytes are as good as any."""
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "llama")
    if alignment != 32:
        writer.add_custom_alignment(alignment)
    types = gguf.GGMLQuantizationType
    for kind in (types.F32, types.F16, *gguf.quants._type_traits):
        block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        for number, shape in enumerate([(3, 256), (1, 512), (2, 3, 256)]):
            n_bytes = int(np.prod(shape)) // block * block_bytes
            raw = random.integers(0, 100, n_bytes, np.uint8).reshape(*shape[:-1], -1)
            writer.add_tensor(f"{kind.name}.{number}", raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    header = read_header(tmp_path / "a.gguf")
    check_places(header, header.tensors)
    infos = {info.name: info for info in header.tensors}
    theirs = gguf.GGUFReader(tmp_path / "a.gguf").tensors
    assert len(theirs) == len(infos) >= 60
    with header.path.open("rb") as file:
        for tensor in theirs:
            expected = gguf.dequantize(np.array(tensor.data), tensor.tensor_type)
            info = infos[tensor.name]
            assert info.shape == expected.shape
            found = unpack(file, info, header.path, torch.float32).numpy()
            assert np.array_equal(found, expected, equal_nan=True)


def test_pieces_of_a_large_tensor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_gguf(random_model(small("mixtral")), tmp_path / "a.gguf", "q8_0")
    whole = load_gguf(tmp_path / "a.gguf").model.state_dict()
    monkeypatch.setattr("glassmind.interop.gguf.packed.PIECE_BYTES", 600)
    pieces = load_gguf(tmp_path / "a.gguf").model.state_dict()
    assert all(torch.equal(pieces[name], weight) for name, weight in whole.items())


# Anything at all may be in a file.


@pytest.fixture(scope="module")
def talking(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole small file with a tokenizer."""
    tokenizer = train_bpe(["to be or not to be"], len(SPECIAL_TOKENS) + 256 + 4)
    config = replace(small("llama3.1"), d_model=16, vocab_size=tokenizer.vocab_size)
    path = tmp_path_factory.mktemp("talking") / "a.gguf"
    save_gguf(random_model(config, tokenizer=composed(tokenizer, TokenizerFacts())), path, "f16")
    return path.read_bytes()


ODD = [0, 1, 2, 3, 7, 8, 9, 32, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1]
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),  # where, as a part of the header or of the file
        st.booleans(),
        st.one_of(
            st.binary(min_size=1, max_size=4),
            st.sampled_from([n.to_bytes(8, "little") for n in ODD]),
            st.sampled_from([(n % 2**32).to_bytes(4, "little") for n in ODD]),
        ),
    ),
    max_size=4,
)


@given(changes=CHANGES, cut=st.one_of(st.none(), st.floats(0, 1)), with_text=st.booleans())
@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_bytes_are_a_model_or_a_user_error(
    changes: list[tuple[float, bool, bytes]],
    cut: float | None,
    with_text: bool,
    talking: bytes,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Tables of positions may take a gigabyte before a context is refused; here, less will do.
    monkeypatch.setattr("glassmind.interop.building.MOST_TABLE_NUMBERS", 1 << 20)
    data = bytearray(talking if with_text else (CORPUS / "whole.gguf").read_bytes())
    for where, in_header, bytes_ in changes:
        at = int(where * (1200 if in_header else len(data)))
        data[at : at + len(bytes_)] = bytes_
    path = tmp_path / "any.gguf"
    path.write_bytes(data[: len(data) if cut is None else int(cut * len(data))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        assert isinstance(load_gguf(path), Pretrained)
    except UserError as error:
        assert "\n" not in str(error)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
