"""The divergences of distillation against those of trl: loss and gradient on random logits.

    python benchmarks/distillation_against_trl.py [--tokens 64] [--vocab 1000]

``glassmind.train.objectives.divergences``, chunk by chunk, and ``GKDTrainer.generalized_jsd_loss``
of trl get the same logits, in which a share of the tokens is masked. trl names the forward KL beta
= 0 and the reverse KL beta = 1. The columns are trl's loss, the largest difference of the loss and
of its gradient for the student's hidden states, relative to the largest gradient. The last line is
one JSON object. Needs trl (1.16 was used), which is not a dependency of Glassmind.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version

import torch
from torch import Tensor

from glassmind.train.objectives.divergences import Divergence, chunked_divergence

CASES = tuple(
    Divergence(name, beta, temperature)
    for name, beta in (("forward-kl", 0.5), ("jsd", 0.1), ("jsd", 0.5), ("jsd", 0.9))
    for temperature in (1.0, 0.7, 2.0)
) + tuple(Divergence("reverse-kl", temperature=t) for t in (1.0, 0.7, 2.0))
TRL_BETA = {"forward-kl": 0.0, "reverse-kl": 1.0}


def trl_loss(
    student_NV: Tensor, teacher_NV: Tensor, masked_N: Tensor, divergence: Divergence
) -> Tensor:
    """The mean over tokens that are not masked, by trl."""
    from trl.experimental.gkd import GKDTrainer

    loss: Tensor = GKDTrainer.generalized_jsd_loss(
        student_NV[None],
        teacher_NV[None],
        labels=torch.where(masked_N, -100, 0)[None],
        beta=TRL_BETA.get(divergence.name, divergence.beta),
        temperature=divergence.temperature,
    )
    return loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--vocab", type=int, default=1000)
    args = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    n, vocab = args.tokens, args.vocab
    hidden = torch.randn(n, 32, generator=generator).requires_grad_()
    weight = torch.randn(vocab, 32, generator=generator) * 0.3
    teacher = torch.randn(n, 48, generator=generator)
    teacher_weight = torch.randn(vocab, 48, generator=generator) * 0.3
    masked = torch.rand(n, generator=generator) < 0.3
    rows = []
    print(f"{'divergence':12}{'beta':>6}{'T':>6}{'trl':>12}{'loss':>12}{'gradient':>12}")
    for case in CASES:
        theirs = trl_loss(hidden @ weight.T, teacher @ teacher_weight.T, masked, case)
        [expected] = torch.autograd.grad(theirs, hidden)
        ours, _ = chunked_divergence(
            case,
            (hidden[~masked], weight),
            (teacher[~masked], teacher_weight),
            torch.zeros(int((~masked).sum()), dtype=torch.long),
            vocabulary=vocab,
            rows=7,
        )
        [found] = torch.autograd.grad(ours, hidden)
        row = {
            "divergence": case.name,
            "beta": TRL_BETA.get(case.name, case.beta),
            "temperature": case.temperature,
            "trl": theirs.item(),
            "loss_difference": abs(ours.item() - theirs.item()),
            "gradient_difference": float((found - expected).abs().max() / expected.abs().max()),
        }
        rows.append(row)
        print(
            f"{row['divergence']:12}{row['beta']:>6}{row['temperature']:>6}{row['trl']:>12.6f}"
            f"{row['loss_difference']:>12.1e}{row['gradient_difference']:>12.1e}"
        )
    worst = max(max(r["loss_difference"], r["gradient_difference"]) for r in rows)
    print(f"largest difference {worst:.1e}")
    print(json.dumps({"trl_version": version("trl"), "tokens": n, "vocab": vocab, "rows": rows}))


if __name__ == "__main__":
    main()
