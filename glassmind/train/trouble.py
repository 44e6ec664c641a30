"""What is kept of a step that went wrong, for somebody to look at."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from torch import Tensor, nn

from glassmind.files import write_json
from glassmind.runs.checkpoint import save_tensors
from glassmind.runs.weights import named_weights
from glassmind.train.guard import Trouble
from glassmind.train.objective import Batch

MOST_KEPT = 3
"""A run that goes wrong at every step must not fill the disk."""


def keep_evidence(
    folder: Path,
    stage: str,
    step: int,
    trouble: Trouble,
    batches: list[Batch],
    module: nn.Module,
    loss: float,
    gradient_norm: float,
) -> Path | None:
    """Write batch, weights (before the step) and a description; ``None`` if there are enough."""
    kept = folder / f"{stage}-step-{step:06d}"
    if folder.is_dir() and len(list(folder.iterdir())) >= MOST_KEPT and not kept.is_dir():
        return None
    kept.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        for field in fields(batch):
            value = getattr(batch, field.name)
            if isinstance(value, Tensor):
                tensors[f"{number}.{field.name}"] = value
    save_tensors(tensors, kept / "batch.safetensors")
    save_tensors(named_weights(module), kept / "weights.safetensors")
    norms = {
        name: float(parameter.grad.norm())
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    write_json(
        kept / "trouble.json",
        {
            "stage": stage,
            "step": step,
            "what": trouble.sentence,
            "policy": trouble.policy,
            "loss": repr(loss),  # JSON has no NaN
            "gradient_norm": repr(gradient_norm),
            "gradient_norms": {name: repr(norm) for name, norm in norms.items()},
        },
    )
    return kept
