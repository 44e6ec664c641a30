"""The checkpoints of llama2.c: a Llama in one flat file of 32-bit numbers.

Karpathy's llama2.c runs a small Llama in 700 lines of C. Its first file format (``export.py``,
version 0) is very simple: seven sizes, then every matrix of every layer, kind by kind, in a fixed
order. It has no magic number, so a file is recognised by its length, which follows from the seven
sizes.

In these files RoPE pairs neighbours (as in Meta's own code), so the rows of queries and keys are
reordered. The tables of cosines and sines in the file follow from its sizes and are skipped.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.building import build, refuse_layers
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers.sentencepiece_model import read_sentencepiece_model
from glassmind.model import AttentionConfig, FeedForwardConfig, ModelConfig

_HEADER = struct.Struct("<7i")
_MOST = 1 << 24  # of each size
_BOS, _EOS = 1, 2  # llama2.c begins and ends texts with these, whatever the vocabulary


@dataclass(frozen=True)
class _Sizes:
    d_model: int
    d_hidden: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    vocab_size: int  # negative: the output layer is a matrix of its own, at the end
    max_tokens: int

    @property
    def config(self) -> ModelConfig:
        return ModelConfig(
            vocab_size=abs(self.vocab_size),
            max_tokens=self.max_tokens,
            d_model=self.d_model,
            n_layers=self.n_layers,
            norm_eps=1e-5,
            tie_embeddings=self.vocab_size > 0,
            attention=AttentionConfig(self.n_heads, self.n_kv_heads, qk_norm=False),
            feed_forward=FeedForwardConfig("swiglu", self.d_hidden),
        )

    def parts(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """The parts of the file, in order: our name and the shape. A part with an empty name is
        skipped, and ``*`` in a name stands for all layers."""
        head_dim = self.d_model // self.n_heads
        wide, kv_wide = (self.d_model, self.d_model), (self.n_kv_heads * head_dim, self.d_model)
        up, down = (self.d_hidden, self.d_model), (self.d_model, self.d_hidden)
        yield "embed.weight", (abs(self.vocab_size), self.d_model)
        yield "blocks.*.attention_norm.weight", (self.d_model,)
        yield "blocks.*.attention.query.weight", wide
        yield "blocks.*.attention.key.weight", kv_wide
        yield "blocks.*.attention.value.weight", kv_wide
        yield "blocks.*.attention.output.weight", wide
        yield "blocks.*.feed_forward_norm.weight", (self.d_model,)
        yield "blocks.*.feed_forward.gate.weight", up
        yield "blocks.*.feed_forward.down.weight", down
        yield "blocks.*.feed_forward.up.weight", up
        yield "final_norm.weight", (self.d_model,)
        yield "", (2, self.max_tokens, head_dim // 2)
        if self.vocab_size < 0:
            yield "unembed.weight", (abs(self.vocab_size), self.d_model)

    @property
    def n_numbers(self) -> int:
        return sum(
            math.prod(shape) * (self.n_layers if "*" in name else 1) for name, shape in self.parts()
        )


def is_llama2c(path: Path) -> bool:
    """Whether the file has exactly the length that its first seven numbers ask for."""
    try:
        _sizes(path)
    except UserError:
        return False
    return True


def load_llama2c(path: str | Path, dtype: torch.dtype = torch.float32) -> Pretrained:
    """Load a checkpoint of llama2.c, version 0, with the ``tokenizer.model`` next to it, if any.

    Raises:
        UserError: it is not one, or it is cut off.
    """
    path = Path(path)
    sizes = _sizes(path)
    model = build(
        sizes.config,
        _weights(path, sizes),
        str(path),
        dtype,
        n_tensors=9 * sizes.n_layers + 3,
        n_numbers=sizes.n_numbers,
    )
    beside = path.with_name("tokenizer.model")  # most use Llama 2's
    return Pretrained(
        model=model,
        tokenizer=read_sentencepiece_model(beside) if beside.is_file() else None,
        chat_template=None,
        stop_ids=frozenset({_BOS, _EOS}),
        bos_id=_BOS,
        name=path.stem,
        source=path,
    )


def _sizes(path: Path) -> _Sizes:
    if path.exists() and not path.is_file():  # opening a pipe would wait for somebody to write
        raise UserError(f"{path} is a folder or pipe, not a checkpoint of llama2.c")
    try:
        file_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
    except FileNotFoundError:
        raise UserError(f"{path} is missing") from None
    if len(head) < _HEADER.size:
        raise UserError(f"{path} is not a checkpoint of llama2.c: it is too short for seven sizes")
    sizes = _Sizes(*_HEADER.unpack(head))
    positive = (*_HEADER.unpack(head)[:5], abs(sizes.vocab_size), sizes.max_tokens)
    if not all(0 < size < _MOST for size in positive):
        raise UserError(f"{path} is not a checkpoint of llama2.c: its sizes would be {positive}")
    if sizes.d_model % sizes.n_heads or sizes.n_heads % sizes.n_kv_heads:
        raise UserError(
            f"{path} is not a checkpoint of llama2.c: {sizes.n_heads} heads and "
            f"{sizes.n_kv_heads} kv heads do not divide a width of {sizes.d_model}"
        )
    expected = _HEADER.size + 4 * sizes.n_numbers
    if file_bytes != expected:
        raise UserError(
            f"{path} is not a complete checkpoint of llama2.c: its sizes {positive} ask for "
            f"{expected} bytes, but it has {file_bytes}"
        )
    refuse_layers(sizes.n_layers, str(path))
    try:
        _ = sizes.config
    except ValueError as error:
        raise UserError(f"{path}: its sizes do not describe a model: {error}") from None
    return sizes


def _weights(path: Path, sizes: _Sizes) -> Iterator[tuple[str, Tensor]]:
    with path.open("rb") as file:
        file.seek(_HEADER.size)
        for name, shape in sizes.parts():
            for layer in range(sizes.n_layers if "*" in name else 1):
                n_bytes = 4 * math.prod(shape)
                if not name:
                    file.seek(n_bytes, 1)
                    continue
                weight = torch.empty(shape)
                file.readinto(weight.numpy().data.cast("B"))
                if "query" in name or "key" in name:
                    heads = sizes.n_heads if "query" in name else sizes.n_kv_heads
                    pairs = weight.view(heads, -1, 2, sizes.d_model)
                    weight = pairs.transpose(1, 2).reshape(shape)
                yield name.replace("*", str(layer)), weight
