"""Are our losses, gradients and advantages of learning from reward those of trl?

    PYTHONPATH=. python benchmarks/losses_against_trl.py [--cases 20] [--seed 0]

needs ``pip install trl`` (compared with 1.16.0), which is not a dependency of this package. Every
row is one setting of both sides. On each random case (12 completions of 1 to 24 tokens, ratios far
beyond the clipping bounds, tokens of tools among them) the loss and its gradient with respect to
every log-probability are computed by trl's own ``GRPOTrainer._compute_loss``, and by
``policy_terms`` and ``term_shares``. Advantages are compared with the statements of trl that
compute them, cut out of its source, since they are in the middle of a method that samples.

The table has the largest difference over all cases; the target is 1e-5. Ends with one JSON line.
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

import numpy as np
import torch
import trl
from torch import Tensor
from trl.trainer import grpo_trainer, rloo_trainer

from glassmind.train.objectives.policy.advantages import Advantage, advantages
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.policy.terms import policy_terms, term_shares

COMPLETIONS, LONGEST, GROUP = 12, 24, 4
TARGET = 1e-5


@dataclass(frozen=True)
class Row:
    """One setting: trl's attributes that differ from its defaults, and our options."""

    name: str
    theirs: dict[str, Any]
    ours: PolicyOptions


def options(**switches: Any) -> PolicyOptions:
    return PolicyOptions(**{"constant_length": LONGEST, **switches})


ROWS = (
    Row("GRPO", {"loss_type": "grpo"}, options(normalisation="sequence")),
    Row(
        "GRPO with KL",
        {"loss_type": "grpo", "beta": 0.04},
        options(normalisation="sequence", kl=0.04),
    ),
    Row(
        "GRPO with KL times ratio",
        {"loss_type": "grpo", "beta": 0.04, "use_bias_correction_kl": True},
        options(normalisation="sequence", kl=0.04, kl_ratio=True),
    ),
    Row("BNPO", {"loss_type": "bnpo"}, options()),
    Row("DAPO", {"loss_type": "dapo", "epsilon_high": 0.28}, options(clip_high=0.28)),
    Row("Dr. GRPO", {"loss_type": "dr_grpo"}, options(normalisation="constant")),
    Row(
        "GSPO",
        {
            "loss_type": "grpo",
            "importance_sampling_level": "sequence",
            "epsilon_low": 3e-4,
            "epsilon_high": 4e-4,
        },
        options(ratio="sequence", normalisation="sequence", clip_low=3e-4, clip_high=4e-4),
    ),
    Row(
        "CISPO",
        {"loss_type": "cispo", "epsilon_high": 1.5},
        options(surrogate="cispo", clip_low=1.0, clip_high=0.5),
    ),
    *(
        Row(
            f"TIS/MIS {level}_{mode}",
            {
                "loss_type": "dapo",
                "use_vllm": True,
                "mode": f"{level}_{mode}",
                "clip": (0.5 if mode == "mask" else None, 2.0),
            },
            options(
                old="trainer",
                correction=mode,
                correction_level=level,
                correction_low=0.5 if mode == "mask" else 0.0,
            ),
        )
        for level in ("token", "sequence")
        for mode in ("truncate", "mask")
    ),
)


# ------------------------------------------------------------------ one random case


@dataclass(frozen=True)
class Case:
    """Log-probabilities (B, T) and advantages (B,), with masks of completions and tool tokens."""

    now: Tensor
    old: Tensor
    sampled: Tensor
    reference: Tensor
    advantage: Tensor
    completion: Tensor
    written: Tensor

    @classmethod
    def random(cls, seed: int) -> Case:
        draw = torch.Generator().manual_seed(seed)
        size = COMPLETIONS, LONGEST

        def near(base: Tensor, scale: float) -> Tensor:
            return (base + scale * torch.randn(size, generator=draw)).clamp(max=-1e-3)

        old = near(torch.full(size, -1.0), 0.7)
        lengths = torch.randint(1, LONGEST + 1, (COMPLETIONS, 1), generator=draw)
        completion = (torch.arange(LONGEST) < lengths).long()
        written = (torch.rand(size, generator=draw) > 0.1).long()
        written[:, 0] = 1
        return cls(
            near(old, 0.3),
            old,
            near(old, 0.1),
            near(old, 0.4),
            torch.randn(COMPLETIONS, generator=draw),
            completion,
            written,
        )

    @property
    def mask(self) -> Tensor:
        return self.completion * self.written


