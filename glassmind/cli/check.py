"""Check a written solution: the first wrong step, why, and how sure that is.

    glassmind check solution.txt                the question, a blank line, then one step a line
    glassmind check - --no-model                from standard input, by the exact checks alone
    glassmind check solutions.jsonl --json      question and steps (or solution), one object a line
    glassmind check --evaluate labelled.json    how often the labelled first error is named

A false equation is named for certain, with the value that is right; a number that comes from
nowhere is a suspicion; what the verifier believes of a plan counts only for questions like those
that it was trained on. The exit code is 0 whatever the verdict.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.data.problems.written_solutions import WrittenSolution
    from glassmind.evaluate.verifier.first_error import FirstErrorScore
    from glassmind.reason.check import Check

MOST_BYTES = 1 << 26  # of standard input


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind check``."""
    parser.add_argument(
        "file", help="a text, or a .jsonl or .json file of solutions; - is standard input"
    )
    parser.add_argument(
        "--model",
        metavar="RUN",
        help="the run whose verifier is asked; by default the small model in the package",
    )
    parser.add_argument(
        "--no-model", action="store_true", help="only the exact checks, without a verifier"
    )
    parser.add_argument(
        "--evaluate",
        action="store_true",
        help="score the verdicts against the labels of the file, as ProcessBench does",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object per solution")


def run(args: argparse.Namespace) -> int:
    """Check every solution, print the verdicts or their score, and return 0."""
    if args.no_model and args.model:
        raise UserError("give --model or --no-model, not both")
    solutions = _solutions(args.file)
    from glassmind.cli.console import console, out, print_json
    from glassmind.pipeline.check import check_all, score_checks, verifier_of
    from glassmind.reason.check import check_lines

    llm = None
    if not args.no_model:
        with console().status("opening the model ..."):
            llm = verifier_of(args.model)
    checks = check_all(solutions, llm)
    if args.evaluate:
        asked = sum(not found.warnings for found in checks)
        _show_score(score_checks(solutions, checks), asked, as_json=args.json)
        return 0
    for solution, found in zip(solutions, checks, strict=True):
        if args.json:
            print_json({"name": solution.name, **_plain(found)})
            continue
        for line, style in check_lines(found):
            beside = line.lstrip().startswith("warning: ")
            (console() if beside else out()).print(line, style=style, soft_wrap=True)
    return 0


def _plain(found: Check | FirstErrorScore) -> dict[str, object]:
    from glassmind.serialization import encode

    return {field.name: encode(getattr(found, field.name)) for field in fields(found)}


def _show_score(score: FirstErrorScore, asked: int, *, as_json: bool) -> None:
    from glassmind.cli.console import out, print_json

    rows = (
        ("with an error, first wrong step named", score.found, score.erroneous, score.on_erroneous),
        ("without one, none seen", score.cleared, score.correct, score.on_correct),
    )
    if as_json:
        print_json({**_plain(score), "f1": score.f1, "judged_by_the_verifier": asked})
        return
    for (said, count, n, share), (low, high) in zip(rows, score.intervals, strict=True):
        out().print(f"{said:40s} {count:5d} of {n:5d}  {share:6.1%}  ({low:.1%} to {high:.1%})")
    out().print(f"{'F1 (harmonic mean)':40s} {score.f1:22.1%}")
    total = score.erroneous + score.correct
    out().print(f"the verifier was asked about {asked} of {total}", style="dim")


def _solutions(file: str) -> list[WrittenSolution]:
    from glassmind.data.problems.written_solutions import read_solutions, solutions_of_text

    if file != "-":
        return read_solutions(Path(file))
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"standard input holds more than {MOST_BYTES >> 20} MiB; split it")
    try:
        return solutions_of_text(data.decode("utf-8-sig"), "standard input")
    except UnicodeDecodeError as error:
        raise UserError(f"standard input is not UTF-8 text: {error}") from None
