"""Continue a text with a language model.

    glassmind sample runs/text-train "Once upon a time"
    glassmind sample stories15M.bin "Once upon a time" --samples 3 --temperature 0.5
    glassmind sample smollm2 "The capital of France is" --max-tokens 5
    glassmind sample http://127.0.0.1:8000/v1 - < beginning.txt

The model continues the text without a chat template. A model of a ladder, such as runs/demo, was
trained only on questions: use glassmind ask instead.
"""

from __future__ import annotations

import argparse
import sys

from glassmind.cli.chosen_model import MODELS, add_key_argument
from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind sample``."""
    parser.add_argument("model", metavar="MODEL", help=MODELS)
    parser.add_argument(
        "text", nargs="+", metavar="TEXT", help="the text to continue, or - for standard input"
    )
    parser.add_argument(
        "--max-tokens", type=int, default=200, metavar="N", help="most tokens to generate (200)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        default=0.8,
        metavar="T",
        help="0 takes the likeliest token each time (0.8)",
    )
    parser.add_argument(
        "--top-k",
        type=int,
        default=0,
        metavar="K",
        help="sample from the K likeliest tokens (0: from all)",
    )
    parser.add_argument(
        "--top-p",
        type=float,
        default=0.95,
        metavar="P",
        help="sample from the likeliest tokens with this probability together (0.95)",
    )
    parser.add_argument(
        "--samples", type=int, default=1, metavar="N", help="number of continuations (1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="the random seed (0)")
    parser.add_argument("--threads", type=int, metavar="N", help="number of CPU threads")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_key_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print the text with its continuation, or several; return 0."""
    for name in ("max_tokens", "samples"):
        if getattr(args, name) < 1:
            option = name.replace("_", "-")
            raise UserError(f"--{option} must be at least 1, not {getattr(args, name)}")
    from glassmind.cli.chosen_model import set_threads
    from glassmind.cli.console import console, out, print_json
    from glassmind.generate import SamplingParams
    from glassmind.llm import open_llm

    text = _beginning(" ".join(args.text))
    if args.threads is not None:
        set_threads(args.threads)
    params = SamplingParams(
        args.max_tokens,
        samples=args.samples,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
    )
    with console().status("opening the model ..."):
        llm = open_llm(args.model, api_key_variable=args.api_key_env)
    if llm.format == "chat":
        console().print(
            f"{llm.name} continues this as plain text; to talk with it: "
            f"glassmind chat {args.model}",
            style="dim",
        )
    continued = llm.continuations(text, params)
    if args.json:
        print_json({"model": llm.name, "text": text, "continuations": continued})
        return 0
    for number, one in enumerate(continued, 1):
        if len(continued) > 1:
            out().print(f"--- {number}", style="dim")
        out().print(text, end="", style="bold", soft_wrap=True)
        out().print(one.text, soft_wrap=True)
    if any(one.finish == "length" for one in continued):
        console().print("cut off here; --max-tokens allows more", style="dim")
    return 0


def _beginning(text: str) -> str:
    from glassmind.llm.questions import LONGEST_QUESTION

    if text == "-":
        data = sys.stdin.buffer.read(4 * LONGEST_QUESTION + 1)
        try:
            text = data.decode("utf-8").removesuffix("\n")
        except UnicodeDecodeError as error:
            raise UserError(f"standard input is not UTF-8 text: {error}") from None
    if not text:
        raise UserError("there is no text to continue: give its first words")
    if len(text) > LONGEST_QUESTION:
        raise UserError(f"the text has more than {LONGEST_QUESTION} characters: shorten it")
    return text
