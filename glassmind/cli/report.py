"""Write the report of a ladder or a training run again, finished or not.

    glassmind report runs/demo
    glassmind report runs/text-train

A training run's report shows its curves and a diagnosis; with train.inspect_every set, also what
happened inside the layers.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glassmind.evaluate.run_files import RunFiles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object: ladder.json, or the diagnosis of a training run",
    )


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.jobs import show_ladder
    from glassmind.evaluate.report.page import write_report
    from glassmind.evaluate.run_files import read_run_files
    from glassmind.runs.folder import existing_run

    finished = existing_run(args.run)
    write_report(finished.path)
    if (finished.path / "ladder.json").is_file():
        show_ladder(args, finished)
    else:
        _show_training(args, read_run_files(finished.path))
    return 0


def _show_training(args: argparse.Namespace, files: RunFiles) -> None:
    """Print the summary of a training run and its diagnosis."""
    from glassmind.cli.console import console, out, print_json
    from glassmind.evaluate.report.training_section import stages_of, training_summary

    stages = stages_of(files)
    report = args.run / "report.html"
    if args.json:
        diagnoses = {stage.name: stage.diagnoses for stage in stages}
        print_json({"run": args.run, "report": report, "diagnosis": diagnoses})
    else:
        for sentence in training_summary(files):
            out().print(sentence, soft_wrap=True)
        for stage in stages:
            for found in stage.diagnoses:
                out().print()
                out().print(f"{stage.name}: {found.kind}", style="" if found.well else "bold")
                advice = [f"To try: {found.try_}"] if found.try_ else []
                for words in (found.seen, found.means, *advice):
                    out().print(f"  {words}", soft_wrap=True)
    console().print(f"The report is {report}")
