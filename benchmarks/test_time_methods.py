"""Does a vote that stops early lose accuracy, and does a verifier pay for its own tokens?

    python benchmarks/test_time_methods.py [--model runs/demo] [--problems 2000] [--samples 64]
        [--store FOLDER]

Chains of the test problems, and of as many validation problems, are sampled and judged once, and
kept in ``--store``: started again, the benchmark goes on from there. Two claims are measured on the
test problems:

* the adaptive votes against the full vote of all chains: the difference in points with its 95 %
  interval over problems, and the share of the full vote's tokens;
* with the same limit on the tokens of every problem, those that the verifier reads included, the
  verifier-guided method that is best on the validation problems against the majority (McNemar's
  exact test), for limits of 2, 4, 8, ... times the tokens of a chain.

Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from glassmind.cli.live import LiveProgress
from glassmind.evaluate.ladder.rows import total_cost
from glassmind.llm import LLM, open_llm
from glassmind.pipeline.frontier import Questions, asked_questions, sizes
from glassmind.reason import registry
from glassmind.reason.method import Budget
from glassmind.reason.session import Session
from glassmind.reason.token_budget import spent
from glassmind.records import Verdict
from glassmind.statistics import mcnemar_exact, mean_and_interval, paired_counts

FULL = "self-consistency"
Row = dict[str, str | int | float]
ADAPTIVE = ("adaptive-vote", "adaptive-vote-by-shape")


class Measured:
    """One split: its problems, and what every method answers to them."""

    def __init__(self, questions: Questions, session: Session) -> None:
        self.questions, self.session = questions, session
        self._known: dict[tuple[str, Budget], list[Verdict]] = {}

    def verdicts(self, name: str, budget: Budget) -> list[Verdict]:
        if (name, budget) not in self._known:
            method = registry.named(name)
            self._known[name, budget] = self.questions.verdicts(method, self.session, budget)
        return self._known[name, budget]

    def accuracy(self, name: str, budget: Budget) -> float:
        found = self.verdicts(name, budget)
        return sum(verdict.correct for verdict in found) / len(found)


def measured(llm: LLM, task: str, args: argparse.Namespace, progress: LiveProgress) -> Measured:
    questions = asked_questions(task, llm, args.problems)
    config = replace(llm.default_sampling, samples=args.samples)
    session = questions.session(config, args.seed, args.store, progress)
    session.judged(questions.problems, args.samples)
    return Measured(questions, session)


def adaptive_rows(test: Measured, samples: int) -> list[Row]:
    budget = Budget(samples)
    full = test.verdicts(FULL, budget)
    tokens = spent(total_cost(full))
    rows: list[Row] = []
    for name in ADAPTIVE:
        own = test.verdicts(name, budget)
        gains = [100.0 * (a.correct - b.correct) for a, b in zip(own, full, strict=True)]
        mean, low, high = mean_and_interval(gains)
        rows.append(
            {
                "method": name,
                "accuracy": test.accuracy(name, budget),
                "full": test.accuracy(FULL, budget),
                "points": mean,
                "low": low,
                "high": high,
                "share_of_tokens": spent(total_cost(own)) / tokens,
            }
        )
    return rows


def equal_rows(validation: Measured, test: Measured, samples: int) -> list[Row]:
    guided = [m.name for m in registry.methods() if m.chooses and "verifier" in m.needs]
    traces = test.session.samples(test.questions.problems, samples)
    each = sum(t.cost.completion_tokens for t in traces) / (samples * len(traces))
    rows: list[Row] = []
    for count in sizes(samples)[1:]:
        tokens = round(count * each)
        budget = Budget(samples, tokens=tokens)
        best = max(guided, key=lambda name: validation.accuracy(name, budget))
        own, others = test.verdicts(best, budget), test.verdicts(FULL, budget)
        gained, lost = paired_counts([v.correct for v in others], [v.correct for v in own])
        rows.append(
            {
                "tokens": tokens,
                "method": best,
                "accuracy": test.accuracy(best, budget),
                "majority": test.accuracy(FULL, budget),
                "gained": gained,
                "lost": lost,
                "p": mcnemar_exact(gained, lost),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="")
    parser.add_argument("--problems", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--store", type=Path, default=Path("runs/test-time-chains"))
    args = parser.parse_args()
    llm = open_llm(args.model)
    with LiveProgress() as progress:
        validation = measured(llm, "validation", args, progress)
        test = measured(llm, "test", args, progress)
    adaptive = adaptive_rows(test, args.samples)
    n = len(test.questions.problems)
    print(f"{llm.name}, {n:,} test problems, {args.samples} chains of each\n")
    for row in adaptive:
        print(
            f"{row['method']:24} {row['accuracy']:.1%}, full vote {row['full']:.1%}: "
            f"{row['points']:+.2f} points ({row['low']:+.2f} to {row['high']:+.2f}) "
            f"for {row['share_of_tokens']:.0%} of its tokens"
        )
    equal = equal_rows(validation, test, args.samples)
    print("\ntokens  best on validation        accuracy  majority  gained  lost  p")
    for row in equal:
        print(
            f"{row['tokens']:6}  {row['method']:24}  {row['accuracy']:8.1%}  "
            f"{row['majority']:8.1%}  {row['gained']:6}  {row['lost']:4}  {row['p']:.2g}"
        )
    result = {
        "benchmark": "test_time_methods",
        "model": llm.name,
        "problems": n,
        "samples": args.samples,
        "seed": args.seed,
        "adaptive": adaptive,
        "equal_tokens": equal,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
