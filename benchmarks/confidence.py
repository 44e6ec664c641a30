"""Is an answer of 80 % confidence right four times of five, also where the question is strange?

    python benchmarks/confidence.py [--model word-problems] [--keep evidence.json] [--write]

Asks the model questions of seven kinds: the generator's own (like training, reworded, longer; other
ones than any ladder is graded on), and those of MAWPS, SVAMP, ASDiv and GSM8K, always their
training parts, below GLASSMIND_DATA. A calibration is judged on a kind that it was not fitted on:
it is fitted on all the others, for each kind in turn. Printed are the order (AUROC, beside that of
the vote's share and the verifier's, which is what a program without a calibration would show) and
a reliability table of those held-out kinds together.

``--write`` puts the calibration into the model's folder. It is fitted on the kinds of ``FITTED``;
ASDiv (whose licence forbids it) and GSM8K have no part in it. ``--keep`` stores what was found of
each answer, and goes on from there. Ends with one JSON line.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from glassmind.cli.live import LiveProgress
from glassmind.data import generate
from glassmind.data.problems.sets import PROBLEM_SETS, data_file
from glassmind.errors import UserError
from glassmind.grade import canonical, grade
from glassmind.llm import LLM, open_llm
from glassmind.pipeline.ask import ask
from glassmind.pipeline.evaluate import task_recipe
from glassmind.reason.confidence import (
    FILE,
    Calibration,
    Evidence,
    FittedOn,
    fit,
    gather,
    save_calibration,
)
from glassmind.serialization import decode, encode, read_json, write_record
from glassmind.statistics import auroc, expected_calibration_error, reliability, wilson_interval

SEED = 101  # of the generated questions; a ladder's own are made with its recipe's seed
SAMPLING_SEED = 5
EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
FITTED = ("validation", "reworded", "longer", "mawps", "svamp")

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Judged:
    """An answer: its question's kind, what is known of it, and whether it is right."""

    kind: str
    evidence: Evidence
    vote: float
    weighted: float
    right: bool


def published(name: str, read: Callable[[dict[str, object]], tuple[str, str]]) -> Pairs:
    """Question and answer of each element of a published set's training part."""
    return [read(row) for row in json.loads(data_file(name).read_text("utf-8"))]


def body_and_question(row: dict[str, object]) -> str:
    body = str(row["Body"]).strip()
    return f"{body}{'' if body[-1:] in '.?!,' else '.'} {row['Question']}"


def questions(llm: LLM) -> dict[str, Pairs]:
    """So many of each kind, those that fit the model's context."""
    dial = task_recipe(llm).problems.dial
    kinds: dict[str, Pairs] = {}
    for split, count in (("validation", 120), ("reworded", 150), ("longer", 80)):
        made = generate(dial, count, split=split, seed=SEED)  # type: ignore[arg-type]
        kinds[split] = [(problem.question, problem.answer) for problem in made]
    word_problems: tuple[tuple[str, str, Callable[..., tuple[str, str]]], ...] = (
        (
            "mawps",
            "mawps-single",
            lambda row: (row["sQuestion"].strip(), str(row["lSolutions"][0])),
        ),
        ("svamp", "SVAMP", lambda row: (body_and_question(row), str(row["Answer"]))),
        (
            "asdiv",
            "asdiv-a",
            lambda row: (
                f"{row['Body'].strip()} {row['Question']}",
                str(row["Answer"]).split(" (")[0],
            ),
        ),
    )
    for kind, folder, read in word_problems:
        rows = published(f"word-problems/{folder}/train.json", read)
        Random(0).shuffle(rows)
        kinds[kind] = [(question, canonical(answer)) for question, answer in rows[:150]]
    rows = [(p.question, p.answer) for p in PROBLEM_SETS["gsm8k"].train()]
    Random(0).shuffle(rows)
    kinds["gsm8k"] = rows[:100]
    return {kind: [pair for pair in pairs if fits(llm, pair[0])] for kind, pairs in kinds.items()}


def fits(llm: LLM, question: str) -> bool:
    try:
        llm.check(question, llm.style)
    except UserError:
        return False
    return True


