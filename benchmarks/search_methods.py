"""Accuracy and tokens of searches and of votes, on problems of 2 to 4 steps.

    python benchmarks/search_methods.py --problems 150
    python benchmarks/search_methods.py --problems 2000 --split test \\
        --runs step-beam:8 --base self-consistency:18

Every method sees the same problems and the same seed; votes share their chains. Tokens are means
per problem: those of the prompt, those written, and those that the verifier read. ``p`` is the
exact McNemar test against ``--base``. Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

from glassmind.data import generate
from glassmind.evaluate.ladder.grading import verdicts
from glassmind.generate import SamplingParams
from glassmind.llm import open_llm
from glassmind.pipeline.evaluate import task_recipe
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.methods import tree_search
from glassmind.reason.search import vote_of_judged
from glassmind.reason.session import Session
from glassmind.records import Cost, Problem
from glassmind.statistics import mcnemar_exact, paired_counts, wilson_interval

RUNS = (
    "chain-of-thought:1",
    "self-refinement:4",
    "self-consistency:4",
    "self-consistency:8",
    "self-consistency:16",
    "program-aided:8",
    "verifier-vote:4",
    "verifier-vote:8",
    "program-aided-verifier-vote:4",
    "program-aided-verifier-vote:8",
    "step-beam:4",
    "step-beam:8",
    "tree-search:4",
    "tree-search:8",
)
ROLLED = "tree-search:8, rollouts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=150)
    parser.add_argument("--split", choices=("validation", "test"), default="validation")
    parser.add_argument("--seed", type=int, default=1, help="of the sampling")
    parser.add_argument("--runs", nargs="+", default=[*RUNS, ROLLED], metavar="METHOD:SAMPLES")
    parser.add_argument(
        "--base", default="self-consistency:16", help="what the others are tested against"
    )
    args = parser.parse_args()
    wanted = list(dict.fromkeys([*args.runs, args.base]))
    most = max(int(run.partition(":")[2]) for run in wanted if run != ROLLED)
    llm = open_llm("")
    dial = replace(task_recipe(llm).problems.dial, min_steps=2, max_steps=4)
    problems = generate(dial, args.problems, split=args.split, seed=5)
    sampling = llm.default_sampling
    session = Session(
        [llm],
        SamplingParams.of(sampling, seed=args.seed, greedy=True),
        replace(SamplingParams.of(sampling, seed=args.seed), samples=most),
    )
    found: dict[str, list[Solution]] = {}
    for run in wanted:
        if run == ROLLED:
            rolled = tree_search.search(problems, session, Budget(8), rollout=0.5)
            found[run] = [vote_of_judged(trace) for trace in rolled]
        else:
            name, _, n = run.partition(":")
            found[run] = registry.named(name).solve(problems, session, Budget(int(n)))
    rows = [row(name, problems, solutions, found[args.base]) for name, solutions in found.items()]
    heads = f"{'method':30} {'right':>6} {'95 % interval':>15}"
    print(f"{heads} {'written':>8} {'judged':>7} {'all':>6} p")
    for one in rows:
        print(
            f"{one['method']:30} {one['accuracy']:6.1%} {one['low']:7.1%} -{one['high']:6.1%} "
            f"{one['written']:8.0f} {one['judged']:7.0f} {one['tokens']:6.0f} {one['p']:.3f}"
        )
    print(
        json.dumps({"problems": len(problems), "seed": args.seed, "base": args.base, "rows": rows})
    )


def row(
    name: str, problems: list[Problem], solutions: list[Solution], base: list[Solution]
) -> dict[str, str | float]:
    """One method's accuracy and mean tokens, and McNemar's p against ``base``."""
    right = [verdict.correct for verdict in verdicts(problems, solutions)]
    other = [verdict.correct for verdict in verdicts(problems, base)]
    cost, n = sum((solution.cost for solution in solutions), Cost()), len(problems)
    low, high = wilson_interval(sum(right), n)
    return {
        "method": name,
        "accuracy": sum(right) / n,
        "low": low,
        "high": high,
        "written": cost.completion_tokens / n,
        "judged": cost.judged_tokens / n,
        "tokens": (cost.prompt_tokens + cost.completion_tokens + cost.judged_tokens) / n,
        "p": mcnemar_exact(*paired_counts(right, other)),
    }


if __name__ == "__main__":
    main()
