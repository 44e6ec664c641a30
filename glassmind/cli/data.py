"""Make, inspect and check problems; filter a text to pretrain on.

glassmind data families
glassmind data show --family buying --steps 3
glassmind data make --out problems.jsonl --count 1000 --split train
glassmind data check my.csv --columns question=Body answer=Result
glassmind data check chats.jsonl --as chats
glassmind data filter books --out clean.jsonl --near-duplicates 0.8 --against gsm8k

A text to filter is a file (.txt, .md, .jsonl, .parquet, also .gz and .xz), a folder, a glob, or
hub:NAME. The remaining documents are written as lines {"text": ...}.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.console import console, out, print_json
from glassmind.cli.data_options import add_columns
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.data import ProblemDial
    from glassmind.data.pretraining.filters import FilterReport
    from glassmind.records import Problem, Step

_SPLITS = ("train", "validation", "test", "longer", "reworded")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind data``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print problems with their steps and another solution")
    make = actions.add_parser("make", help="write problems to a JSONL file")
    check = actions.add_parser(
        "check", help="check a file of your own problems, conversations or labelled texts"
    )
    families = actions.add_parser("families", help="list the families of stories")
    filtering = actions.add_parser(
        "filter", help="remove near duplicates and evaluation questions from a text"
    )
    show.add_argument("--count", type=int, default=5, metavar="N", help="how many (default 5)")
    make.add_argument("--count", type=int, required=True, metavar="N", help="how many")
    make.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    check.add_argument(
        "file", type=Path, metavar="FILE", help="JSONL, JSON, CSV, TSV, parquet, or a folder"
    )
    check.add_argument(
        "--as",
        dest="kind",
        choices=("problems", "chats", "labels", "preferences"),
        default="problems",
        help="problems (default), conversations, texts with labels, or preferences",
    )
    add_columns(check)
    check.add_argument("--text-column", default="text", metavar="NAME", help="of labels")
    check.add_argument(
        "--label-column", default="label", metavar="NAME", help="of labels, or of preferences"
    )
    for name in ("prompt", "chosen", "rejected", "completion"):
        check.add_argument(f"--{name}-column", default="", metavar="NAME", help="of preferences")
    for action in (show, make):
        action.add_argument(
            "--split", choices=_SPLITS, default="train", help="the split to draw from"
        )
        action.add_argument("--seed", type=int, default=0, metavar="N", help="default 0")
        action.add_argument(
            "--family", action="append", default=[], metavar="NAME", help="only this family"
        )
        action.add_argument("--steps", metavar="N or N-M", help="steps of a solution (default 2-4)")
        action.add_argument("--max-number", type=int, metavar="N", help="largest number in a text")
        action.add_argument("--max-result", type=int, metavar="N", help="largest result of a step")
        action.add_argument(
            "--distractors",
            type=float,
            default=0.0,
            metavar="P",
            help="probability of an irrelevant number",
        )
    filtering.add_argument("text", metavar="IN", help="the text: a file, a folder, a glob")
    filtering.add_argument("--out", type=Path, required=True, metavar="OUT.jsonl")
    filtering.add_argument(
        "--near-duplicates",
        type=float,
        default=0.0,
        metavar="J",
        help="drop a document with at least this similarity to an earlier one, 0 to 1, such as 0.8",
    )
    filtering.add_argument(
        "--against",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="evaluations to cut out: gsm8k, math, a JSONL of problems, a text",
    )
    filtering.add_argument(
        "--ngram", type=int, default=13, metavar="N", help="consecutive words that count as copied"
    )
    filtering.add_argument(
        "--field", default="text", help="field of a .jsonl or .parquet with the text (default text)"
    )
    filtering.add_argument(
        "--separator",
        default="",
        metavar="TEXT",
        help=r"separator between the documents of a text file, such as \x1e (default: none)",
    )
    for action in (show, make, check, families, filtering):
        action.add_argument(
            "--json", action="store_true", help="one JSON object on standard output"
        )


def run(args: argparse.Namespace) -> int:
    """Carry out ``args.action``."""
    from glassmind.cli.data_check import check

    actions = {
        "show": _show,
        "make": _make,
        "check": check,
        "families": _families,
        "filter": _filter,
    }
    actions[args.action](args)
    return 0


def _dial(args: argparse.Namespace) -> ProblemDial:
    from glassmind.data import ProblemDial

    default = ProblemDial()
    low, high = default.min_steps, default.max_steps
    if args.steps:
        first, dash, last = args.steps.partition("-")
        if not (first.isdecimal() and (last.isdecimal() or not dash)):
            raise UserError(f"--steps {args.steps!r} must be a number such as 3, or a range as 2-4")
        low, high = int(first), int(last or first)
    return ProblemDial(
        min_steps=low,
        max_steps=high,
        max_number=default.max_number if args.max_number is None else args.max_number,
        max_result=default.max_result if args.max_result is None else args.max_result,
        distractors=args.distractors,
        families=tuple(args.family),
    )


def _drawn(args: argparse.Namespace) -> list[Problem]:
    from glassmind.data import generate

    return generate(_dial(args), args.count, split=args.split, seed=args.seed)


def _show(args: argparse.Namespace) -> None:
    problems = _drawn(args)
    others = [_another(problem, args.seed) for problem in problems]
    if args.json:
        rows = [
            {
                "id": problem.id,
                "source": problem.source,
                "question": problem.question,
                "steps": [step.text for step in problem.steps],
                "another": [step.text for step in other] if other else None,
                "answer": problem.answer,
            }
            for problem, other in zip(problems, others, strict=True)
        ]
        print_json({"problems": rows})
        return
    for problem, other in zip(problems, others, strict=True):
        out().print(f"{problem.id}  {problem.source}", style="dim")
        out().print(problem.question)
        for number, step in enumerate(problem.steps, 1):
            out().print(f"  {number}. {step.text}")
        if other:
            out().print(f"  or: {'; '.join(step.text for step in other)}", style="dim")
        out().print(f"  answer: {problem.answer}\n", style="bold")


def _another(problem: Problem, seed: int) -> tuple[Step, ...] | None:
    """A solution in another order or grouping, or at least with operands swapped."""
    import random

    from glassmind.grade.derivation import sample_solution

    rng = random.Random(f"{seed} {problem.id}")
    for swap in (0.0, 1.0):
        for _ in range(8):
            solution = sample_solution(problem, rng, regroup=0.7, reorder=0.7, swap=swap)
            if solution != problem.steps:
                return solution
    return None


def _make(args: argparse.Namespace) -> None:
    from glassmind.data import save_problems
    from glassmind.pipeline.formats import require_extension

    require_extension(args.out, ".jsonl", "JSONL")
    problems = _drawn(args)
    save_problems(problems, args.out)
    if args.json:
        print_json({"file": str(args.out), "count": len(problems), "split": args.split})
    else:
        console().print(f"wrote {len(problems)} {args.split} problems to {args.out}")


def _families(args: argparse.Namespace) -> None:
    from glassmind.data import FAMILIES

    if args.json:
        print_json({"families": {name: family.about for name, family in FAMILIES.items()}})
        return
    for name, family in FAMILIES.items():
        out().print(f"{name:<12} {family.about}")


def _filter(args: argparse.Namespace) -> None:
    from glassmind.cli.live import LiveProgress
    from glassmind.data.pretraining.filters import Filters, write_filtered
    from glassmind.data.pretraining.texts import find_texts
    from glassmind.pipeline.formats import require_extension

    if not 0 <= args.near_duplicates <= 1:
        raise UserError(f"--near-duplicates {args.near_duplicates} must lie between 0 and 1")
    if args.ngram < 2:
        raise UserError(f"--ngram {args.ngram} must be at least 2")
    if not (args.near_duplicates or args.against):
        raise UserError("no filter was given: use --near-duplicates 0.8 or --against")
    texts = find_texts(args.text, fields=(args.field,), separator=args.separator)
    if not args.out.parent.is_dir():
        raise UserError(f"--out {args.out} cannot be written: there is no folder {args.out.parent}")
    if args.out.is_dir() or any(args.out.exists() and args.out.samefile(f) for f in texts.files):
        raise UserError(f"--out {args.out} is a folder or one of the texts; name another file")
    require_extension(args.out, ".jsonl", "JSONL")
    filters = Filters(near_duplicates=args.near_duplicates, against=args.against, ngram=args.ngram)
    with LiveProgress() as progress:
        write_filtered(texts.documents("filtering", progress), filters, args.out)
    report = filters.report()
    if args.json:
        print_json({"file": args.out, **dataclasses.asdict(report)})
        return
    _show_filtered(report)
    console().print(filters.summary())
    console().print(f"the remaining text is in {args.out}")


def _show_filtered(report: FilterReport) -> None:
    """What each filter removed, as a table, with examples."""
    from rich.table import Table

    table = Table("filter", box=None)
    for column in ("documents removed", "documents cut", "characters removed"):
        table.add_column(column, justify="right")
    filters = (
        ("near duplicates", report.near_duplicates),
        ("contamination", report.contamination),
    )
    for name, removed in filters:
        if removed is not None:
            counts = (removed.documents, removed.shortened, removed.characters)
            table.add_row(name, *(f"{count:,}" for count in counts))
    out().print(table)
    for _, removed in filters:
        for example in removed.examples if removed is not None else ():
            why = example.repeats or example.against
            out().print(f"{example.where}: {why}", style="dim")
            out().print(f"  {example.text}")
