"""Compare training runs: their settings, losses and curves.

    glassmind compare runs/a runs/b
    glassmind compare runs/a runs/b runs/c --out curves.html

Prints the settings that differ, the losses and speeds, and what each run spent to reach the best
loss of the worst run; the page shows the curves.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="two or more run folders")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("compare.html"),
        metavar="FILE",
        help="the page to write (compare.html)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.compare.page import write_comparison
    from glassmind.evaluate.compare.runs import compare_runs
    from glassmind.evaluate.compare.table import comparison_record, comparison_text

    comparison = compare_runs(args.runs)
    write_comparison(comparison, args.out)
    if args.json:
        print_json(comparison_record(comparison, args.out))
    else:
        out().file.write(comparison_text(comparison, terminal_width(out())) + "\n")
    console().print(f"The curves are in {args.out}")
    return 0
