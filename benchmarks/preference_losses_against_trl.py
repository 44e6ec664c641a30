"""Are our preference losses and their gradients those of trl?

    PYTHONPATH=. python benchmarks/preference_losses_against_trl.py [--cases 20] [--seed 0]

needs ``pip install trl`` (compared with 1.16.0), which is not a dependency of this package. On each
random case (16 pairs of answers of 1 to 40 tokens, some of them nearly certain) the loss and its
gradient with respect to every log-probability of an answer are computed by trl's own code and by
``preference_losses``. Where trl has a function for a loss it is called; where the loss is in the
middle of a method that runs a model, its statements are cut out of trl's source.

Names differ: trl's ``ipo`` divides by the length, which is ``average`` here; its ORPO adds a
language-model loss over prompt and answer, where the paper has the answer only, so the rows of ORPO
compare the other part. KTO's two parts are weighed alike on both sides.

The table has the largest difference over all cases, relative to the largest gradient where that is
above 1; the target is 1e-5. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import textwrap
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
import trl
from torch import Tensor
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.kto_trainer import KTOTrainer
from trl.trainer.reward_trainer import RewardTrainer

from glassmind.train.objectives.preference_losses import (
    Answers,
    PreferenceLoss,
    kto_distance,
    kto_terms,
    pair_terms,
)
from glassmind.train.objectives.reward_model import bradley_terry_terms

PAIRS, LONGEST = 16, 40
TARGET = 1e-5
CPU = SimpleNamespace(device="cpu", gather_for_metrics=lambda x: x)


@dataclass(frozen=True)
class Case:
    """Log-probabilities (2P,) of the chosen and then the rejected answers, those of the reference,
    and lengths; ``others`` are those of mismatched answers, and of the reference for them."""

    now: Tensor
    reference: Tensor
    lengths: Tensor
    others: Tensor
    reference_others: Tensor

    @classmethod
    def random(cls, seed: int) -> Case:
        draw = torch.Generator().manual_seed(seed)

        def uniform(low: float, high: float) -> Tensor:
            return low + (high - low) * torch.rand(2 * PAIRS, generator=draw)

        lengths = torch.randint(1, LONGEST + 1, (2 * PAIRS,), generator=draw).float()
        mean = -torch.exp(uniform(math.log(1e-4), math.log(3.0)))
        now, others = mean * lengths, uniform(-60, -5)
        return cls(now, now + uniform(-5, 5), lengths, others, others + uniform(-3, 2))

    def answers(self, now: Tensor, side: int) -> Answers:
        part = slice(side * PAIRS, (side + 1) * PAIRS)
        return Answers(now[part], self.reference[part], self.lengths[part])


Loss = Callable[[Case, Tensor], Tensor]
"""A scalar, from a case and log-probabilities (2P,) that need a gradient."""


def run_part(method: Callable[..., Any], start: str, end: str, names: dict[str, Any]) -> None:
    """Run the statements of trl's ``method`` from ``start`` up to ``end`` with these ``names``."""
    source = inspect.getsource(method)
    first = source.rindex("\n", 0, source.index(start)) + 1
    part = textwrap.dedent(source[first : source.index(end, first)])
    names.update(torch=torch, F=F, nn=torch.nn)
    exec(compile(part, "trl", "exec"), names)


# ------------------------------------------------------------------ trl's side


def trl_dpo(loss_type: str, beta: float) -> Loss:
    def loss(case: Case, now: Tensor) -> Tensor:
        chosen, rejected = (now - case.reference).chunk(2)
        mask = (torch.arange(LONGEST) < case.lengths[:, None]).long()
        names: dict[str, Any] = {
            "chosen_scores": chosen,
            "rejected_scores": rejected,
            "completion_mask": mask,
            "self": SimpleNamespace(
                loss_types=[loss_type], loss_weights=[1.0], beta=beta, use_weighting=False
            ),
        }
        run_part(
            DPOTrainer._compute_loss,
            "delta_score =",
            "if self.aux_loss_enabled:\n            aux",
            names,
        )
        found: Tensor = names["loss"]
        return found

    return loss


def trl_cpo(loss_type: str, beta: float, *, smoothing: float = 0.0, gamma: float = 0.0) -> Loss:
    """The losses of CPO are those of DPO on what they are given: Δ, or means."""
    trainer = SimpleNamespace(
        alpha=0.0,
        beta=beta,
        loss_type=loss_type,
        label_smoothing=smoothing,
        simpo_gamma=gamma,
        accelerator=CPU,
    )

    def loss(case: Case, now: Tensor) -> Tensor:
        values = now / case.lengths if loss_type == "simpo" else now - case.reference
        losses, *_ = CPOTrainer.cpo_loss(trainer, *values.chunk(2))
        mean: Tensor = losses.mean()
        return mean

    return loss


def trl_orpo(beta: float) -> Loss:
    trainer = SimpleNamespace(beta=beta, accelerator=CPU)

    def loss(case: Case, now: Tensor) -> Tensor:
        losses, *_ = ORPOTrainer.odds_ratio_loss(trainer, *(now / case.lengths).chunk(2))
        mean: Tensor = -losses.mean()
        return mean

    return loss