def trl_loss(row: Row, case: Case) -> tuple[float, Tensor]:
    """trl's loss, and its gradient with respect to every log-probability (B, T)."""
    now = case.now.clone().requires_grad_()
    of = row.theirs
    accelerator = SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        reduce=lambda x, reduction: x,
        sync_gradients=True,
    )
    trainer = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *a, **k: (now, torch.zeros_like(now), None),
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level=of.get("importance_sampling_level", "token"),
        beta=of.get("beta", 0.0),
        loss_type=of["loss_type"],
        epsilon_low=of.get("epsilon_low", 0.2),
        epsilon_high=of.get("epsilon_high", 0.2),
        use_vllm=of.get("use_vllm", False),
        vllm_importance_sampling_correction=True,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        current_gradient_accumulation_steps=1,
        max_completion_length=LONGEST,
        model=SimpleNamespace(training=True),
        accelerator=accelerator,
        _metrics=defaultdict(lambda: defaultdict(list)),
        args=SimpleNamespace(
            use_bias_correction_kl=of.get("use_bias_correction_kl", False),
            delta=None,
            steps_per_generation=1,
        ),
    )
    inputs = {
        "prompt_ids": torch.zeros(COMPLETIONS, 1, dtype=torch.long),
        "prompt_mask": torch.ones(COMPLETIONS, 1, dtype=torch.long),
        "completion_ids": torch.zeros(COMPLETIONS, LONGEST, dtype=torch.long),
        "completion_mask": case.completion,
        "tool_mask": case.written,
        "advantages": case.advantage,
        "old_per_token_logps": case.old,
        "ref_per_token_logps": case.reference,
        "num_items_in_batch": case.mask.sum(),
    }
    if trainer.use_vllm:
        low, high = of["clip"]
        names: dict[str, Any] = {
            "self": SimpleNamespace(
                use_vllm=True,
                vllm_importance_sampling_correction=True,
                vllm_importance_sampling_mode=of["mode"],
                vllm_importance_sampling_clip_min=low,
                vllm_importance_sampling_clip_max=high,
            ),
            "completion_mask": case.completion,
            "tool_mask": case.written,
            "old_per_token_logps": case.old,
            "sampling_per_token_logps": case.sampled,
            "math": math,
        }
        method = grpo_trainer.GRPOTrainer._generate_and_score_completions
        start = (
            "if self.use_vllm and self.vllm_importance_sampling_correction:\n" + " " * 16 + "mask"
        )
        run_part(
            method, start, "# Compute the per-token log probabilities for the reference", names
        )
        inputs["importance_sampling_ratio"] = names["vllm_importance_sampling_ratio"]
    loss = grpo_trainer.GRPOTrainer._compute_loss(trainer, None, inputs)
    loss.backward()
    assert now.grad is not None
    return loss.item(), now.grad


def our_loss(row: Row, case: Case) -> tuple[float, Tensor]:
    now = case.now.clone().requires_grad_()
    at = case.mask.bool()
    number = torch.arange(COMPLETIONS)[:, None].expand_as(at)[at]
    terms = policy_terms(
        now[at],
        case.old[at],
        case.advantage[:, None].expand_as(now)[at],
        number,
        row.ours,
        case.sampled[at],
        case.reference[at],
    )
    shares = torch.from_numpy(term_shares(number.numpy(), row.ours)).float()
    loss = (terms * shares).sum()
    loss.backward()
    assert now.grad is not None
    return loss.item(), now.grad


# ------------------------------------------------------------------ advantages


