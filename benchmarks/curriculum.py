"""How many groups of samples differ in their rewards, with and without a curriculum by solve rate.

    python benchmarks/curriculum.py [--model word-problems] [--draws 40] [--questions 16]
        [--group 8] [--problems 4000] [--steps 2 4] [--seed 0]

Problems are ``--problems`` of the recipe ``grpo``, with a number of steps in the range ``--steps``.
Each draw takes ``--questions`` of them, once in turn and once by the solve rates that were reported
so far, and samples ``--group`` chains of each with the same weights: nothing is trained, so that
the two differ in nothing else. The table has the share of groups with both right and wrong chains
(the others teach nothing to GRPO), with its 95 % interval (Wilson), and the mean share of right
chains. A group counts once for each time that it was drawn. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import get_args

from glassmind.data.problems.curriculum import CurriculumName, make_curriculum
from glassmind.generate import SamplingParams, derive_seed
from glassmind.pipeline.opened_model import open_model
from glassmind.pipeline.prepare import make_slices
from glassmind.reason.rewards import answer
from glassmind.runs.recipe import read_recipe
from glassmind.statistics import wilson_interval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="word-problems")
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--problems", type=int, default=4000)
    parser.add_argument("--steps", type=int, nargs=2, default=[2, 4])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    recipe = replace(read_recipe("grpo"), seed=args.seed)
    steps = dict(zip(("min_steps", "max_steps"), args.steps, strict=True))
    dial = replace(recipe.problems.dial, **steps)
    generated = replace(recipe.problems, train=args.problems, dial=dial)
    recipe = replace(recipe, problems=generated)
    llm = open_model(args.model).llm
    problems = make_slices(recipe).train
    rows = {}
    print(f"{'curriculum':12}{'groups':>8}{'differ':>9}{'95 % interval':>18}{'right chains':>14}")
    for name in get_args(CurriculumName):
        curriculum = make_curriculum(name, problems, args.seed)
        groups = differ = right = 0
        for draw in range(args.draws):
            drawn = curriculum.draw(args.questions)
            params = SamplingParams.of(recipe.sampling, seed=derive_seed(args.seed, draw))
            traces = llm.sample(drawn, replace(params, samples=args.group), llm.style)
            for problem, trace in zip(drawn, traces, strict=True):
                solved = sum(answer.score(problem, chain) == 1 for chain in trace.completions)
                curriculum.report(problem, solved / args.group)
                groups, right = groups + 1, right + solved
                differ += 0 < solved < args.group
        low, high = wilson_interval(differ, groups)
        solve_rate = right / (groups * args.group)
        rows[name] = {
            "groups": groups,
            "differ": differ / groups,
            "low": low,
            "high": high,
            "solve_rate": solve_rate,
        }
        interval = f"{low:.1%} to {high:.1%}"
        print(f"{name:12}{groups:>8}{differ / groups:>9.1%}{interval:>18}{solve_rate:>14.1%}")
    print(json.dumps(vars(args) | {"rows": rows}))


if __name__ == "__main__":
    main()