def trl_kto(beta: float, desirable: float, undesirable: float) -> Loss:
    def loss(case: Case, now: Tensor) -> Tensor:
        chosen, rejected = now.chunk(2)
        reference = case.reference.chunk(2)
        names: dict[str, Any] = {
            "KL_logps": case.others,
            "ref_KL_logps": case.reference_others,
            "chosen_logps": chosen,
            "rejected_logps": rejected,
            "ref_chosen_logps": reference[0],
            "ref_rejected_logps": reference[1],
            "mode": "train",
            "self": SimpleNamespace(
                calculate_KL=True,
                loss_type="kto",
                beta=beta,
                desirable_weight=desirable,
                undesirable_weight=undesirable,
                accelerator=CPU,
                _metrics=defaultdict(lambda: defaultdict(list)),
            ),
        }
        run_part(
            KTOTrainer._compute_loss, "if self.calculate_KL:\n            kl =", "# Entropy", names
        )
        mean: Tensor = names["losses"].nanmean()
        return mean

    return loss


def trl_reward(centre: float) -> Loss:
    def loss(case: Case, now: Tensor) -> Tensor:
        chosen, rejected = now.chunk(2)
        names: dict[str, Any] = {
            "inputs": {},
            "rewards_chosen": chosen,
            "rewards_rejected": rejected,
            "self": SimpleNamespace(args=SimpleNamespace(center_rewards_coefficient=centre)),
        }
        run_part(RewardTrainer.compute_loss, 'if "margin" in inputs:', 'if mode == "train"', names)
        found: Tensor = names["loss"]
        return found

    return loss


# ------------------------------------------------------------------ our side


def our_pairs(options: PreferenceLoss) -> Loss:
    return lambda case, now: pair_terms(case.answers(now, 0), case.answers(now, 1), options).mean()


def our_kto(options: PreferenceLoss) -> Loss:
    def loss(case: Case, now: Tensor) -> Tensor:
        z = kto_distance(Answers(case.others, case.reference_others, case.lengths))
        answers = Answers(now, case.reference, case.lengths)
        return kto_terms(answers, torch.arange(2 * PAIRS) < PAIRS, z, options).mean()

    return loss


ROWS: dict[str, tuple[Loss, Loss]] = {
    "DPO": (trl_dpo("sigmoid", 0.1), our_pairs(PreferenceLoss("dpo"))),
    "DPO, averaged": (
        trl_dpo("sigmoid_norm", 0.5),
        our_pairs(PreferenceLoss("dpo", beta=0.5, average=True)),
    ),
    "cDPO": (
        trl_cpo("sigmoid", 0.1, smoothing=0.2),
        our_pairs(PreferenceLoss("dpo", label_smoothing=0.2)),
    ),
    "IPO (trl: CPO's)": (trl_cpo("ipo", 0.3), our_pairs(PreferenceLoss("ipo", beta=0.3))),
    "IPO, averaged": (
        trl_dpo("ipo", 0.1),
        our_pairs(PreferenceLoss("ipo", average=True)),
    ),
    "SimPO": (
        trl_cpo("simpo", 2.0, gamma=1.0),
        our_pairs(PreferenceLoss("simpo")),
    ),
    "ORPO, odds": (trl_orpo(0.1), our_pairs(PreferenceLoss("orpo", sft=0.0))),
    "KTO": (
        trl_kto(0.1, 1.0, 1.33),
        our_kto(PreferenceLoss("kto", undesirable=1.33)),
    ),
    "reward model": (
        trl_reward(0.01),
        lambda case, now: bradley_terry_terms(*now.chunk(2), 0.01).mean(),
    ),
}


def differences(theirs: Loss, ours: Loss, case: Case) -> tuple[float, float, float]:
    """Of loss and gradient, and the largest gradient."""
    found = []
    for side in (theirs, ours):
        now = case.now.clone().requires_grad_()
        loss = side(case, now)
        loss.backward()
        assert now.grad is not None
        found.append((loss.item(), now.grad))
    (a, da), (b, db) = found
    size = float(da.abs().max())
    return abs(a - b) / max(1.0, abs(a)), float((da - db).abs().max()) / max(1.0, size), size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cases = [Case.random(args.seed + n) for n in range(args.cases)]
    print(f"{args.cases} random cases against trl {trl.__version__}; largest differences\n")
    print(f"{'loss':<20}{'loss':>12}{'gradient':>12}{'|gradient|':>12}")
    found = {}
    for name, (theirs, ours) in ROWS.items():
        loss, gradient, size = map(
            max, zip(*(differences(theirs, ours, case) for case in cases), strict=True)
        )
        found[name] = {"loss": loss, "gradient": gradient, "size": size}
        print(f"{name:<20}{loss:>12.1e}{gradient:>12.1e}{size:>12.3f}")
    worst = max(max(row["loss"], row["gradient"]) for row in found.values())
    print(f"\nlargest of all: {worst:.1e} (target {TARGET:g})\n")
    print(
        json.dumps(
            {
                "benchmark": "preference_losses_against_trl",
                "trl": trl.__version__,
                "cases": args.cases,
                "seed": args.seed,
                "largest": worst,
                "target": TARGET,
                "losses": found,
            }
        )
    )


if __name__ == "__main__":
    main()