def judged(llm: LLM) -> list[Judged]:
    """Every question answered by the best method there is, with what is known of the answer."""
    if llm.familiarity is None:
        raise UserError(f"{llm.name} is no run that kept what its training was like")
    found = []
    for kind, pairs in questions(llm).items():
        with LiveProgress() as progress:
            answers = ask(
                [question for question, _ in pairs], llm, seed=SAMPLING_SEED, progress=progress
            )
        for (question, gold), answer in zip(pairs, answers, strict=True):
            strangeness = llm.familiarity.strangeness(" ".join(question.split()))
            evidence = gather(question, answer.chains, answer.text, answer.best, strangeness)
            if evidence is not None and answer.text is not None:
                vote = answer.votes[answer.text] / len(answer.chains)
                share = answer.weighted[answer.text]
                found.append(Judged(kind, evidence, vote, share, grade(gold, answer.text)))
    return found


def fitted(answers: Sequence[Judged], about: str = "") -> Calibration:
    sources = []
    for kind in dict.fromkeys(found.kind for found in answers):
        right = [found.right for found in answers if found.kind == kind]
        sources.append(FittedOn(kind, len(right), sum(right)))
    return fit(
        [found.evidence for found in answers],
        [found.right for found in answers],
        fitted_on=sources,
        about=about,
    )


def order(scores: Sequence[float], answers: Sequence[Judged]) -> float | None:
    """AUROC; ``None`` where all answers are right, or all wrong."""
    right = [found.right for found in answers]
    return auroc(scores, right) if len(set(right)) == 2 else None


def shown(value: float | None) -> str:
    return f"{'':>9}" if value is None else f"{value:>9.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", default="")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    llm = open_llm(args.model)
    if args.keep is not None and args.keep.is_file():
        answers = decode(list[Judged], read_json(args.keep), str(args.keep))
    else:
        answers = judged(llm)
        if args.keep is not None:
            write_record(args.keep, answers)
    kinds = list(dict.fromkeys(found.kind for found in answers))
    held_out: list[tuple[Judged, float]] = []
    print("each kind judged by a calibration fitted on all the others; AUROC of")
    print(f"{'kind':12}{'n':>5}{'right':>8}{'said':>8}{'confid.':>9}{'vote':>9}{'verifier':>9}")
    for kind in kinds:
        here = [found for found in answers if found.kind == kind]
        calibration = fitted([found for found in answers if found.kind != kind])
        said = [calibration.confidence(found.evidence) for found in here]
        held_out += zip(here, said, strict=True)
        right = sum(found.right for found in here) / len(here)
        print(
            f"{kind:12}{len(here):>5}{right:>8.1%}{sum(said) / len(said):>8.1%}"
            f"{shown(order(said, here))}{shown(order([f.vote for f in here], here))}"
            f"{shown(order([f.weighted for f in here], here))}"
        )
    judgements, said = [found for found, _ in held_out], [p for _, p in held_out]
    ways = {
        "confidence": said,
        "vote": [found.vote for found in judgements],
        "verifier": [found.weighted for found in judgements],
    }
    areas = {name: order(values, judgements) for name, values in ways.items()}
    right = [found.right for found in judgements]
    print(f"{'all':12}{len(right):>5}{sum(right) / len(right):>8.1%}{sum(said) / len(said):>8.1%}"
          + "".join(map(shown, areas.values())))  # fmt: skip
    errors = {}
    for name, values in ways.items():
        table = reliability(values, right, EDGES)
        errors[name] = expected_calibration_error(table)
        print(f"\n{name}: expected calibration error {errors[name]:.3f}")
        print(f"{'said':>14}{'n':>6}{'mean':>8}{'right':>8}   95 % interval")
        for found in table:
            low, high = wilson_interval(found.correct, found.n)
            print(
                f"{found.low:>6.0%} to {found.high:>4.0%}{found.n:>6}{found.mean:>8.1%}"
                f"{found.correct / found.n:>8.1%}   {low:.1%} to {high:.1%}"
            )
    chosen = [found for found in answers if found.kind in FITTED]
    final = fitted(chosen, f"benchmarks/confidence.py, generated questions of seed {SEED}")
    if args.write:
        if llm.run is None:
            raise UserError(f"{llm.name} has no folder to write to")
        save_calibration(llm.run.path, final)
        print(f"\nwrote {llm.run.path / FILE}")
    result = {
        "benchmark": "confidence",
        "model": llm.name,
        "n": len(answers),
        "auroc": {name: area and round(area, 4) for name, area in areas.items()},
        "calibration_error": {name: round(error, 4) for name, error in errors.items()},
        "parameters": {"intercept": final.intercept, **encode(final.weights)},  # type: ignore[dict-item]
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
