"""Can a verifier be trusted: its order, calibration and choices, and the labels it learns from?

    python benchmarks/verifier_quality.py [--model runs/demo] [--problems 300] [--samples 16]

Generated problems of the validation side (never the test side) and another seed than any ladder,
chains sampled at the recipe's temperature and judged by the model's verifier. Printed are

* the area under the ROC curve within a problem, Brier score, calibration error, first-error F1;
* the same of a logistic regression over exact facts, which no verifier should fall behind;
* the accuracy and the regret of each way of choosing among n chains, as n grows to ``--samples``;
* how wrong Math-Shepherd's labels are: ``--rolled`` problems, each step of ``--chains`` chains
  finished ``--rollouts`` times, against the exact labels.

``--keep FILE`` stores the judged chains and takes them from there the next time; ``--svg FOLDER``
writes the reliability and the curves as pictures. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glassmind.cli.live import LiveProgress
from glassmind.data import generate
from glassmind.errors import UserError
from glassmind.evaluate.verifier.chains import ChainTable, chain_tables
from glassmind.evaluate.verifier.choosing import (
    CEILING,
    RULES,
    Choice,
    choices,
    gained,
)
from glassmind.evaluate.verifier.facts_alone import scored_by_facts
from glassmind.evaluate.verifier.picture import choosing_picture, reliability_picture
from glassmind.evaluate.verifier.quality import Calibrated, VerifierQuality, verifier_quality
from glassmind.evaluate.verifier.rollout_labels import LabelErrors, label_errors, roll_out
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.llm.opening import open_local
from glassmind.pipeline.evaluate import task_recipe
from glassmind.progress import watched
from glassmind.reason.verify import verify_function
from glassmind.records import Problem, Trace
from glassmind.runs.samples import load_traces, save_traces

SEED = 211  # of the problems; a ladder's own are made with its recipe's seed
SAMPLING_SEED, ROLLOUT_SEED = 6, 7


def judged(llm: LocalLLM, problems: Sequence[Problem], samples: int, keep: Path) -> list[Trace]:
    """Chains with the verifier's scores: those kept, or new ones."""
    if llm.scorer is None:
        raise UserError(f"{llm.name} has no verifier")
    if keep.is_file():
        return load_traces(keep, problems, llm.tokenizer, "chain")
    params = SamplingParams.of(llm.default_sampling, seed=SAMPLING_SEED)
    with LiveProgress() as progress:
        with watched(progress, "sampling", len(problems) * samples, "chains") as watch:
            traces = llm.sample(problems, replace(params, samples=samples), "chain", watch)
        with watched(progress, "verifying", len(problems), "problems") as watch:
            traces = verify_function(llm)(
                llm.scorer, llm.tokenizer, problems, traces, progress=watch
            )
    if keep.name:
        save_traces(keep, traces)
    return traces


def show_quality(quality: VerifierQuality) -> None:
    if quality.within is not None:
        mean, low, high = quality.within
        print(f"within a problem   AUC {mean:.4f} ({low:.4f} to {high:.4f}), {quality.mixed}")
    if quality.over_all is not None:
        print(f"over all chains    AUC {quality.over_all:.4f}")
    for name, found in (("chains", quality.outcome), ("steps", quality.steps)):
        if found is not None:
            print(
                f"{name:18} n {found.n}, right {found.share:.1%}, Brier {found.brier:.4f}, "
                f"calibration error {found.ece:.4f}"
            )
    error = quality.first_error
    if error is not None:
        print(
            f"first wrong step   named in {error.on_erroneous:.1%} of {error.erroneous}, none seen "
            f"in {error.on_correct:.1%} of {error.correct} right chains, F1 {error.f1:.1%}"
        )


def show_reliability(name: str, found: Calibrated) -> None:
    print(f"\n{name} {'said':>14}{'n':>8}{'mean':>8}{'true':>8}")
    for one in found.bins:
        print(
            f"{one.low:>10.0%} to {one.high:>4.0%}{one.n:>8}{one.mean:>8.1%}"
            f"{one.correct / one.n:>8.1%}"
        )


