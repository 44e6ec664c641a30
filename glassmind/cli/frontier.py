"""Draw accuracy against tokens and seconds for many methods.

glassmind frontier --task validation --limit 200 --samples 16
glassmind frontier --task test --model runs/demo --samples 64 --store runs/demo-chains
glassmind frontier --task gsm8k --model smollm2 --method self-consistency --method adaptive-vote
glassmind frontier --task validation --model runs/grpo --before word-problems --samples 64

One sampling serves all methods and all smaller numbers of samples. The page frontier.html, the
figure frontier.svg and the record frontier.json are written into a folder; the table is printed.

With --before, two models are compared instead: pass@k before and after training, for k up to the
number of samples, which tells whether the model has learned or only become surer. The files are
then coverage.html and coverage.json; in a run's folder the run's report shows them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.chosen_model import add_calculator_argument, add_prompt_arguments
from glassmind.cli.task_options import add_task_options, check_task_options
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.llm import LLM

ORDERS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task", required=True, help="validation, test, longer, reworded, gsm8k, ..., or a file"
    )
    add_task_options(parser, samples="the most chains of a problem")
    add_calculator_argument(parser)
    parser.add_argument(
        "--orders",
        type=int,
        default=ORDERS,
        metavar="N",
        help=f"orders of the chains that are averaged for fewer samples ({ORDERS})",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="FOLDER",
        help="keep the chains here, and use those kept",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/frontier"),
        metavar="FOLDER",
        help="where frontier.html, .svg and .json go (runs/frontier)",
    )
    parser.add_argument(
        "--before",
        metavar="MODEL",
        help="compare pass@k with that of this model, from which --model was trained",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_prompt_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.pipeline.tasks.registry import require_task

    require_task(args.task)
    check_task_options(args, orders=1)
    from glassmind.cli.chosen_model import chosen_prompts
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.cli.jobs import choose_device, chosen_sampling
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import print_table
    from glassmind.evaluate.frontier.page import (
        finding,
        write_frontier_figure,
        write_frontier_page,
    )
    from glassmind.evaluate.frontier.results import (
        COLUMNS,
        EQUAL_COLUMNS,
        FILE,
        equal_rows,
        table_rows,
    )
    from glassmind.llm import open_llm
    from glassmind.pipeline.frontier import measure_frontier
    from glassmind.serialization import encode, write_record

    if args.out.suffix in (".html", ".json", ".svg") or args.out.is_file():
        raise UserError(
            f"--out {args.out} must be a folder, into which the page, the figure and the numbers go"
        )
    llm = open_llm(
        args.model or "",
        device=choose_device(args),
        prompts=chosen_prompts(args),
        api_key_variable=args.api_key_env,
    )
    if args.before is not None:
        return _compare_coverage(args, llm)
    with LiveProgress() as progress:
        frontier = measure_frontier(
            args.task,
            llm,
            methods=args.method,
            limit=args.limit,
            sampling=chosen_sampling(args, llm.default_sampling),
            orders=args.orders,
            seed=args.seed,
            store=args.store,
            progress=progress,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    write_record(args.out / FILE, frontier)
    write_frontier_page(frontier, args.out / "frontier.html")
    write_frontier_figure(frontier, args.out / "frontier.svg")
    if args.json:
        print_json(encode(frontier))
    else:
        say_left_out(print_table(out(), COLUMNS, table_rows(frontier)))
        if frontier.equal:
            out().print("\nat the same number of tokens:")
            say_left_out(print_table(out(), EQUAL_COLUMNS, equal_rows(frontier)))
        out().print(f"\n{finding(frontier)}", soft_wrap=True)
    console().print(f"The page is {args.out / 'frontier.html'}")
    return 0


def _compare_coverage(args: argparse.Namespace, after: LLM) -> int:
    """Measure pass@k of ``--before`` and of ``after``; write the page, print the table."""
    from glassmind.cli.chosen_model import chosen_prompts
    from glassmind.cli.console import console, out, print_json, say_left_out
    from glassmind.cli.jobs import choose_device, chosen_sampling
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.columns import print_table
    from glassmind.evaluate.coverage import (
        COVERAGE_COLUMNS,
        FILE,
        coverage_rows,
        write_coverage_page,
    )
    from glassmind.llm import open_llm
    from glassmind.pipeline.coverage import measure_coverage
    from glassmind.serialization import encode, write_record

    if args.method:
        raise UserError("--before compares pass@k, which has no methods: leave --method out")
    before = open_llm(
        args.before,
        device=choose_device(args),
        prompts=chosen_prompts(args),
        api_key_variable=args.api_key_env,
    )
    with LiveProgress() as progress:
        coverage = measure_coverage(
            args.task,
            before,
            after,
            limit=args.limit,
            sampling=chosen_sampling(args, after.default_sampling),
            seed=args.seed,
            store=args.store,
            progress=progress,
        )
    args.out.mkdir(parents=True, exist_ok=True)
    write_record(args.out / FILE, coverage)
    write_coverage_page(coverage, args.out / "coverage.html")
    if args.json:
        print_json(encode(coverage))
    else:
        say_left_out(print_table(out(), COVERAGE_COLUMNS, coverage_rows(coverage)))
        out().print(f"\n{coverage.finding}", soft_wrap=True)
    console().print(f"The page is {args.out / 'coverage.html'}")
    return 0
