"""Writes a model as a GGUF that llama.cpp runs.

Matrices are written as float32, in half as many bytes (F16, BF16), or quantised to a byte per
number (Q8_0: 32 neighbours share a scale). Vectors, routers and tables of positions, which are
small and sensitive to rounding, stay F32, as in llama.cpp's own converter. Only one tensor at a
time is in memory twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.files import atomic_write
from glassmind.interop.gguf.architectures import ARCHITECTURES
from glassmind.interop.gguf.load import STOPS
from glassmind.interop.gguf.packed import gguf_library
from glassmind.interop.gguf.sizes import architecture_for, write_sizes
from glassmind.interop.gguf.slots import Slot, slots
from glassmind.interop.gguf.stretched_rope import FACTORS, factors_of
from glassmind.interop.gguf_header import Metadata
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers.gguf_tokenizer import to_gguf_metadata
from glassmind.model import Transformer

Kind = Literal["f32", "f16", "bf16", "q8_0"]
_FILE_TYPES: dict[Kind, int] = {"f32": 0, "f16": 1, "q8_0": 7, "bf16": 32}  # LlamaFileType
_UNUSED = 5  # ggml's type of a token that is not used
_ALWAYS_F32 = ("ffn_gate_inp", "position_embd")


@dataclass(frozen=True)
class Entry:
    """A tensor to be written: ``packed`` returns its ``n_bytes`` bytes."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    n_bytes: int
    packed: Callable[[], np.ndarray[Any, Any]]


def save_gguf(pretrained: Pretrained, path: str | Path, kind: Kind = "f16") -> None:
    """Write the model with its tokenizer and chat template to ``path`` atomically.

    ``kind`` is how matrices are stored; with ``q8_0``, rows whose length is not a multiple of 32
    are stored as F16.

    Raises:
        UserError: no architecture of GGUF expresses the model exactly, or the library is missing.
    """
    if kind not in get_args(Kind):
        raise UserError(f"a GGUF is written as {', '.join(get_args(Kind))}, not {kind!r}")
    gguf, model = gguf_library(), pretrained.model
    architecture = architecture_for(model.config)
    facts = {
        **write_sizes(model.config, architecture),
        "general.name": pretrained.name,
        "general.type": "model",
        "general.file_type": _FILE_TYPES[kind],
        **_talking(pretrained),
    }
    if kind == "q8_0":
        facts["general.quantization_version"] = gguf.GGML_QUANT_VERSION
    entries = [
        _entry(name, tensor, kind, gguf) for name, tensor in _tensors(model, architecture).items()
    ]
    types = gguf.GGMLQuantizationType
    with atomic_write(Path(path), make_folder=True) as temporary:
        writer = gguf.GGUFWriter(None, architecture)
        for name, value in facts.items():
            if name != "general.architecture":  # the writer has added that
                _add(writer, name, value)
        for entry in entries:
            # Any dtype of two bytes will do here, because the raw type below is what is written.
            writer.add_tensor_info(
                entry.name, entry.shape, np.uint16, entry.n_bytes, types[entry.kind.upper()]
            )
        try:
            writer.write_header_to_file(temporary)
            writer.write_kv_data_to_file()
            writer.write_ti_data_to_file()
            for entry in entries:
                writer.write_tensor_data(entry.packed())
        finally:
            writer.close()


def _tensors(model: Transformer, architecture: str) -> dict[str, Callable[[], Tensor]]:
    """The tensors to write, by name, each computed when it is written."""
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}

    def pack(slot: Slot) -> Tensor:
        return slot.pack([parameters[name] for name in slot.ours])

    found: dict[str, Callable[[], Tensor]] = {
        slot.theirs: partial(pack, slot) for slot in slots(model, architecture)
    }
    if ARCHITECTURES[architecture].own_output and model.config.tie_embeddings:
        found["output.weight"] = lambda: parameters["embed.weight"]
    positions = model.config.positions
    if positions.kind == "rope" and positions.scaling.kind == "llama3":
        found[FACTORS] = lambda: factors_of(model.config)
    return found


def _entry(name: str, tensor: Callable[[], Tensor], kind: Kind, gguf: Any) -> Entry:
    shape = tuple(tensor().shape)
    if len(shape) == 1 or any(part in name for part in _ALWAYS_F32):
        kind = "f32"
    block, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind.upper()]]
    if shape[-1] % block:
        kind, block, block_bytes = "f16", 1, 2
    n_bytes = torch.Size(shape).numel() // block * block_bytes

    def packed() -> np.ndarray[Any, Any]:
        plain = tensor().cpu()
        if kind == "bf16":
            return plain.to(torch.bfloat16).contiguous().view(torch.int16).numpy()
        if kind == "f16":
            return plain.to(torch.float16).contiguous().numpy()
        numbers: np.ndarray[Any, Any] = plain.float().contiguous().numpy()
        if kind == "q8_0":
            numbers = gguf.quantize(numbers, gguf.GGMLQuantizationType.Q8_0)
        return numbers

    return Entry(name, shape, kind, n_bytes, packed)


def _talking(pretrained: Pretrained) -> Metadata:
    """The facts about text: the tokenizer, its begin and end tokens, the chat template."""
    if pretrained.tokenizer is None:
        return {"tokenizer.ggml.model": "none"}
    facts: Metadata = to_gguf_metadata(pretrained.tokenizer)
    # Models often have more rows than tokens; llama.cpp needs a token for each row.
    tokens = facts["tokenizer.ggml.tokens"]
    spare = range(len(tokens), pretrained.model.config.vocab_size)
    facts["tokenizer.ggml.tokens"] = [*tokens, *(f"[PAD{token}]" for token in spare)]
    for name, filler in (("token_type", _UNUSED), ("scores", 0.0)):
        if f"tokenizer.ggml.{name}" in facts:
            facts[f"tokenizer.ggml.{name}"] += [filler for _ in spare]
    if pretrained.bos_id is not None:
        facts.setdefault("tokenizer.ggml.bos_token_id", pretrained.bos_id)
    eos = facts.get("tokenizer.ggml.eos_token_id")  # templates may ask for it by name
    stops = sorted(pretrained.stop_ids, key=lambda token: (token != eos, token))
    if len(stops) > len(STOPS):
        raise UserError(
            f"a GGUF has room for {len(STOPS)} tokens that end a text, and the model has "
            f"{len(stops)}: {', '.join(map(str, stops[:8]))}"
        )
    for name, token in zip(STOPS, stops, strict=False):
        facts[f"tokenizer.ggml.{name}"] = token
    if pretrained.chat_template:
        facts["tokenizer.chat_template"] = pretrained.chat_template
    return facts


def _add(writer: Any, name: str, value: object) -> None:
    """One fact, with the type that llama.cpp expects of it."""
    if isinstance(value, bool):
        writer.add_bool(name, value)
    elif isinstance(value, int):
        writer.add_uint32(name, value)
    elif isinstance(value, float):
        writer.add_float32(name, value)
    elif isinstance(value, str):
        writer.add_string(name, value)
    elif isinstance(value, list):
        writer.add_array(name, value)
    else:
        raise TypeError(f"{name} is a {type(value).__name__}, which GGUF has no type for")
