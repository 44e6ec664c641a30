"""Train the small ladder from nothing and write its report.

From random weights to solving word problems by writing out the steps, in one command and a few
minutes on a laptop. Run again, it goes on where it stopped, or shows the table of a finished run.
"""

from __future__ import annotations

import argparse

from glassmind.cli.settings import add_run_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_options(parser)
    parser.add_argument(
        "--short", action="store_true", help="a minute's run that only shows that everything works"
    )


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.jobs import climb, resolve

    recipe, folder = resolve(args, "short" if args.short else "demo")
    return climb(args, recipe, folder, resume=True)
