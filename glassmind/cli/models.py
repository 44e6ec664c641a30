"""The published architectures as rows of values: what they cost, what each changed, and why.

glassmind models                        all of them, with parameters, KV cache and FLOPs
glassmind models show llama3            one as a recipe's [model] table, with its counts
glassmind models show llama3 --recipe   scaled down to what a laptop trains
glassmind models diff gpt2 llama3       the changed values, each with its reason and paper
glassmind models page                   the chapter "From GPT-2 to today", as Markdown
glassmind models page --to docs         the same with its pictures, as files
"""

from __future__ import annotations

import argparse
import difflib
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.model import ModelConfig

CONTEXT = 4096  # tokens; models with a shorter context are counted at theirs
WIDE = 150  # in a narrower window the table is split in two
NUMBERS = 7  # columns of the first table: name, year, and the counts
RANKS = {"context": 2, "FLOPs/token": 1, "KV/token": 1, "year": 3, "active": 2}
"""Columns that are dropped first in a narrow window."""
NUMERIC = ("parameters", "active", "KV/token", "FLOPs/token", "context")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind models``."""
    parser.add_argument(
        "--context",
        type=int,
        default=CONTEXT,
        metavar="N",
        help=f"count for a text of N tokens, or the model's context if shorter (default {CONTEXT})",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    show = actions.add_parser("show", help="one model as a recipe's [model] table")
    show.add_argument("name", metavar="NAME", help="a model of the table")
    show.add_argument(
        "--recipe", action="store_true", help="a recipe of it at a laptop's size, for train"
    )
    diff = actions.add_parser("diff", help="what changed from one model to another, and why")
    diff.add_argument("before", metavar="BEFORE", help="a model of the table")
    diff.add_argument("after", metavar="AFTER", help="another")
    page = actions.add_parser("page", help="the chapter as a Markdown page")
    page.add_argument(
        "--measured",
        type=Path,
        default=Path("docs/architectures.json"),
        metavar="FILE",
        help="measurements to include, if the file exists (default docs/architectures.json); the "
        "text about them is read from the file of the same name with -findings.md",
    )
    page.add_argument(
        "--to", type=Path, metavar="FOLDER", help="write ARCHITECTURES.md and figures/ there"
    )
    for action in (show, diff):
        # If it is absent here, a --json before the action stays in force.
        action.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="one JSON object on standard output",
        )


def run(args: argparse.Namespace) -> int:
    """Run the chosen action, or print the table; return 0."""
    if args.context < 1:
        raise UserError(f"--context must be at least 1, not {args.context}")
    if args.action == "show":
        _show(args.name, args.recipe, args.context, args.json)
    elif args.action == "diff":
        _diff(args.before, args.after, args.json)
    elif args.action == "page":
        _page(args.measured, args.to)
    else:
        _table(args.context, args.json)
    return 0


def _config(name: str) -> ModelConfig:
    from glassmind.model import PRESETS

    if name in PRESETS:
        return PRESETS[name]
    close = difflib.get_close_matches(name[:40].lower(), PRESETS, n=3, cutoff=0.4)
    remedy = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(PRESETS)}"
    raise UserError(f"there is no model {name[:40]!r}; {remedy}")


def _table(context: int, as_json: bool) -> None:
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.evaluate.columns import Column, print_table
    from glassmind.learn.architectures.numbers import COLUMNS, cells, facts
    from glassmind.model import PRESETS

    rows = [facts(name, context) for name in PRESETS]
    if as_json:
        print_json({"schema": 1, "context": context, "models": rows})
        return
    screen = out()
    table = [cells(row, context) for row in rows]
    columns = [Column(name, name not in NUMERIC, RANKS.get(name, 0)) for name in COLUMNS]
    if screen.width >= WIDE:
        say_left_out(print_table(screen, columns, table))
    else:
        for places in (range(NUMBERS), (0, *range(NUMBERS, len(COLUMNS)))):
            part = [columns[place] for place in places]
            lines = [[line[place] for place in places] for line in table]
            say_left_out(print_table(screen, part, lines))
            screen.print()
    console().print(
        f"KV/token in 16-bit numbers; FLOPs of one forward pass for the last of {context:,} tokens "
        "(* of the model's context, if that is shorter). A model without a fixed vocabulary is "
        "counted with 1,024 tokens. Next: glassmind models diff gpt2 llama3",
        style="dim",
    )


def _show(name: str, as_recipe: bool, context: int, as_json: bool) -> None:
    from glassmind.cli.console import console, print_json
    from glassmind.learn.architectures.lineage import in_use
    from glassmind.learn.architectures.numbers import facts, large
    from glassmind.learn.architectures.recipe_text import laptop_recipe, model_table

    config = _config(name)
    row = facts(name, context)
    if as_json:
        print_json({"schema": 1, **vars(row), "config": in_use(config)})
        return
    if as_recipe:
        sys.stdout.write(laptop_recipe(name))
        return
    source = "" if row.paper is None else f", {row.paper}"
    parts = ", ".join(f"{large(n)} {part}" for part, n in row.parts.items() if n)
    active = ""
    if row.active_parameters < row.parameters:
        active = f", of which each token uses {large(row.active_parameters)}"
    sys.stdout.write(
        f"# {row.title} {row.size}, {row.organisation} {row.year}{source}\n"
        f"# parameters: {large(row.parameters)}{active}\n"
        f"#   {parts}\n"
        f"# FLOPs per token, at {row.counted_context:,} tokens: {large(row.flops_per_token)}\n"
        f"# KV cache at 16 bits: {row.kv_bytes_per_token:,} bytes per token, "
        f"{row.kv_bytes / 2**20:,.1f} MiB for {row.counted_context:,}\n\n"
    )
    sys.stdout.write(model_table(config))
    console().print(f"To train one like it: glassmind models show {name} --recipe > {name}.toml")


def _diff(before: str, after: str, as_json: bool) -> None:
    from rich.text import Text

    from glassmind.cli.console import console, out, print_json
    from glassmind.learn.architectures.lineage import diff, shown, sizes

    a, b = _config(before), _config(after)
    changes, grown = diff(a, b), sizes(a, b)
    if as_json:
        print_json(
            {"schema": 1, "before": before, "after": after, "changes": changes, "sizes": grown}
        )
        return
    screen = out()
    for change in changes:
        old = "not used" if change.before is None else shown(a, change.field)
        line = Text.assemble(
            (change.field, "bold"), "  ", (old, "red"), " → ", (shown(b, change.field), "green")
        )
        screen.print(line)
        source = f" ({change.paper})" if change.paper else ""
        why = textwrap.fill(change.why + source, min(screen.width, 100) - 4)
        screen.print(textwrap.indent(why, "    ") + "\n")
    if grown:
        screen.print(Text("only the size differs", style="bold"))
        for size in grown:
            screen.print(f"    {size.field}  {shown(a, size.field)} → {shown(b, size.field)}")
    if not changes and not grown:
        console().print(f"{before} and {after} have the same architecture")


def _page(path: Path, folder: Path | None) -> None:
    from glassmind.cli.console import console
    from glassmind.learn import page, read_measured, write_chapter

    words = path.with_name(f"{path.stem}-findings.md")
    measured = read_measured(path) if path.is_file() else None
    findings = words.read_text("utf-8") if words.is_file() else ""
    if folder is None:
        sys.stdout.write(page(measured, findings))
        return
    write_chapter(folder, measured, findings)
    console().print(f"the chapter is at {folder / 'ARCHITECTURES.md'}")
