"""Convert a model to another format, for other programs.

    glassmind convert models/SmolLM2 smollm2.gguf --dtype q8_0      for llama.cpp
    glassmind convert model.gguf exported                           for transformers
    glassmind convert runs/text exported --dtype bfloat16           a model trained here
    glassmind convert runs/tuned adapter --to peft                  only the LoRA adapter
    glassmind convert models/SmolLM2 merged --adapter adapter       a PEFT adapter, merged

FROM is a run's folder, a Hugging Face folder, a .gguf, a llama2.c checkpoint, or smollm2. The
converted model computes the same function; if the format cannot express a feature of the model, an
error names it. The path goes to standard output, everything else to standard error.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind convert``."""
    parser.add_argument("source", metavar="FROM", help="the model")
    parser.add_argument("target", metavar="TO", type=Path, help="a new folder, or NAME.gguf")
    parser.add_argument(
        "--to",
        choices=("hf", "gguf", "peft"),
        help="the format (default: gguf for NAME.gguf, else hf); peft: a run's LoRA adapter",
    )
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16", "bfloat16", "q8_0"),
        default="float32",
        help="how matrices are stored; q8_0 only in a GGUF (default: float32, which loses nothing)",
    )
    parser.add_argument(
        "--family",
        metavar="NAME",
        help="write it as a model of this model_type (default: the first that can express it)",
    )
    parser.add_argument(
        "--adapter", metavar="FOLDER", help="merge this PEFT adapter into the model first"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Convert, and print the target's path; return 0."""
    from glassmind.pipeline.formats import target_format

    target_format(args.target, args.to)
    from glassmind.cli.console import console, print_json
    from glassmind.pipeline.convert import convert

    with console().status(f"converting {args.source} ..."):
        done = convert(
            args.source,
            args.target,
            to=args.to,
            dtype=args.dtype,
            family=args.family,
            adapter=args.adapter,
        )
    kind = "GGUF" if done.family is None else f"model of type {done.family}"
    kind = f"a {kind}" if done.base is None else f"an adapter for {done.base} as a {kind}"
    console().print(
        f"{kind}, {done.n_parameters:,} parameters as {done.dtype}, {done.n_bytes / 1e6:.1f} MB",
        style="dim",
    )
    if args.json:
        print_json({"schema": 1, "source": args.source, **vars(done)})
    else:
        print(done.target)
    return 0
