"""Write the report of a finished run again.

glassmind report runs/demo
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--json", action="store_true", help="print ladder.json instead of a table")


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.jobs import show_ladder
    from glassmind.evaluate.report import write_report
    from glassmind.runs.folder import existing_run

    finished = existing_run(args.run)
    write_report(finished.path)
    show_ladder(args, finished)
    return 0
