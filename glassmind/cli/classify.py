"""Label texts, with a classifier trained by `glassmind train classify`.

    glassmind classify --model runs/classify-train "Mia has 3 boxes of 12 pencils. How many?"
    glassmind classify --model runs/spam --file mails.txt --json         one text per line

Each line of output has the most probable label and its probability; with --json, all labels have
theirs.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from glassmind.errors import UserError
from glassmind.printable import printable

MOST_BYTES = 1 << 26  # of a file of texts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind classify``."""
    parser.add_argument(
        "text", nargs="*", help="the text, or - to read texts from standard input, one per line"
    )
    parser.add_argument("--model", metavar="RUN", required=True, help="the classifier's folder")
    parser.add_argument("--file", type=Path, metavar="FILE", help="a file of texts, one per line")
    parser.add_argument("--json", action="store_true", help="one JSON object per text")


def run(args: argparse.Namespace) -> int:
    """Classify, and print one line per text; return 0."""
    texts = _texts(args)
    from glassmind.cli.console import out, print_json
    from glassmind.pipeline.tunings.classify import classify, load_classifier

    for found in classify(texts, load_classifier(args.model)):
        if args.json:
            print_json(vars(found))
        elif len(texts) == 1:
            for label, share in found.probabilities.items():
                out().print(f"{share:6.1%}  {label}", markup=False, highlight=False)
        else:
            share = found.probabilities[found.label]
            print(printable(f"{found.label}\t{share:.4f}\t{found.text}"))
    return 0


def _texts(args: argparse.Namespace) -> list[str]:
    text = " ".join(args.text)
    if bool(args.text) == (args.file is not None):
        raise UserError("give either a text or --file FILE, not both")
    if args.text and text != "-":
        return [text]
    where = args.file or "standard input"
    if args.file is None:
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with args.file.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UserError(f"{where} holds more than {MOST_BYTES >> 20} MiB; split it")
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{where} is not UTF-8 text: {error}") from None
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise UserError(f"{where} holds no text: write one per line")
    return texts
