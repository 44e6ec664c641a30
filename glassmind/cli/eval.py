"""Grade a model on a task such as gsm8k.

glassmind eval --tasks                            the tasks, the prompts, and what they are
glassmind eval --task test --model runs/demo
glassmind eval --task gsm8k --model smollm2       needs GSM8K's files below GLASSMIND_DATA
glassmind eval --task gsm8k --model http://127.0.0.1:8000/v1 --samples 8
glassmind eval --task numbers-changed:test        the same problems with other numbers
glassmind eval --task mmlu:test.csv --model smollm2
glassmind eval --task my.csv --columns question=Body answer=Result     your problems
glassmind eval --task my.jsonl --show             also the failed problems and their answers
glassmind eval --task my.jsonl --out a.jsonl      all problems and answers, in a file

Sampled chains are kept in a cache: the same evaluation is not sampled twice, and one that was
interrupted goes on. --no-cache samples anew.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.chosen_model import add_prompt_arguments, add_thinking_arguments
from glassmind.cli.data_options import add_data_options
from glassmind.cli.task_options import add_task_options, check_task_options
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.evaluate.seen import SeenReport
    from glassmind.llm import LLM
    from glassmind.pipeline.evaluate import Evaluation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        help="validation, test, longer, reworded, gsm8k, math (or gsm8k-train, ...), another of "
        "--tasks, or a file of your problems: JSONL, JSON, CSV, TSV, parquet, or a folder of these",
    )
    parser.add_argument("--tasks", action="store_true", help="list the tasks and the prompts")
    add_task_options(parser, samples="number of chains that vote")
    parser.add_argument("--stage", default="", help="which model of the run, for example direct")
    parser.add_argument(
        "--reward",
        action="append",
        default=[],
        metavar="NAME",
        help="also give the sampled chains this reward (glassmind methods lists them)",
    )
    parser.add_argument(
        "--reward-model",
        default="",
        metavar="RUN",
        help="also have the reward model of this run score them",
    )
    add_thinking_arguments(parser)
    parser.add_argument(
        "--shots", type=int, default=0, metavar="K", help="worked examples before each question"
    )
    parser.add_argument(
        "--show",
        nargs="?",
        type=int,
        const=10,
        metavar="N",
        help="after the table, print N failed questions with the model's answers (10)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write every problem with its answers, one JSON object per line; glassmind compare "
        "compares two such files",
    )
    parser.add_argument(
        "--against",
        metavar="FILE",
        help="also report which questions stand in this training text or file of problems",
    )
    parser.add_argument(
        "--ngram",
        type=int,
        default=13,
        metavar="N",
        help="words in a row that count as shared (13)",
    )
    parser.add_argument(
        "--no-cache", action="store_true", help="sample anew, and keep nothing in the cache"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_data_options(parser)
    add_prompt_arguments(parser)


def run(args: argparse.Namespace) -> int:
    from glassmind.cli.data_options import chosen_columns, on_bad_row
    from glassmind.pipeline.tasks.registry import require_task
    from glassmind.pipeline.tasks.task import TextTask

    if args.tasks:
        from glassmind.cli.task_list import show_tasks

        show_tasks(as_json=args.json)
        return 0
    if args.task is None:
        raise UserError("--task is missing; glassmind eval --help has examples")
    task, _ = require_task(args.task)
    columns = chosen_columns(args)
    check_task_options(args, token_budget=1, shots=0, show=1, ngram=2)
    if args.out is not None and not args.out.parent.is_dir():  # checked before the long work
        raise UserError(f"there is no folder {args.out.parent} to write {args.out.name} into")
    if isinstance(task, TextTask):
        return _measure_text(args)
    from glassmind.cli.console import console, print_json
    from glassmind.cli.jobs import chosen_sampling
    from glassmind.cli.live import LiveProgress
    from glassmind.evaluate.graded_problems import write_problems
    from glassmind.pipeline.evaluate import grade_task, seen_questions
    from glassmind.quantity import quantity
    from glassmind.serialization import encode

    llm = _opened(args)
    sampling = chosen_sampling(args, llm.default_sampling)
    with LiveProgress() as progress:
        evaluation = grade_task(
            args.task,
            llm,
            methods=args.method,
            rewards=args.reward,
            reward_model=args.reward_model,
            limit=args.limit,
            shots=args.shots,
            sampling=sampling,
            tokens=args.token_budget,
            seed=args.seed,
            progress=progress,
            columns=columns,
            on_bad_row=on_bad_row(args),
            store=_cache(args),
        )
        seen = seen_questions(evaluation, args.against, args.ngram) if args.against else None
    result = evaluation.ladder
    if result.skipped:
        skipped = quantity(result.skipped, "question")
        console().print(f"too long for the model's context, so counted as wrong: {skipped}")
    formulas = evaluation.formulas
    if formulas.cut_off:
        console().print(
            f"comparisons of formulas that were cut off, so that the answers counted as wrong: "
            f"{formulas.cut_off:,} of {formulas.asked:,}"
        )
    if evaluation.engine_busy is not None:
        console().print(f"the engine worked {evaluation.engine_busy:.0%} of the time", style="dim")
    if args.out is not None:
        write_problems(args.out, evaluation.problems)
        console().print(f"The problems are in {args.out}")
    if args.json:
        found = encode(result)
        assert isinstance(found, dict)
        print_json(found if seen is None else {**found, "seen": encode(seen)})
    else:
        _print(args, evaluation, seen)
    return 0


def _print(args: argparse.Namespace, evaluation: Evaluation, seen: SeenReport | None) -> None:
    from glassmind.cli.console import out, say_left_out
    from glassmind.evaluate.abstention import abstention_text
    from glassmind.evaluate.columns import terminal_width
    from glassmind.evaluate.ladder.rewards import rewards_text
    from glassmind.evaluate.ladder.table import print_ladder
    from glassmind.evaluate.seen import seen_text

    result, width = evaluation.ladder, terminal_width(out())
    say_left_out(print_ladder(result, out()))
    parts = []
    if result.rewards:
        parts.append(rewards_text(result.rewards, width))
    if result.abstention:
        parts.append(abstention_text(result.abstention, width))
    if seen is not None:
        parts.append(seen_text(seen))
    if args.show is not None:
        parts.append("\n".join(_failed(evaluation, args.method, args.show)))
    for part in parts:
        out().file.write(f"\n{part}\n")


def _opened(args: argparse.Namespace) -> LLM:
    from glassmind.cli.chosen_model import chosen_prompts
    from glassmind.cli.jobs import choose_device
    from glassmind.llm import open_llm

    return open_llm(
        args.model or "",
        stage=args.stage,
        device=choose_device(args),
        prompts=chosen_prompts(args),
        api_key_variable=args.api_key_env,
    )


def _cache(args: argparse.Namespace) -> Path | None:
    """The folder of the cache, ``None`` if there is or should be none."""
    from glassmind.cache_folder import NotPrivate, private_cache
    from glassmind.cli.console import console

    named = os.environ.get("GLASSMIND_EVALUATIONS", "")
    if args.no_cache or named == "off":
        return None
    if named:
        return Path(named)
    try:
        return private_cache("evaluations")
    except NotPrivate as reason:
        console().print(f"no cache, so the chains are not kept: {reason}")
        return None


def _measure_text(args: argparse.Namespace) -> int:
    from glassmind.cli.console import out, print_json
    from glassmind.cli.live import LiveProgress
    from glassmind.pipeline.likelihood_tasks import measure_text
    from glassmind.serialization import encode

    for option in ("method", "reward", "reward_model", "samples", "temperature", "max_tokens",
                   "shots", "show", "out", "against"):  # fmt: skip
        if getattr(args, option):
            name = option.replace("_", "-")
            raise UserError(f"{args.task} measures a text, to which --{name} does not apply")
    llm = _opened(args)
    with LiveProgress() as progress:
        found = measure_text(args.task, llm, limit=args.limit, progress=progress)
    if args.json:
        print_json({**found.figures(), "provenance": encode(found.provenance)})
    else:
        out().file.write(f"{found}\n")
    return 0


def _failed(evaluation: Evaluation, methods: list[str], most: int) -> list[str]:
    """The answers to the first questions that a method failed, for the chosen methods or the best
    one."""
    from glassmind.evaluate.graded_problems import told
    from glassmind.evaluate.ladder.names import title
    from glassmind.quantity import quantity

    lines = []
    for method in methods or [evaluation.method]:
        failed = evaluation.failed(method)
        lines.append(f"{title(method)} failed {quantity(len(failed), 'question')}")
        for problem in failed[:most]:
            lines += ["", f"  {problem.question}", *told(problem, method)]
        if len(failed) > most:
            lines += ["", f"  and {len(failed) - most:,} more; --show {len(failed)} has all"]
        lines.append("")
    return lines[:-1]
