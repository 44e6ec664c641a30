"""What attention should know about steps: an ablation on chains longer than any in training.

    python benchmarks/reasoning_attention.py --folder runs/reasoning-attention --seeds 0 1 2
    python benchmarks/reasoning_attention.py --arms plain flow --steps 20 --problems 20

Every arm trains the demo's chain-of-thought stage with one of the settings of ``[model.reasoning]``
and ``[supervision]`` (docs/THINKING.md), on the same problems in the same order and with the same
number of tokens; then it answers, greedily, problems of the trained lengths, with two and with four
steps more, with a distracting number, and with wordings that were never trained on. Shown are
accuracy, the share of chains that have as many steps as the problem needs, and how much attention
the best head spends where an operand comes from.

By default the problems are of the validation split, which is for developing; ``--test`` takes the
test splits, once the choice is made. Each seed has its own weights, batches and problems. Intervals
are Wilson's over all problems of all seeds; "against plain" is the exact McNemar test on the same
problems, not corrected for the number of arms. With few seeds neither knows how much training runs
differ: look at the seeds, which the JSON has.

One thread, float32, no compiler: an arm takes about 25 minutes of an idle core at 790 steps. Every
finished arm and seed is a file in the folder, and the same command goes on after an interruption.
Prints a table in Markdown, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from glassmind.data import ProblemDial, Split, generate
from glassmind.evaluate.dependency_attention import head_shares
from glassmind.generate import SamplingParams
from glassmind.generate.calculator import annotated
from glassmind.grade import check_steps, grade
from glassmind.llm import LocalLLM
from glassmind.pipeline.training import run_training
from glassmind.records import Completion, Problem
from glassmind.runs.folder import commit
from glassmind.runs.models import load
from glassmind.runs.overrides import replace_many
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.serialization import decode, read_json, write_record
from glassmind.statistics import mcnemar_exact, paired_counts, wilson_interval

ARMS = {
    "plain": "",
    "random": "model.reasoning.positions=random",
    "restart": "model.reasoning.positions=restart",
    "inductive": "model.reasoning.mask=inductive model.reasoning.positions=restart",
    "flow": "model.reasoning.mask=flow",
    "flow, restart": "model.reasoning.mask=flow model.reasoning.positions=restart",
    "flow, random": "model.reasoning.mask=flow model.reasoning.positions=random",
    "bias": "model.reasoning.step_bias=true",
    "bias, supervision": "model.reasoning.step_bias=true supervision.weight=0.3",
    "supervision": "supervision.weight=0.3",
    "calculator": "sampling.calculator=true",
}
"""What each arm changes in the recipe."""

LONGEST_CHAIN = 160  # tokens; eight steps need about 100


@dataclass(frozen=True)
class SliceResult:
    """One slice, problem by problem: whether the answer is right, whether every step is a valid
    move, how many steps were written, and how many are needed."""

    right: tuple[bool, ...]
    valid: tuple[bool, ...]
    written: tuple[int, ...]
    needed: tuple[int, ...]


@dataclass(frozen=True)
class ArmResult:
    """One arm and seed."""

    arm: str
    seed: int
    steps: int
    commit: str
    seconds: float
    best_head: float
    evenly: float
    slices: dict[str, SliceResult]


def slices(recipe: Recipe, count: int, *, test: bool) -> dict[str, list[Problem]]:
    """The problems to answer, by slice."""
    dial = recipe.problems.dial
    top = dial.max_steps

    def made(split: Split, **changes: float) -> list[Problem]:
        harder: ProblemDial = replace(dial, **changes)  # type: ignore[arg-type]
        return generate(harder, count, split=split, seed=recipe.seed)

    if test:  # the split "longer" has one or two steps more than its dial
        return {
            "trained": made("test"),
            "+1, +2": made("longer"),
            "+3, +4": made("longer", max_steps=top + 2),
            "distractors": made("test", distractors=1.0),
            "reworded": made("reworded"),
        }
    return {
        "trained": made("validation"),
        "+1, +2": made("validation", min_steps=top + 1, max_steps=top + 2),
        "+3, +4": made("validation", min_steps=top + 3, max_steps=top + 4),
        "distractors": made("validation", distractors=1.0),
    }


def run_arm(
    arm: str, recipe: Recipe, folder: Path, problems: dict[str, list[Problem]]
) -> ArmResult:
    """Train one arm (or go on with it) and let it answer."""
    started = time.perf_counter()
    run_training(recipe, folder, resume=folder.exists())
    seconds = time.perf_counter() - started
    llm = LocalLLM.of_run(load(folder), arm)
    sampling = replace(recipe.sampling, max_new_tokens=LONGEST_CHAIN)
    params = SamplingParams.of(sampling, seed=recipe.seed, greedy=True)
    found = {}
    for name, asked in problems.items():
        traces = llm.sample(asked, params, "chain")
        found[name] = judged(asked, [trace.completions[0] for trace in traces])
    write = annotated if recipe.sampling.calculator else str
    heads = head_shares(llm.model, llm.tokenizer, problems["trained"][:100], write)
    best = max(share for layer in heads.shares for share in layer)
    return ArmResult(
        arm, recipe.seed, recipe.train.steps, commit(), seconds, best, heads.evenly, found
    )


def judged(problems: Sequence[Problem], completions: Sequence[Completion]) -> SliceResult:
    right, valid, written = [], [], []
    for problem, completion in zip(problems, completions, strict=True):
        answer, steps = completion.answer, completion.steps
        right.append(answer is not None and grade(problem.answer, answer))
        valid.append(all(check.valid for check in check_steps(problem, steps)))
        written.append(len(steps))
    needed = tuple(len(problem.steps) for problem in problems)
    return SliceResult(tuple(right), tuple(valid), tuple(written), needed)


def summary(
    results: Sequence[ArmResult], plain: Sequence[ArmResult], name: str
) -> dict[str, object]:
    """One cell of the table: an arm's results of all seeds on one slice."""
    rows = [result.slices[name] for result in results]
    right = [one for row in rows for one in row.right]
    counted = [a == b for row in rows for a, b in zip(row.written, row.needed, strict=True)]
    low, high = wilson_interval(sum(right), len(right))
    cell: dict[str, object] = {
        "n": len(right),
        "accuracy": round(100 * sum(right) / len(right), 2),
        "low": round(100 * low, 2),
        "high": round(100 * high, 2),
        "by_seed": [round(100 * sum(row.right) / len(row.right), 2) for row in rows],
        "right_number_of_steps": round(100 * sum(counted) / len(counted), 2),
    }
    seeds = {result.seed: result for result in plain}
    pairs = [(seeds[r.seed], r) for r in results if r.seed in seeds and r.arm != "plain"]
    if pairs:
        before = [one for a, _ in pairs for one in a.slices[name].right]
        after = [one for _, b in pairs for one in b.slices[name].right]
        gained, lost = paired_counts(before, after)
        cell |= {"gained": gained, "lost": lost, "p": mcnemar_exact(gained, lost)}
    return cell


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--folder", type=Path, default=Path("runs/reasoning-attention"))
    parser.add_argument("--recipe", default="demo")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--steps", type=int, default=790)
    parser.add_argument("--problems", type=int, default=300, help="of each slice")
    parser.add_argument("--test", action="store_true", help="the test splits")
    args = parser.parse_args()
    torch.set_num_threads(1)
    base = read_recipe(args.recipe)
    train = replace(
        base.train, steps=args.steps, threads=1, precision="float32", compile="off",
        validate_every=args.steps,
    )  # fmt: skip
    kind = "test" if args.test else "validation"
    results: dict[str, list[ArmResult]] = {arm: [] for arm in args.arms}
    for seed in args.seeds:
        recipe = replace(base, seed=seed, train=train)
        problems = slices(recipe, args.problems, test=args.test)
        for arm in args.arms:
            name = f"{arm.replace(', ', '-')}-{args.steps}-{seed}"
            path = args.folder / f"{name}-{kind}-{args.problems}.json"
            if not path.is_file():
                changes = [change.partition("=") for change in ARMS[arm].split()]
                own = replace_many(recipe, [(key, value) for key, _, value in changes], arm)
                write_record(path, run_arm(arm, own, args.folder / name, problems))
            results[arm].append(decode(ArmResult, read_json(path), str(path)))
            print(f"{arm}, seed {seed}: {results[arm][-1].seconds:.0f} s", flush=True)

    names = list(problems)
    heads = "".join(f" {name} | steps |" for name in names)
    print(f"\n| arm |{heads} best head |\n|---|{'---|---|' * len(names)}---|")
    table: dict[str, dict[str, object]] = {}
    for arm, found in results.items():
        cells = {name: summary(found, results.get("plain", []), name) for name in names}
        table[arm] = {**cells, "best_head": [round(r.best_head, 4) for r in found]}
        line = "".join(
            f" {c['accuracy']:.1f} ({c['low']:.1f} to {c['high']:.1f})"
            + (f" p {c['p']:.1g}" if "p" in c else "")
            + f" | {c['right_number_of_steps']:.0f} % |"
            for c in cells.values()
        )
        best = sum(r.best_head for r in found) / len(found)
        print(f"| {arm} |{line} {100 * best:.0f} % |")
    evenly = next(iter(results.values()))[0].evenly
    print(f"\nsteps: chains with the right number of steps; evenly spread: {100 * evenly:.0f} %")
    print(
        json.dumps(
            {
                "benchmark": "reasoning_attention",
                "recipe": base.name,
                "split": kind,
                "steps": args.steps,
                "seeds": args.seeds,
                "commit": commit(),
                "arms": table,
            }
        )
    )


if __name__ == "__main__":
    main()
