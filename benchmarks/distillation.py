"""How much of its teacher's skill a model of half the size takes over by distillation.

    python benchmarks/distillation.py [--losses forward-kl text] [--steps 400] [--problems 8000]
        [--seeds 0] [--n 1000] [--split validation] [--folder runs/distillation]

The teacher is the model of the recipe ``distill`` (the shipped one). Students have the recipe's
shape, and for a seed the same initial weights, steps, batch and training problems: one learns the
worked solutions by ``sft``, the others learn from the teacher's chains with one of the losses of
``distill`` each. The table has the greedy accuracy on ``--n`` held-out problems with its 95 %
interval (Wilson), a paired test against the student from scratch (McNemar, exact), and the share of
the teacher's gain over that student that was reached. Finished runs in ``--folder`` are used again.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from glassmind.cli.live import LiveProgress
from glassmind.data import generate
from glassmind.data.splits import Split
from glassmind.generate import SamplingParams
from glassmind.grade import grade
from glassmind.llm import LocalLLM
from glassmind.pipeline.training import run_training
from glassmind.pipeline.tunings.distill import LossName
from glassmind.records import Problem
from glassmind.runs.models import load
from glassmind.runs.recipe import Recipe, read_recipe
from glassmind.statistics import mcnemar_exact, mean_and_interval, paired_counts, wilson_interval

SCRATCH = "from scratch"


def students(recipe: Recipe, losses: Sequence[str], teacher: str) -> dict[str, Recipe]:
    """The recipe of each student, by name."""
    tokenizer = replace(recipe.tokenizer, file=str(load(teacher).run.path / "tokenizer.json"))
    made = {SCRATCH: replace(recipe, objective="sft", options={}, tokenizer=tokenizer)}
    for loss in losses:
        made[loss] = replace(recipe, options={**recipe.options, "loss": loss})
    return made


def right(source: str, problems: Sequence[Problem], recipe: Recipe) -> list[bool]:
    """Whether the greedy chain for each problem has the right answer."""
    llm = LocalLLM.of_run(load(source), source)
    params = SamplingParams.of(recipe.sampling, seed=0, greedy=True)
    traces = llm.sample(problems, params, llm.style)
    return [
        grade(problem.answer, trace.completions[0].answer)
        for problem, trace in zip(problems, traces, strict=True)
    ]


def measure(recipe: Recipe, args: argparse.Namespace) -> dict[str, Any]:
    """Train and grade every student of one seed."""
    teacher = str(recipe.options["teacher"])
    problems = generate(recipe.problems.dial, args.n, split=args.split, seed=recipe.seed)
    verdicts = {"teacher": right(teacher, problems, recipe)}
    for name, own in students(recipe, args.losses, teacher).items():
        folder = args.folder / f"{name.replace(' ', '-')}-{recipe.seed}"
        run_training(own, folder, resume=True, progress=LiveProgress())
        verdicts[name] = right(str(folder), problems, recipe)
    base, best = (sum(verdicts[name]) for name in (SCRATCH, "teacher"))
    print(f"\nseed {recipe.seed}: {args.n} problems of the split {args.split}, {args.steps} steps")
    print(f"{'':16}{'accuracy':>10}{'95 % interval':>18}{'p against scratch':>20}{'gain':>8}")
    rows = {}
    for name, found in verdicts.items():
        low, high = wilson_interval(sum(found), args.n)
        p = mcnemar_exact(*paired_counts(verdicts[SCRATCH], found))
        gain = (sum(found) - base) / (best - base) if best != base else float("nan")
        rows[name] = {"accuracy": sum(found) / args.n, "low": low, "high": high, "p": p}
        rows[name] |= {"gain": gain} if best != base else {}
        tested = "" if name == SCRATCH else f"{p:20.2g}{gain:8.0%}"
        print(f"{name:16}{sum(found) / args.n:>10.1%}{f'{low:.1%} to {high:.1%}':>18}{tested}")
    return {"seed": recipe.seed, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    on_given = [name for name in get_args(LossName) if name != "policy-gradient"]
    parser.add_argument("--losses", nargs="+", choices=on_given, default=["forward-kl", "text"])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--problems", type=int, default=8000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--split", choices=get_args(Split), default="validation")
    parser.add_argument("--folder", type=Path, default=Path("runs/distillation"))
    args = parser.parse_args()
    shipped = read_recipe("distill")
    recipe = replace(
        shipped,
        problems=replace(shipped.problems, train=args.problems),
        train=replace(shipped.train, steps=args.steps),
        options={**shipped.options, "questions": args.problems},
    )
    found = [measure(replace(recipe, seed=seed), args) for seed in args.seeds]
    if len(found) > 1:
        print("\nmean over seeds, with its 95 % interval (t)")
        for name in found[0]["rows"]:
            mean, low, high = mean_and_interval([one["rows"][name]["accuracy"] for one in found])
            print(f"{name:16}{mean:>10.1%}{f'{low:.1%} to {high:.1%}':>18}")
    settings = {"n": args.n, "split": args.split, "steps": args.steps, "problems": args.problems}
    print(json.dumps(settings | {"seeds": found}))


if __name__ == "__main__":
    main()
