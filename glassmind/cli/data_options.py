"""The options of the verbs that read the user's own problems: columns, and bad rows."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.data.problems.column_mapping import ProblemColumns
    from glassmind.data.rows.bad_rows import OnBadRow
    from glassmind.runs.recipe import Recipe


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--columns`` and ``--skip-bad-rows``."""
    add_columns(parser)
    add_skip(parser)


def add_columns(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--columns",
        nargs="+",
        action="extend",
        default=[],
        metavar="WHAT=NAME",
        help="the names of the columns in a file of problems, if they are not found: "
        "question=NAME, answer=NAME, solution=NAME",
    )


def add_skip(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--skip-bad-rows",
        action="store_true",
        help="leave out the rows of a file that cannot be used, and print which",
    )


def chosen_columns(args: argparse.Namespace) -> ProblemColumns:
    """The columns from ``--columns``."""
    from glassmind.data.problems.column_mapping import FOUND

    columns = FOUND
    for word in args.columns:
        what, equals, name = word.partition("=")
        if what not in ("question", "answer", "solution") or not (equals and name):
            raise UserError(
                f"--columns takes question=NAME, answer=NAME or solution=NAME, not {word[:60]!r}"
            )
        columns = replace(columns, **{what: name})
    return columns


def on_bad_row(args: argparse.Namespace) -> OnBadRow:
    """The value of ``on_bad_row`` from ``--skip-bad-rows``."""
    return "skip" if args.skip_bad_rows else "stop"


def with_data_options(args: argparse.Namespace, recipe: Recipe) -> Recipe:
    """``recipe`` with the changes of these options."""
    if args.columns:
        problems = replace(recipe.problems, columns=chosen_columns(args))
        recipe = replace(recipe, problems=problems)
    return replace(recipe, on_bad_row="skip") if args.skip_bad_rows else recipe
