"""Train the small ladder from random weights and write its report.

It trains models that solve word problems by writing out the steps, in a few minutes on a laptop.
Run again, it continues where it stopped, or shows the table of a finished run.
"""

from __future__ import annotations

import argparse

from glassmind.cli.settings import add_run_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument(
        "--short",
        action="store_true",
        help="a run of one minute that only checks that everything works",
    )


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.jobs import climb, resolve

    recipe, folder = resolve(args, "short" if args.short else "demo", resume=True)
    return climb(args, recipe, folder, resume=True)