def show_choices(found: Sequence[Choice]) -> None:
    """Accuracy, regret, and the share of the distance from the vote to the ceiling."""
    sizes = list(dict.fromkeys(choice.n for choice in found))
    at = {(choice.rule, choice.n): choice for choice in found}
    print(f"\n{'accuracy for n =':28}" + "".join(f"{n:>8}" for n in sizes)
          + f"{'regret':>9}{'taken':>8}")  # fmt: skip
    for rule in dict.fromkeys(choice.rule for choice in found):
        last = at[rule, sizes[-1]]
        ceiling, majority = at[CEILING, sizes[-1]], at["majority", sizes[-1]]
        share = gained(last, majority, ceiling)
        print(
            f"{rule:28}" + "".join(f"{at[rule, n].accuracy:>8.1%}" for n in sizes)
            + f"{ceiling.accuracy - last.accuracy:>9.1%}"
            + ("" if share is None else f"{share:>8.0%}")
        )  # fmt: skip


def show_labels(found: Sequence[LabelErrors]) -> None:
    print(f"\nlabels from rollouts against the truth, {found[0].steps} steps")
    print(f"{'k':>3}{'wrong labels':>14}{'right as wrong':>16}{'wrong as right':>16}"
          f"{'soft: wrong side':>18}{'distance':>10}")  # fmt: skip
    for one in found:
        print(
            f"{one.k:>3}{one.wrong_labels:>14.1%}{one.right_as_wrong:>16.1%}"
            f"{one.wrong_as_right:>16.1%}{one.soft_wrong:>18.1%}{one.soft_error:>10.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="")
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--rolled", type=int, default=40)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--keep", type=Path, default=Path())
    parser.add_argument("--svg", type=Path)
    args = parser.parse_args()
    llm = open_local(args.model)
    dial = task_recipe(llm).problems.dial
    problems = generate(dial, args.problems, split="validation", seed=SEED)
    traces = judged(llm, problems, args.samples, args.keep)
    tables: list[ChainTable] = chain_tables(problems, traces)

    quality = verifier_quality(tables)
    show_quality(quality)
    show_reliability("chains", quality.outcome)
    by_facts = scored_by_facts(problems, traces, tables)
    yardstick = verifier_quality(by_facts)
    print("\nwithout a verifier, a logistic regression over exact facts and the log-probability")
    show_quality(yardstick)

    sizes = [n for n in (1, 2, 4, 8, 12, 16, 32, 64, 128, 256) if n < args.samples]
    chosen = choices(tables, [*sizes, args.samples])
    print("\nby the verifier", end="")
    show_choices(chosen)
    judging = tuple(rule for rule in RULES if rule.name in ("verifier vote", "best by outcome"))
    majority = tuple(rule for rule in RULES if rule.name == "majority")
    print("\nby the regression", end="")
    show_choices(choices(by_facts, [*sizes, args.samples], rules=(*majority, *judging)))

    labels: list[LabelErrors] = []
    if args.rolled:
        some = [trace.first(args.chains) for trace in traces[: args.rolled]]
        params = SamplingParams.of(llm.default_sampling, seed=ROLLOUT_SEED)
        params = replace(params, samples=args.rollouts)
        with LiveProgress() as progress, watched(progress, "rollouts", 0, "chains") as watch:
            rolled = roll_out(llm, problems[: args.rolled], some, params, watch)
        ks = [k for k in (1, 2, 4, 8, 16, 32) if k < args.rollouts]
        labels = [label_errors(rolled, k) for k in (*ks, args.rollouts)]
        show_labels(labels)

    if args.svg is not None:
        args.svg.mkdir(parents=True, exist_ok=True)
        drawn = reliability_picture(quality.outcome, quality.steps)
        (args.svg / "reliability.svg").write_text(drawn, "utf-8")
        (args.svg / "choosing.svg").write_text(choosing_picture(chosen), "utf-8")
    last = {choice.rule: choice for choice in chosen if choice.n == args.samples}
    result = {
        "benchmark": "verifier_quality",
        "model": llm.name,
        "problems": len(problems),
        "samples": args.samples,
        "within_auc": quality.within and round(quality.within[0], 4),
        "within_auc_of_facts": yardstick.within and round(yardstick.within[0], 4),
        "brier": round(quality.outcome.brier, 4),
        "ece": round(quality.outcome.ece, 4),
        "first_error_f1": quality.first_error and round(quality.first_error.f1, 4),
        "accuracy": {name: round(choice.accuracy, 4) for name, choice in last.items()},
        "wrong_labels": {one.k: round(one.wrong_labels, 4) for one in labels},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
