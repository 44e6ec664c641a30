"""How far a student's next-token distribution is from a teacher's, without storing all logits.

With q the teacher's probabilities, p the student's and m = β q + (1 - β) p:

    forward-kl   KL(q ‖ p) = Σ q log(q / p)         everything the teacher may write is learned
    reverse-kl   KL(p ‖ q) = Σ p log(p / q)         what the teacher would not write is unlearned
    jsd          β KL(q ‖ m) + (1 - β) KL(p ‖ m)    between the two: the generalised Jensen-Shannon
                                                    divergence
    policy-gradient   log(p(y) / q(y)) for the token y that the student drew, which estimates
                      the reverse KL; its gradient is defined as -A ∇ log p(y)

(Agarwal et al. 2023, arXiv 2306.13649.) Divided by β, ``jsd`` tends to the forward KL for β → 0;
divided by 1 - β, to the reverse KL for β → 1. The last form is a policy gradient with the advantage
A = log q(y) - log p(y), which is not differentiated. Averaged over the tokens that the student
draws, its gradient is that of ``reverse-kl``, but it needs the teacher's probability of one token
only. (Without the student's own -log p(y) in A, the student would be drawn to the teacher's
likeliest token alone.)

p and q are softmaxes of logits divided by one temperature T. Hinton et al. (2015, arXiv 1503.02531)
multiply the loss by T² to keep gradients alike for different T; here, as in GKD, it is not.

A published model may have more logits than its tokenizer has tokens, and two models of one
tokenizer different numbers of them. Only the logits of the first ``vocabulary`` ids, those that are
tokens, take part in the softmaxes.

As in ``chunked_loss``, the logits of a few rows at a time are computed, and with each chunk's loss
its gradient, so that neither model's logits exist for the whole batch:

    forward-kl        T dL/dlogits = p - q
    reverse-kl        T dL/dlogits = p (log(p / q) - KL(p ‖ q))
    jsd               T dL/dlogits = (1 - β) p (log(p / m) - KL(p ‖ m))
    policy-gradient   T dL/dlogits = -A (onehot(y) - p)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.train.objectives.chunked_loss import CHUNK_LOGITS

DivergenceName = Literal["forward-kl", "reverse-kl", "jsd", "policy-gradient"]

FEWEST_ROWS = 64
"""The fewest rows of a chunk. Half a dozen tensors of rows x vocabulary exist at once, so that is
fewer than for cross-entropy."""


@dataclass(frozen=True, slots=True)
class Divergence:
    """One of the losses above, with its options; ``beta`` matters to ``jsd`` only."""

    name: DivergenceName = "forward-kl"
    beta: float = 0.5
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < 1:
            raise ValueError(
                f"beta must lie between 0 and 1, not {self.beta}: the limits are named forward-kl "
                "and reverse-kl"
            )
        if not 0.01 <= self.temperature <= 100:
            raise ValueError(f"temperature must lie between 0.01 and 100, not {self.temperature}")

    def terms(
        self, student_CV: Tensor, teacher_CV: Tensor, drawn_C: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The loss of each row (C,), and its gradient for the student's logits (C, V).

        ``student_CV`` and ``teacher_CV`` are logits; ``drawn_C`` are the tokens that were drawn,
        which only ``policy-gradient`` reads.
        """
        log_p = (student_CV / self.temperature).log_softmax(-1)
        log_q = (teacher_CV / self.temperature).log_softmax(-1)
        p = log_p.exp()
        if self.name == "forward-kl":
            q = log_q.exp()
            terms, gradient = (q * (log_q - log_p)).sum(-1), p - q
        elif self.name == "reverse-kl":
            terms, gradient = _against(p, log_p, log_q)
        elif self.name == "jsd":
            log_m = torch.logaddexp(log_q + math.log(self.beta), log_p + math.log1p(-self.beta))
            of_student, gradient = _against(p, log_p, log_m)
            of_teacher = (log_q.exp() * (log_q - log_m)).sum(-1)
            terms = self.beta * of_teacher + (1 - self.beta) * of_student
            gradient = (1 - self.beta) * gradient
        else:
            drawn_C1 = drawn_C[:, None]
            log_p_C1, log_q_C1 = log_p.gather(1, drawn_C1), log_q.gather(1, drawn_C1)
            advantage_C1 = log_q_C1 - log_p_C1
            terms = -advantage_C1[:, 0]
            gradient = (advantage_C1 * p).scatter_add_(1, drawn_C1, -advantage_C1)
        return terms, gradient / self.temperature


