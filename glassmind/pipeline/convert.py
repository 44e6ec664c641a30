"""Converting a model from one format to another.

    convert("runs/text", Path("exported"))
    convert("smollm2", Path("smollm2-q8.gguf"), to="gguf", dtype="q8_0")
    convert("runs/tuned", Path("adapter"), to="peft")       what it learned, without the model

Nothing is approximated silently: if a format cannot express the model, it is refused, and the error
names the setting that it has no way to express.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch

from glassmind.errors import UserError
from glassmind.interop.building import build
from glassmind.interop.gguf import save_gguf
from glassmind.interop.gguf.save import Kind
from glassmind.interop.huggingface import choose_family, refuse_taken, save_folder
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.interop.peft import apply_adapter, load_adapter, save_adapter
from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import composed
from glassmind.pipeline.adapters import kept_adapter
from glassmind.pipeline.formats import Format, target_format
from glassmind.runs.models import SHIPPED, load
from glassmind.tokenize.composed.tokenizer import TokenizerFacts
from glassmind.tokenize.special import ANSWER, END, PAD, QUESTION, SPECIAL_IDS, THINK

DType = Literal["float32", "float16", "bfloat16", "q8_0"]
_TORCH = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_GGUF: dict[DType, Kind] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "q8_0": "q8_0"}


@dataclass(frozen=True)
class Converted:
    """What was written: where, in which format, and how large. ``family`` is a ``model_type`` of
    Hugging Face, ``None`` for a GGUF; ``base`` is the model that an adapter changes."""

    target: Path
    to: Format
    dtype: DType
    family: str | None
    n_parameters: int
    n_bytes: int
    base: str | None = None


def convert(
    source: str | Path,
    target: str | Path,
    *,
    to: Format | None = None,
    dtype: DType = "float32",
    family: str | None = None,
    adapter: str | None = None,
) -> Converted:
    """Load ``source`` and write it to ``target`` atomically.

    ``source`` is a run's folder, a Hugging Face folder, a GGUF, a llama2.c checkpoint, or the name
    of a shipped model. By default ``to`` follows from the name of ``target``: a GGUF if it ends in
    .gguf, a Hugging Face folder if it has no extension. ``family`` is the model type in such a
    folder, by default the first that can express the model. ``dtype`` is how matrices are stored;
    the default, 32 bits, loses nothing of any source. ``adapter`` is a ``peft`` folder that is
    merged into the model first. ``to="peft"`` writes only the low-rank change that a fine-tuned run
    has learned.

    Raises:
        UserError: there is no model at ``source``, it is damaged, or a pickle; ``target`` is taken,
            or has the extension of a format that is not written;
            the format has no such dtype or family, or cannot express the model.
    """
    source, target = str(source), Path(target)
    formats = (*get_args(Format), None)
    for name, value, known in (("to", to, formats), ("dtype", dtype, get_args(DType))):
        if value not in known:
            listed = ", ".join(filter(None, known))
            raise UserError(f"{name} must be one of {listed}, not {value!r}")
    to = target_format(target, to)
    if to == "hf" and dtype not in _TORCH:
        raise UserError(f"a Hugging Face folder holds {', '.join(_TORCH)}; {dtype} is for GGUF")
    if to == "gguf" and family is not None:
        raise UserError("a family can be chosen for a Hugging Face folder only, not for a GGUF")
    refuse_taken(target)
    if to == "peft":
        return _convert_adapter(source, target, dtype, family, adapter)
    if to == "gguf":
        # Loaded in float32, because vectors are stored exactly for every dtype of the matrices.
        pretrained, chosen = load_any(source, torch.float32), None
        _merge_adapter(pretrained, adapter, family)
        save_gguf(pretrained, target, _GGUF[dtype])
    else:
        pretrained = load_any(source, _TORCH[dtype])
        _merge_adapter(pretrained, adapter, family)
        chosen = choose_family(pretrained.model.config, family).model_type
        save_folder(pretrained, target, chosen)
    n_parameters = sum(parameter.numel() for parameter in pretrained.model.parameters())
    files = [target] if target.is_file() else list(target.iterdir())
    n_bytes = sum(file.stat().st_size for file in files)
    return Converted(target, to, dtype, chosen, n_parameters, n_bytes)


def _merge_adapter(pretrained: Pretrained, adapter: str | None, family: str | None) -> None:
    if adapter is not None:
        model = pretrained.model
        apply_adapter(model, load_adapter(adapter, model, family))


def _convert_adapter(
    source: str, target: Path, dtype: DType, family: str | None, adapter: str | None
) -> Converted:
    if adapter is not None or dtype != "float32":
        raise UserError("an adapter is written as the run learned it: in float32, by itself")
    kept, base = kept_adapter(source)
    model = load_any(source).model
    chosen = save_adapter(kept, model, target, base=base, family=family)
    n_parameters = sum(a.numel() + b.numel() for a, b in kept.factors.values())
    n_bytes = sum(file.stat().st_size for file in target.iterdir())
    return Converted(target, "peft", dtype, chosen, n_parameters, n_bytes, base)


def is_own(source: str) -> bool:
    """Whether ``source`` is a run with a model of Glassmind's own kind, or the shipped model. (A
    run that fine-tuned a model from elsewhere is a Hugging Face folder as well.)"""
    is_run = source == SHIPPED or (Path(source) / "run.json").is_file()
    return is_run and not is_pretrained(source)


def load_any(source: str, dtype: torch.dtype = torch.float32) -> Pretrained:
    """The model at ``source``; one of a run is loaded as if it were a model from elsewhere.

    Raises:
        UserError: as ``convert``.
    """
    return _of_a_run(source, dtype) if is_own(source) else load_pretrained(source, dtype)


def _of_a_run(source: str, dtype: torch.dtype) -> Pretrained:
    """A run's best model, as if it were a model from elsewhere."""
    loaded = load(source)
    weights = {name: weight.detach() for name, weight in loaded.model.named_parameters()}
    model = build(
        loaded.model.config,
        weights.items(),
        source,
        dtype,
        n_tensors=len(weights),
        n_numbers=sum(weight.numel() for weight in weights.values()),
    )
    # The tokens that follow a question; a model that was only pretrained has never seen one.
    opening = {"chain-of-thought": THINK, "direct": ANSWER}.get(loaded.stage)
    asking = f"{QUESTION}{{{{ messages[-1]['content'] }}}}{opening}" if opening else None
    facts = TokenizerFacts(chat_template=asking, eos_token=END, pad_token=PAD)
    return Pretrained(
        model=model,
        tokenizer=composed(loaded.tokenizer, facts),
        chat_template=asking,
        stop_ids=frozenset({SPECIAL_IDS[END]}),
        bos_id=None,
        name=loaded.run.name,
        source=loaded.run.path,
    )
