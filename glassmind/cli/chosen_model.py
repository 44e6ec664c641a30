"""The model that a command asks: which one, how it is spoken to, and on how many threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.generate import Engine
    from glassmind.llm import LocalLLM, PromptFormat

MODELS = (
    "a run's folder, smollm2, a .gguf file, a Hugging Face folder, org/name as it was pulled, or "
    "the address of a server, like http://127.0.0.1:8000/v1"
)


ADDRESS = ", or the address of a server"


def add_model_arguments(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add the options of what computes with the weights itself (``chat`` and ``serve``): which
    model, its precision and its threads. ``also`` is what else the model may be."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"a run's folder, smollm2, a .gguf file, a Hugging Face folder, or org/name as it was "
        f"pulled{also}; without one, the small model in the package",
    )
    parser.add_argument(
        "--draft",
        metavar="MODEL",
        help="a smaller model with the same tokens, for speculative decoding",
    )
    parser.add_argument(
        "--weights",
        choices=("float32", "bfloat16", "int8", "int4"),
        help="format of the model's weights: smaller is faster, int4 loses most (float32)",
    )
    parser.add_argument(
        "--cache",
        choices=("float32", "bfloat16", "int8"),
        help="format of the KV cache: smaller holds more tokens (float32)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads")


def refuse_local_options(args: argparse.Namespace) -> None:
    """Raise ``UserError`` for an option of ``add_model_arguments`` that a server decides."""
    for name in ("draft", "weights", "cache", "threads"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} is for a model in this process, not for one at an address")


def load_chosen(
    args: argparse.Namespace, *, name: str = "", max_rows: int, cache_mb: int
) -> tuple[LocalLLM, Engine]:
    """The model, named ``name`` if given, and an engine for it.

    Raises:
        UserError: there is no such model, or the draft model has other tokens.
    """
    import torch

    from glassmind.cli.console import console
    from glassmind.llm.opening import open_local

    if args.threads is not None:
        set_threads(args.threads)
    with console().status("loading the model ..."):
        served = open_local(args.model or "", name=name)
        draft = open_local(args.draft) if args.draft else None
        engine = served.engine(
            max_rows=max_rows,
            max_cache_bytes=cache_mb << 20,
            weights=args.weights or "float32",
            cache_dtype=getattr(torch, args.cache) if args.cache else None,
            draft=draft,
        )
    return served, engine


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of what asks any model, wherever it is: ``ask`` and ``eval``."""
    group = parser.add_argument_group("how a model from elsewhere is asked")
    group.add_argument(
        "--prompt", type=Path, metavar="FILE", help="a text with {question} that is asked instead"
    )
    group.add_argument(
        "--think",
        choices=("on", "off"),
        help="have it reason before it answers, or not, where its chat template knows both",
    )
    add_key_argument(group)


def add_key_argument(parser: argparse._ActionsContainer) -> None:
    """The option that says where the key for an address is."""
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="the environment variable with the key for an address (OPENAI_API_KEY)",
    )


def chosen_prompts(args: argparse.Namespace) -> PromptFormat:
    """What ``add_prompt_arguments`` says."""
    from glassmind.llm.prompts import PLACE, PromptFormat, read_prompt_file

    text = read_prompt_file(args.prompt) if args.prompt else PLACE
    return PromptFormat(text, think=None if args.think is None else args.think == "on")


def set_threads(threads: int) -> None:
    """Compute with so many threads."""
    import torch

    if threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    torch.set_num_threads(threads)
