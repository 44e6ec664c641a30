"""Options of the verbs that put a task's questions to a model: ``eval`` and ``frontier``."""

from __future__ import annotations

import argparse

from glassmind.cli.chosen_model import MODELS
from glassmind.errors import UserError


def add_task_options(parser: argparse.ArgumentParser, samples: str) -> None:
    """The model, the methods, how many questions, and how chains are sampled; ``samples`` is the
    help of ``--samples``."""
    parser.add_argument(
        "--model", metavar="MODEL", help=f"{MODELS}; by default the small model in the package"
    )
    parser.add_argument(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="only this method; repeatable (glassmind methods lists them)",
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="only the first N problems (0: all)"
    )
    parser.add_argument("--samples", type=int, metavar="K", help=samples)
    parser.add_argument("--temperature", type=float, metavar="T")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the most tokens of a chain")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--device", help="auto, cpu, cuda, ...")
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads")


def check_task_options(args: argparse.Namespace, **least: int) -> None:
    """Refuse numbers that are too small; ``least`` has the smallest of a verb's own options.

    Raises:
        UserError: with the option's name.
    """
    for name, smallest in {
        "samples": 1,
        "limit": 0,
        "threads": 1,
        "max_tokens": 1,
        **least,
    }.items():
        value = getattr(args, name)
        if value is not None and value < smallest:
            raise UserError(f"--{name.replace('_', '-')} must be at least {smallest}, not {value}")
