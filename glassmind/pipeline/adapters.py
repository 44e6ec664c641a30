"""The low-rank change that a fine-tuned run has learned, saved next to the merged model.

lora.safetensors     A and B of every layer, by Glassmind's names
lora.json            rank, scale, and the model that training started from

From these two, ``glassmind convert RUN OUT --to peft`` writes an adapter for the library ``peft``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.interop.peft import Adapter
from glassmind.model.finite import require_finite
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.recipe import Recipe
from glassmind.serialization import read_record, write_record
from glassmind.train.lora import factors

TENSORS, FACTS = "lora.safetensors", "lora.json"


@dataclass(frozen=True, slots=True)
class KeptAdapter:
    """``lora.json``. ``base`` is how the frozen weights were stored during training."""

    start: str
    rank: int
    alpha: float
    rank_stabilized: bool
    dropout: float
    base: str


def keep_adapter(folder: Path, module: nn.Module, recipe: Recipe) -> None:
    """Write the factors of ``module`` (of its trunk, if it is a classifier) into a run."""
    tensors: dict[str, Tensor] = {}
    for name, (a, b) in factors(module).items():
        layer = name.removeprefix("trunk.")
        tensors |= {f"{layer}.lora_a": a, f"{layer}.lora_b": b}
    save_tensors(tensors, folder / TENSORS)
    lora = recipe.lora
    kept = KeptAdapter(
        recipe.start, lora.rank, lora.alpha, lora.rank_stabilized, lora.dropout, lora.base
    )
    write_record(folder / FACTS, kept)


def kept_adapter(source: str) -> tuple[Adapter, str]:
    """A run's adapter, and the name of the model that training started from.

    Raises:
        UserError: the run has none, or its files are damaged.
    """
    folder = Path(source)
    if not (folder / FACTS).is_file():
        raise UserError(
            f"{source} holds no adapter: only a run that fine-tunes with lora.rank above 0 "
            "learns one"
        )
    kept = read_record(KeptAdapter, folder / FACTS)
    tensors = load_tensors(folder / TENSORS)
    require_finite(list(tensors.values()), str(folder / TENSORS))
    layers = [name.removesuffix(".lora_a") for name in tensors if name.endswith(".lora_a")]
    if {f"{layer}.lora_{x}" for layer in layers for x in "ab"} != tensors.keys() or not layers:
        raise UserError(f"{folder / TENSORS} must hold lora_a and lora_b of every layer")
    adapter = Adapter(
        factors={n: (tensors[f"{n}.lora_a"], tensors[f"{n}.lora_b"]) for n in layers},
        rank=kept.rank,
        alpha=kept.alpha,
        rank_stabilized=kept.rank_stabilized,
        dropout=kept.dropout,
    )
    return adapter, kept.start
