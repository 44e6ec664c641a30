"""Loads the model, tokenizer and chat template of a GGUF."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.interop.building import fill, skeleton
from glassmind.interop.gguf.architectures import ARCHITECTURES
from glassmind.interop.gguf.packed import check_places, unpack
from glassmind.interop.gguf.sizes import read_sizes
from glassmind.interop.gguf.slots import slots
from glassmind.interop.gguf.stretched_rope import FACTORS, blend_from
from glassmind.interop.gguf_header import Header, TensorInfo, read_header
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers.gguf_tokenizer import read_gguf_tokenizer
from glassmind.interop.turn_ends import stop_ids
from glassmind.model import ModelConfig, Transformer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

STOPS = ("eos_token_id", "eot_token_id", "eom_token_id")
# Many files name only one of them; llama.cpp (src/llama-vocab.cpp) finds others by their spelling.
_STOP_SPELLINGS = frozenset(
    (
        *("<|endoftext|>", "<|end_of_text|>", "<|eot_id|>", "<|eom_id|>", "<|im_end|>"),
        *("<eos>", "<end_of_turn>", "<｜end▁of▁sentence｜>"),
    )
)
_NO_TOKENIZER = ("none", "no_vocab")


def load_gguf(path: str | Path, dtype: torch.dtype = torch.float32) -> Pretrained:
    """Load the model, tokenizer and chat template of a GGUF; quantised weights are unpacked.

    In addition to the weights themselves, a few megabytes of memory are needed.

    Raises:
        UserError: the file is damaged, incomplete, or of an architecture that this package cannot
            express exactly; the message names the file and what in it is wrong.
    """
    header = read_header(path)
    metadata = header.metadata
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or architecture not in ARCHITECTURES:
        raise UserError(
            f"{path}: general.architecture is {architecture!r:.60}; "
            f"models of these can be loaded: {', '.join(ARCHITECTURES)}"
        )
    infos = {info.name: info for info in header.tensors}
    check_places(header, header.tensors)
    config = _config(header, architecture, infos)
    what = str(header.path)
    n_numbers = sum(torch.Size(info.shape).numel() for info in header.tensors)
    model = skeleton(config, what, n_tensors=len(infos), n_numbers=n_numbers)
    fill(model, _weights(model, architecture, header, infos, dtype), what, dtype)
    name = metadata.get("general.name")
    template = metadata.get("tokenizer.chat_template")
    tokenizer = None
    if metadata.get("tokenizer.ggml.model", "none") not in _NO_TOKENIZER:
        tokenizer = read_gguf_tokenizer(metadata, header.path)
    return Pretrained(
        model=model,
        tokenizer=tokenizer,
        chat_template=template if isinstance(template, str) else None,
        stop_ids=_stop_ids(metadata, tokenizer, config),
        bos_id=tokenizer.template.before[0] if tokenizer and tokenizer.template.before else None,
        name=name if isinstance(name, str) and name else header.path.stem,
        source=header.path,
    )


def _config(header: Header, architecture: str, infos: Mapping[str, TensorInfo]) -> ModelConfig:
    if "token_embd.weight" not in infos:
        raise UserError(f"{header.path}: tensor 'token_embd.weight' is missing")

    def read(**more: Any) -> ModelConfig:
        vocab_size = infos["token_embd.weight"].shape[0]
        return read_sizes(
            architecture, header.metadata, header.path, names=infos, vocab_size=vocab_size, **more
        )

    config = read()
    factors = infos.get(FACTORS)
    if factors is None or "llama3" not in ARCHITECTURES[architecture].scalings:
        return config
    if factors.shape != (config.rotary_dim // 2,):
        raise UserError(f"{header.path}: tensor {FACTORS} has the wrong shape {factors.shape}")
    with header.path.open("rb") as file:
        values = unpack(file, factors, header.path, torch.float32)
    theta = config.positions.rope_theta
    return read(llama3=blend_from(values, config.rotary_dim, theta, header.path))


def _weights(
    model: Transformer,
    architecture: str,
    header: Header,
    infos: Mapping[str, TensorInfo],
    dtype: torch.dtype,
) -> Iterator[tuple[str, Tensor]]:
    """Our parameters, one after the other, from the file."""
    expected = dict(model.named_parameters())
    wanted = slots(model, architecture)
    shapes = {
        slot.theirs: tuple(slot.pack([expected[name] for name in slot.ours]).shape)
        for slot in wanted
    }
    used = set(shapes)
    if "llama3" in ARCHITECTURES[architecture].scalings:
        used.add(FACTORS)
    for name, shape in shapes.items():
        if name not in infos:
            raise UserError(f"{header.path}: tensor {name!r} is missing")
        if infos[name].shape != shape:
            raise UserError(
                f"{header.path}: tensor {name!r} has shape {infos[name].shape} instead of {shape}"
            )
    for name in infos:
        if name not in used:
            raise UserError(
                f"{header.path}: tensor {name[:80]!r} is not part of the {architecture} model "
                "that the file describes"
            )
    with header.path.open("rb") as file:
        for slot in wanted:
            info = infos[slot.theirs]
            plain = dtype if len(info.shape) > 1 else torch.float32  # some must stay exact
            tensor = unpack(file, info, header.path, plain)
            yield from zip(slot.ours, slot.unpack(tensor), strict=True)


def _stop_ids(
    metadata: Mapping[str, object], tokenizer: ComposedTokenizer | None, config: ModelConfig
) -> frozenset[int]:
    """The tokens that end an answer."""
    found = [metadata.get(f"tokenizer.ggml.{name}") for name in STOPS]
    if tokenizer is not None:
        found += [
            token.token_id
            for token in tokenizer.added_tokens
            if token.special and token.content in _STOP_SPELLINGS
        ]
    named = [token for token in found if type(token) is int]
    template = None if tokenizer is None else tokenizer.facts.chat_template
    return stop_ids(named, tokenizer, template, config.vocab_size)