def _against(p: Tensor, log_p: Tensor, log_other: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p ‖ other) of each row, and p (log(p / other) - KL)."""
    log_ratio = log_p - log_other
    kl = (p * log_ratio).sum(-1)
    return kl, p * (log_ratio - kl[:, None])


def chunked_divergence(
    divergence: Divergence,
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    drawn_N: Tensor,
    *,
    vocabulary: int,
    rows: int = 0,
) -> tuple[Tensor, Tensor]:
    """The mean of the terms over N tokens (nats), and the share of them for which student and
    teacher have the same likeliest token (without gradient); two scalars.

    ``student`` and ``teacher`` are hidden states (N, D) and the weights of the output layer
    (V, D), each of its own width; ``drawn_N`` the tokens at these places. Logits are computed in at
    least float32. ``rows`` is the size of a chunk (0: as many as fit into ``CHUNK_LOGITS``).
    ``backward`` can be called once.
    """
    rows = rows or max(FEWEST_ROWS, CHUNK_LOGITS // vocabulary)
    apply: Callable[..., tuple[Tensor, Tensor]] = _ChunkedDivergence.apply
    mine, theirs = (
        weight if len(weight) == vocabulary else weight[:vocabulary]
        for _, weight in (student, teacher)
    )
    return apply(student[0], mine, teacher[0], theirs, drawn_N, divergence, rows)


class _ChunkedDivergence(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        weight_VD: Tensor,
        teacher_NK: Tensor,
        teacher_weight_VK: Tensor,
        drawn_N: Tensor,
        divergence: Divergence,
        rows: int,
    ) -> tuple[Tensor, Tensor]:
        for_hidden, for_weight = ctx.needs_input_grad[:2]
        n = max(1, len(drawn_N))  # an empty batch has no mean; a loss of 0 changes nothing
        exact = torch.promote_types(hidden_ND.dtype, torch.float32)
        total = torch.zeros((), device=hidden_ND.device, dtype=exact)
        agreed = torch.zeros((), device=hidden_ND.device, dtype=exact)
        d_hidden_ND = torch.zeros_like(hidden_ND) if for_hidden else None
        d_weight_VD = torch.zeros_like(weight_VD) if for_weight else None
        for start in range(0, len(drawn_N), rows):
            here = slice(start, start + rows)
            h_CD = hidden_ND[here]
            student_CV = F.linear(h_CD, weight_VD).to(exact)
            teacher_CV = F.linear(teacher_NK[here], teacher_weight_VK).to(exact)
            terms_C, d_CV = divergence.terms(student_CV, teacher_CV, drawn_N[here])
            total += terms_C.sum()
            agreed += (student_CV.argmax(-1) == teacher_CV.argmax(-1)).sum()
            d_CV = (d_CV / n).to(h_CD.dtype)
            if d_hidden_ND is not None:
                d_hidden_ND[here] = d_CV @ weight_VD.to(d_CV.dtype)
            if d_weight_VD is not None:
                d_weight_VD.addmm_(d_CV.mT.to(weight_VD.dtype), h_CD.to(weight_VD.dtype))
        ctx.gradients = d_hidden_ND, d_weight_VD
        agreement = agreed / n
        ctx.mark_non_differentiable(agreement)
        return total / n, agreement

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        d_hidden_ND, d_weight_VD = ctx.gradients
        del ctx.gradients  # they are scaled in place, so they can be used once
        for gradient in (d_hidden_ND, d_weight_VD):
            if gradient is not None:
                gradient.mul_(outer[0])
        return d_hidden_ND, d_weight_VD, None, None, None, None, None
