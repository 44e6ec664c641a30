"""Compare training runs (settings, losses and curves), or two models' answers.

    glassmind compare runs/a runs/b
    glassmind compare runs/a runs/b runs/c --out curves.html
    glassmind compare a.jsonl b.jsonl      two files of glassmind eval --out

For runs it prints the settings that differ, the losses and speeds, and the cost of each run until
it reached the best loss of the worst run; the page shows the curves. For two models it prints how
many problems both solved and how many only one, whether the difference could be chance, and the
answers that differ, side by side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="run folders; or two files of eval --out"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("compare.html"),
        metavar="FILE",
        help="the page to write (compare.html)",
    )
    parser.add_argument(
        "--show", type=int, default=10, metavar="N", help="number of differing answers shown (10)"
    )
    parser.add_argument(
        "--method", default="", metavar="NAME", help="the method to compare in two files"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.compare.page import write_comparison
    from glassmind.evaluate.compare.runs import compare_runs
    from glassmind.evaluate.compare.table import comparison_record, comparison_text
    from glassmind.pipeline.formats import require_extension

    require_extension(args.out, ".html", "an HTML page")
    if all(path.is_file() for path in args.runs):
        return _compare_answers(args)
    comparison = compare_runs(args.runs)
    write_comparison(comparison, args.out)
    if args.json:
        print_json(comparison_record(comparison, args.out))
    else:
        out().file.write(comparison_text(comparison, terminal_width(out())) + "\n")
    console().print(f"The curves are in {args.out}")
    return 0


def _compare_answers(args: argparse.Namespace) -> int:
    from glassmind.cli.console import out, print_json
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.compare.answers import (
        answers_record,
        answers_text,
        compare_answers,
    )

    if len(args.runs) != 2:
        raise UserError(f"give two files of answers, not {len(args.runs)}")
    if args.show < 0:
        raise UserError(f"--show must be at least 0, not {args.show}")
    compared = compare_answers(args.runs[0], args.runs[1], args.method)
    if args.json:
        print_json(answers_record(compared))
    else:
        out().file.write(answers_text(compared, args.show, terminal_width(out())) + "\n")
    return 0
