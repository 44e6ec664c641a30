"""Train a tokenizer, or look at what one does to a text.

glassmind tokenizer train book.txt --vocab-size 4096 --out tokenizer.json
glassmind tokenizer show "Mia has 12 pencils." --tokenizer tokenizer.json
glassmind tokenizer encode "Mia has 12 pencils." --tokenizer runs/demo
glassmind tokenizer decode 81 110 102 --tokenizer runs/demo
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.console import console, out, print_json
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.tokenize import BPETokenizer, CharTokenizer

_COLOURS = ("black on cyan", "black on yellow", "black on green", "black on magenta")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind tokenizer``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    train = actions.add_parser("train", help="learn a vocabulary from UTF-8 text files")
    train.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a UTF-8 text file")
    train.add_argument("--out", required=True, type=Path, help="the tokenizer.json to write")
    train.add_argument(
        "--kind", choices=("bpe", "char"), default="bpe", help="byte-pair encoding or characters"
    )
    train.add_argument(
        "--vocab-size",
        type=int,
        metavar="N",
        help="tokens in the vocabulary, special tokens and bytes included (bpe; default 1024)",
    )

    show = actions.add_parser("show", help="the pieces of a text with their ids")
    encode = actions.add_parser("encode", help="the ids of a text")
    for action in (show, encode):
        action.add_argument("text", metavar="TEXT", help="the text, or - for standard input")
    decode = actions.add_parser("decode", help="the text of ids")
    decode.add_argument("ids", nargs="+", type=int, metavar="ID", help="a token's id")
    for action in (show, encode, decode):
        action.add_argument(
            "--tokenizer",
            required=True,
            type=Path,
            metavar="PATH",
            help="a tokenizer.json, or a run folder that holds one",
        )
    for action in (train, show, encode, decode):
        action.add_argument(
            "--json", action="store_true", help="one JSON object on standard output"
        )


def run(args: argparse.Namespace) -> int:
    """Do the action asked for; return 0."""
    if args.action == "train":
        _train(args.files, args.out, args.kind, args.vocab_size, args.json)
        return 0
    tokenizer = _load(args.tokenizer)
    if args.action == "show":
        _show(tokenizer, _text(args.text), args.json)
    elif args.action == "encode":
        ids = tokenizer.encode(_text(args.text))
        if args.json:
            print_json({"schema": 1, "ids": ids})
        else:
            sys.stdout.write(" ".join(map(str, ids)) + "\n")
    else:
        _decode(tokenizer, args.ids, args.json)
    return 0


def _train(
    files: Sequence[Path], target: Path, kind: str, vocab_size: int | None, as_json: bool
) -> None:
    from glassmind.tokenize import fingerprint, save, train_bpe, train_char

    if target.is_dir():
        raise UserError(f"--out {target} is a folder; name the file, as in {target}/tokenizer.json")
    tokenizer: BPETokenizer | CharTokenizer
    with console().status(f"learning from {len(files)} file(s)"):
        if kind == "bpe":
            tokenizer = train_bpe(_read(files), 1024 if vocab_size is None else vocab_size)
        elif vocab_size is None:
            tokenizer = train_char(_read(files))
        else:
            raise UserError(
                "--vocab-size is for --kind bpe; the characters of the text decide here"
            )
    save(tokenizer, target)
    if as_json:
        print_json(
            {
                "schema": 1,
                "path": target,
                "kind": kind,
                "vocab_size": tokenizer.vocab_size,
                "fingerprint": fingerprint(tokenizer),
            }
        )
    else:
        console().print(f"{target}: {tokenizer.vocab_size} tokens ({kind})")


def _read(files: Sequence[Path]) -> Iterator[str]:
    """The text of each file, one at a time; a file that is empty or not text is refused."""
    for path in files:
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            byte = f"byte {error.start} is 0x{error.object[error.start]:02X}"
            raise UserError(
                f"{path} is not UTF-8 text ({byte}); convert it first, for example with iconv"
            ) from None
        if not text.strip():
            raise UserError(f"{path} is empty; a tokenizer is learned from text")
        yield text


def _load(path: Path) -> BPETokenizer | CharTokenizer:
    from glassmind.tokenize import load

    return load(path / "tokenizer.json" if path.is_dir() else path)


def _text(argument: str) -> bytes:
    """The bytes to encode, exactly as given, whether or not they are UTF-8."""
    return sys.stdin.buffer.read() if argument == "-" else os.fsencode(argument)


def _show(tokenizer: BPETokenizer | CharTokenizer, text: bytes, as_json: bool) -> None:
    ids = tokenizer.encode(text)
    if as_json:
        tokens = [{"id": token_id, "text": tokenizer.token_text(token_id)} for token_id in ids]
        print_json({"schema": 1, "bytes": len(text), "tokens": tokens})
        return

    from rich.text import Text

    line = Text()
    for place, token_id in enumerate(ids):
        piece = tokenizer.token_text(token_id).replace(" ", "·")
        line.append(piece, style=_COLOURS[place % len(_COLOURS)])
        line.append(f" {token_id}  ", style="dim")
    out().print(line)
    console().print(f"{len(ids)} tokens for {len(text)} bytes")


def _decode(tokenizer: BPETokenizer | CharTokenizer, ids: list[int], as_json: bool) -> None:
    try:
        data = tokenizer.decode_bytes(ids)
    except ValueError as error:
        raise UserError(f"cannot decode: {error}") from None
    if as_json:
        print_json({"schema": 1, "text": data.decode("utf-8", "replace")})
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()
