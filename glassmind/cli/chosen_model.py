"""The model of ``chat`` and ``serve``: its options, and loading it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from glassmind.generate import Engine
    from glassmind.serve.served_model import ServedModel


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose the model, its precision and its threads."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a run's folder, smollm2, a .gguf file, or a Hugging Face folder; without one, the "
        "small model in the package",
    )
    parser.add_argument(
        "--draft",
        metavar="MODEL",
        help="a smaller model with the same tokens, for speculative decoding",
    )
    parser.add_argument(
        "--weights",
        choices=("float32", "bfloat16", "int8", "int4"),
        default="float32",
        help="format of the model's weights: smaller is faster, int4 loses most (float32)",
    )
    parser.add_argument(
        "--cache",
        choices=("float32", "bfloat16", "int8"),
        help="format of the KV cache: smaller holds more tokens (float32)",
    )
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads")


def load_chosen(
    args: argparse.Namespace, *, name: str = "", max_rows: int, cache_mb: int
) -> tuple[ServedModel, Engine]:
    """The model, named ``name`` if given, and an engine for it.

    Raises:
        UserError: there is no such model, or the draft model has other tokens.
    """
    import torch

    from glassmind.cli.ask import refuse_misspelled, set_threads
    from glassmind.cli.console import console
    from glassmind.serve.served_model import ServedModel

    if args.threads is not None:
        set_threads(args.threads)
    refuse_misspelled(args.model)
    refuse_misspelled(args.draft)
    with console().status("loading the model ..."):
        served = ServedModel.load(args.model or "", name)
        draft = ServedModel.load(args.draft) if args.draft else None
        engine = served.engine(
            max_rows=max_rows,
            max_cache_bytes=cache_mb << 20,
            weights=args.weights,
            cache_dtype=getattr(torch, args.cache) if args.cache else None,
            draft=draft,
        )
    return served, engine
