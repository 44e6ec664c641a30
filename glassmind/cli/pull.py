"""Download a model from the Hugging Face Hub into a folder of plain files.

    glassmind pull HuggingFaceTB/SmolLM2-135M-Instruct
    glassmind pull org/name --revision v1.0 --to models/mine
    glassmind pull org/name-GGUF --file name-q8_0.gguf
    glassmind ask --model "$(glassmind pull org/name)" "Why is the sky blue?"

The path goes to standard output, everything else to standard error. The same command continues an
interrupted download; finished files are checked and not downloaded again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from glassmind.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind pull``."""
    parser.add_argument("name", metavar="ORG/NAME", help="the repository on the hub")
    parser.add_argument("--revision", metavar="R", help="a branch, tag or commit (default: main)")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER", help="the folder to write (default: models/ORG--NAME)"
    )
    parser.add_argument("--file", metavar="NAME.gguf", help="one GGUF file of the repository")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Download, and print the path; return 0."""
    from glassmind.cli.console import console, print_json
    from glassmind.cli.live import LiveProgress

    try:
        from glassmind.interop.hub import pull
    except ModuleNotFoundError as error:
        if error.name not in ("huggingface_hub", "httpx2"):
            raise
        raise UserError(
            "pull needs the library huggingface_hub: pip install 'glassmind[hub]'"
        ) from None
    try:
        with LiveProgress() as progress:
            path = pull(args.name, progress, revision=args.revision, folder=args.to, file=args.file)
    except KeyboardInterrupt:
        console().print("the partial download is kept; the same command continues it")
        raise
    if args.json:
        print_json({"schema": 1, "repository": args.name, "path": path})
    else:
        print(path)
    return 0
