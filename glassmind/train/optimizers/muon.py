"""Muon: momentum, orthogonalised (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

A gradient matrix is usually dominated by a few directions. Muon replaces the momentum M = UΣVᵀ of
every hidden matrix by UVᵀ, the nearest matrix whose directions all have the same strength, and
steps along that. UVᵀ is not computed by an SVD but approximated by five steps of a Newton–Schulz
iteration, which consists of matrix products only. Matrices of one shape are processed as a batch.

AdamW trains everything else: embeddings, output heads, norms and biases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# The quintic a·x + b·x³ + c·x⁵ is tuned for the largest slope at 0 that still keeps every singular
# value in about (0.7, 1.2): converging exactly to 1 is not needed.
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


def orthogonalise(g_NRC: Tensor, steps: int = 5) -> Tensor:
    """A batch of matrices (N, R, C), each brought near UVᵀ of its singular value decomposition."""
    a, b, c = NEWTON_SCHULZ
    tall = g_NRC.shape[-2] > g_NRC.shape[-1]
    x: Tensor = g_NRC.mT if tall else g_NRC
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        xxt = x @ x.mT
        x = a * x + (b * xxt + c * xxt @ xxt) @ x
    return x.mT if tall else x


AT_ONCE = 2**22
"""Numbers orthogonalised as one batch: enough to use all cores, few enough to fit into memory."""


def orthogonalise_together(
    matrices: list[Tensor], iterate: Callable[[Tensor], Tensor] = orthogonalise
) -> list[Tensor]:
    """Each matrix, or stack of them (X, R, C), orthogonalised, all in one batch.

    They must have the same shape up to transposition. ``iterate`` does the work on (N, R, C).
    """
    wide = [m if m.shape[-2] <= m.shape[-1] else m.mT for m in matrices]
    stacks = [m.reshape(-1, *m.shape[-2:]) for m in wide]
    updates = iterate(torch.cat(stacks)).split([len(stack) for stack in stacks])
    return [
        (update if m.shape[-2] <= m.shape[-1] else update.mT).reshape(m.shape)
        for update, m in zip(updates, matrices, strict=True)
    ]


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum for hidden matrices, or stacks of them (X, R, C).

    ``lr`` is the step's spectral size: an update has singular values of about
    ``lr * sqrt(max(1, rows/columns))``, whatever the gradient's scale. ``weight_decay`` is
    decoupled, as in AdamW. ``together`` orthogonalises matrices of one shape; several processes
    share that work (``distributed``).
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        together: Callable[[list[Tensor]], list[Tensor]] = orthogonalise_together,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.together = together
        self.found_inf: Tensor | None = None  # where 1, a step changes nothing; as in fused AdamW
        for group in self.param_groups:
            if any(p.dim() not in (2, 3) for p in group["params"]):
                raise ValueError("Muon is for matrices; give other parameters to AdamW")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            shapes: dict[tuple[int, int], list[Tensor]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    shapes[tuple(sorted(p.shape[-2:]))].append(p)
            for members in shapes.values():
                most = max(1, AT_ONCE // members[0].numel())
                for start in range(0, len(members), most):
                    self._step_together(members[start : start + most], group)

    def _step_together(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """One batched step for parameters that have the same shape, up to transposition."""
        directions = []
        for p in params:
            state = self.state[p]
            if not state:
                state["momentum"] = torch.zeros_like(p)
            gradient, momentum = p.grad, state["momentum"]
            assert gradient is not None  # the caller chose parameters that have one
            before = None if self.found_inf is None else momentum.clone()
            momentum.lerp_(gradient, 1 - group["momentum"])
            directions.append(gradient.lerp(momentum, group["momentum"]))
            self._undo_if_skipped(momentum, before)
        for p, update in zip(params, self.together(directions), strict=True):
            rows, columns = p.shape[-2:]
            before = None if self.found_inf is None else p.clone()
            p.mul_(1 - group["lr"] * group["weight_decay"])
            p.add_(update, alpha=-group["lr"] * max(1.0, rows / columns) ** 0.5)
            self._undo_if_skipped(p, before)

    def _undo_if_skipped(self, tensor: Tensor, before: Tensor | None) -> None:
        if before is not None and self.found_inf is not None:
            tensor.copy_(torch.where(self.found_inf > 0, before, tensor))
