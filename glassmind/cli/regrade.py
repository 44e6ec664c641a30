"""Grade stored answers again, and see where two graders disagree.

    glassmind regrade a.jsonl --grader last-number                  against the stored verdicts
    glassmind regrade a.jsonl --grader values --grader exact        one against the other
    glassmind regrade a.jsonl --grader last-number --out b.jsonl    with the new verdicts

The file is one that glassmind eval --out wrote; nothing is asked again. A grader gives each answer
one of four outcomes (right, wrong, unparseable, timed out), so two graders make a table of four by
four. The graders are stored, values, reread, last-number, hashes, boxed and exact, and the rewards
with holes that glassmind methods lists.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="a file of glassmind eval --out")
    parser.add_argument(
        "--grader",
        action="append",
        default=[],
        metavar="NAME",
        help="a grader; one is compared with the stored verdicts, two with each other",
    )
    parser.add_argument("--method", default="", metavar="NAME", help="the method whose answers")
    parser.add_argument(
        "--show", type=int, default=5, metavar="N", help="number of disagreements shown (5)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write the problems with the last grader's verdicts",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.autopsy import autopsy, autopsy_record, autopsy_text, regraded
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.graded_problems import read_problems, write_problems
    from glassmind.evaluate.graders import GRADERS, grader_named

    if not 1 <= len(args.grader) <= 2:
        raise UserError(
            f"give one or two graders by --grader, not {len(args.grader)}; they are "
            f"{', '.join(GRADERS)}"
        )
    if args.show < 0:
        raise UserError(f"--show must be at least 0, not {args.show}")
    first, second = map(grader_named, ["stored", *args.grader][-2:])
    problems = read_problems(args.file)
    found = autopsy(problems, (first, second), args.method)
    if args.json:
        print_json(autopsy_record(found))
    else:
        out().file.write(autopsy_text(found, args.show, terminal_width(out())) + "\n")
    if args.out is not None:
        write_problems(args.out, regraded(problems, second))
        console().print(f"The problems are in {args.out}")
    return 0
