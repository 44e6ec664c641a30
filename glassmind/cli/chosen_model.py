"""Options that choose the model of a command, its prompts and its number of threads."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.generate import Engine
    from glassmind.llm import LocalLLM, PromptFormat

MODELS = (
    "a run's folder, smollm2, a .gguf file, a Hugging Face folder, org/name of a pulled model, or "
    "the address of a server, like http://127.0.0.1:8000/v1"
)


ADDRESS = ", or the address of a server"


def add_model_arguments(parser: argparse.ArgumentParser, also: str = "") -> None:
    """Add the options of the verbs that need the weights (``chat`` and ``serve``): the model, its
    precision and the threads. ``also`` names other sources of a model, for the help."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help=f"a run's folder, smollm2, a .gguf file, a Hugging Face folder, or org/name of a "
        f"pulled model{also}; by default the small model in the package",
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
    """Raise ``UserError`` for an option of ``add_model_arguments`` that a server does not take."""
    for name in ("draft", "weights", "cache", "threads"):
        if getattr(args, name) is not None:
            raise UserError(f"--{name} works with a model in this process, not with an address")


def load_chosen(
    args: argparse.Namespace, *, name: str = "", max_rows: int, cache_mb: int
) -> tuple[LocalLLM, Engine]:
    """The model, named ``name`` if given, and an engine for it.

    Raises:
        UserError: there is no such model, or the draft model has different tokens.
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


def add_calculator_argument(parser: argparse.ArgumentParser) -> None:
    """The option of the verbs that sample chains: ``ask``, ``eval`` and ``frontier``."""
    parser.add_argument(
        "--calculator",
        choices=("off", "annotations", "equations"),
        help="compute the results of <<48/2= (annotations) or of every equation (equations)",
    )


def add_thinking_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for how a method thinks: ``ask`` and ``eval``."""
    add_calculator_argument(parser)
    parser.add_argument(
        "--token-budget",
        type=int,
        metavar="N",
        help="the most tokens a method may spend on a question, those judged by a verifier "
        "included; a chain that does not fit is cut and does not count",
    )


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the verbs that ask any model, local or remote: ``ask`` and ``eval``."""
    group = parser.add_argument_group("options for models from elsewhere")
    group.add_argument(
        "--prompt",
        type=Path,
        metavar="FILE",
        help="a file with the prompt, which has {question}, or a name of glassmind eval --tasks",
    )
    group.add_argument(
        "--think",
        choices=("on", "off"),
        help="reason before answering, or not, if the chat template supports both",
    )
    add_key_argument(group)


def add_key_argument(parser: argparse._ActionsContainer) -> None:
    """The option for the environment variable with the API key of a server."""
    parser.add_argument(
        "--api-key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="the environment variable with the API key of a server (OPENAI_API_KEY)",
    )


def chosen_prompts(args: argparse.Namespace) -> PromptFormat:
    """The prompt format from the options of ``add_prompt_arguments``."""
    from glassmind.llm.prompts import PLACE, PromptFormat, read_prompt_file
    from glassmind.pipeline.tasks.prompts import prompt_names, shipped_prompt

    if args.prompt and str(args.prompt) in prompt_names() and not args.prompt.exists():
        text = shipped_prompt(str(args.prompt)).text
    else:
        text = read_prompt_file(args.prompt) if args.prompt else PLACE
    return PromptFormat(text, think=None if args.think is None else args.think == "on")


def set_threads(threads: int) -> None:
    """Compute with this number of threads."""
    import torch

    if threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    torch.set_num_threads(threads)
