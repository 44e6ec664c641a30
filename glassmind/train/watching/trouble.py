"""Evidence: the files kept of a step that went wrong, so that its cause can be found."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from glassmind.files import write_json
from glassmind.runs.checkpoint import save_tensors
from glassmind.runs.weights import named_weights
from glassmind.train.batch import Batch
from glassmind.train.watching.guard import Trouble

MOST_KEPT = 3
"""Steps of a run that are kept; one that goes wrong at every step must not fill the disk."""


def keep_evidence(
    folder: Path,
    stage: str,
    step: int,
    trouble: Trouble,
    batches: list[Batch],
    module: nn.Module,
    loss: float,
    gradient_norm: float,
    after_step: int,
) -> Path | None:
    """Write batch, weights and a description to ``folder``; ``None`` if enough is kept already.

    The weights are those after step ``after_step``: the one before ``step``, or a later one where
    steps are taken before they are judged.
    """
    kept = folder / f"{stage}-step-{step:06d}"
    if folder.is_dir() and len(list(folder.iterdir())) >= MOST_KEPT and not kept.is_dir():
        return None
    kept.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for number, batch in enumerate(batches):
        named = batch.named_tensors()
        tensors |= {f"{number}.{name}": tensor for name, tensor in named.items()}
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
            "weights_after_step": after_step,
            "gradient_norms": {name: repr(norm) for name, norm in norms.items()},
        },
    )
    return kept