def run_part(method: Callable[..., Any], start: str, end: str, names: dict[str, Any]) -> None:
    """Run the statements of trl's ``method`` from ``start`` up to ``end`` with these ``names``."""
    source = inspect.getsource(method)
    first = source.index(start)
    first = source.rindex("\n", 0, first) + 1
    part = textwrap.dedent(source[first : source.index(end, first)])
    names["torch"] = torch
    exec(compile(part, "trl", "exec"), names)


def trl_advantages(kind: str, rewards: Tensor, weights: Tensor) -> Tensor:
    """Of ``rewards`` (N, K), groups one after the other."""
    names: dict[str, Any] = {
        "rewards_per_func": rewards,
        "num_generations": GROUP,
        "unscorable_mask": torch.zeros(len(rewards), dtype=torch.bool),
        "device": rewards.device,
        "nanstd": grpo_trainer.nanstd,
        "self": SimpleNamespace(
            reward_weights=weights,
            reward_funcs=[None] * rewards.shape[1],
            multi_objective_aggregation=(
                "normalize_then_sum" if kind == "gdpo" else "sum_then_normalize"
            ),
            scale_rewards="group" if kind == "grpo" else "none",
            normalize_advantages=False,
        ),
    }
    if kind == "rloo":
        names["rewards"] = (rewards * weights).sum(1)
        method = rloo_trainer.RLOOTrainer._generate_and_score_completions
        run_part(method, "grouped_rewards = rewards.view", "# Unscorable completions carry", names)
    else:
        method = grpo_trainer.GRPOTrainer._generate_and_score_completions
        start = "if self.multi_objective_aggregation =="
        run_part(method, start, "# Unscorable completions (every", names)
    return names["advantages"]


def advantage_difference(kind: Advantage, seed: int) -> float:
    draw = np.random.default_rng(seed)
    rewards = draw.normal(size=(5, GROUP, 2)) * (1.0, 10.0)
    rewards[0, :, 0] = 1.0  # one reward without a spread
    weights = (1.0, 0.2)
    ours = advantages(rewards, weights, kind).reshape(-1)
    flat = torch.from_numpy(rewards.reshape(-1, 2)).float()
    theirs = trl_advantages(kind, flat, torch.tensor(weights))
    return float(np.abs(ours - theirs.double().numpy()).max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    seeds = range(args.seed, args.seed + args.cases)
    found: dict[str, dict[str, float]] = {}
    print(f"{args.cases} random cases against trl {trl.__version__}; largest differences\n")
    print(f"{'setting':<28}{'loss':>12}{'gradient':>12}{'|gradient|':>12}")
    for row in ROWS:
        most = {"loss": 0.0, "gradient": 0.0, "size": 0.0}
        for seed in seeds:
            case = Case.random(seed)
            theirs, their_gradient = trl_loss(row, case)
            ours, our_gradient = our_loss(row, case)
            most["loss"] = max(most["loss"], abs(theirs - ours))
            difference = (their_gradient - our_gradient).abs().max()
            most["gradient"] = max(most["gradient"], float(difference))
            most["size"] = max(most["size"], float(our_gradient.abs().max()))
        found[row.name] = most
        print(f"{row.name:<28}{most['loss']:>12.1e}{most['gradient']:>12.1e}{most['size']:>12.3f}")
    print(f"\n{'advantages':<28}{'difference':>12}")
    kinds: tuple[Advantage, ...] = ("grpo", "dr-grpo", "rloo", "gdpo")
    for kind in kinds:
        difference = max(advantage_difference(kind, seed) for seed in seeds)
        found[f"advantages {kind}"] = {"advantage": difference}
        print(f"{kind:<28}{difference:>12.1e}")
    worst = max(max(row.get(key, 0.0) for key in ("loss", "gradient", "advantage"))
                for row in found.values())  # fmt: skip
    print(f"\nlargest of all: {worst:.1e} (target {TARGET:g})\n")
    print(
        json.dumps(
            {
                "benchmark": "losses_against_trl",
                "trl": trl.__version__,
                "cases": args.cases,
                "seed": args.seed,
                "largest": worst,
                "target": TARGET,
                "rows": found,
            }
        )
    )


if __name__ == "__main__":
    main()
