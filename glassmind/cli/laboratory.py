"""Show what estimators of the policy gradient estimate: GRPO, RLOO, DAPO, GSPO, CISPO, PPO, ...

glassmind laboratory
glassmind laboratory --group 4 --page laboratory.html
glassmind laboratory --seed 3 --json

On a toy whose completions can all be written down, the true gradient of the expected reward is
known, and the expected gradient of every estimator is a sum over all sets of samples. The table
says how they differ: "length" along the true gradient, "angle" to it, "bias" (the length of the
difference over that of the true gradient), and how many completions must be sampled until the
noise is no larger than the signal. docs/LABORATORY.md reads it line by line.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--group", type=int, metavar="G", help="completions of each question (2, at most 8)"
    )
    parser.add_argument("--seed", type=int, metavar="N", help="another random policy (11)")
    parser.add_argument(
        "--samples",
        type=int,
        metavar="N",
        help="random sets of samples where there are too many to add up (20000)",
    )
    parser.add_argument("--page", type=Path, metavar="FILE", help="write a page with a picture")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import print_table
    from glassmind.evaluate.laboratory.estimators import SECTIONS
    from glassmind.evaluate.laboratory.page import write_laboratory_page
    from glassmind.evaluate.laboratory.results import (
        COLUMNS,
        GROUP,
        SAMPLES,
        SEED,
        finding,
        run_laboratory,
        setting,
        table_rows,
    )

    if args.page is not None and args.page.suffix not in (".html", ".htm"):
        raise UserError(f"--page {args.page} must be the name of a page, such as laboratory.html")
    with LiveProgress() as live:
        laboratory = run_laboratory(
            GROUP if args.group is None else args.group,
            SEED if args.seed is None else args.seed,
            SAMPLES if args.samples is None else args.samples,
            live,
        )
    if args.page is not None:
        write_laboratory_page(laboratory, args.page)
    if args.json:
        print_json(laboratory)
    else:
        left_out: list[str] = []
        for name, title in SECTIONS.items():
            out().print(f"{title}", style="bold", soft_wrap=True)
            left_out = print_table(out(), COLUMNS, table_rows(laboratory.of(name)))
            out().print("")
        out().print(f"{finding(laboratory)} {setting(laboratory)}", soft_wrap=True)
        say_left_out(left_out)
    if args.page is not None:
        console().print(f"The page is {args.page}")
    return 0
