"""Train a tokenizer, show how one splits a text, compare several.

glassmind tokenizer train book.txt --vocab-size 4096 --out tokenizer.json
glassmind tokenizer show "Mia has 12 pencils."
glassmind tokenizer encode "Mia has 12 pencils." --tokenizer runs/demo
glassmind tokenizer decode 81 110 102 --tokenizer runs/demo
glassmind tokenizer compare book.txt --tokenizer runs/demo --tokenizer gpt2/vocab.bpe
glassmind tokenizer corpus books/*.txt --tokenizer runs/demo --out corpus.bin

A tokenizer is a run folder, a tokenizer.json, a SentencePiece tokenizer.model, a tiktoken rank
file, GPT-2's vocab.bpe beside its encoder.json, a GGUF, a folder that holds one of these, or
smollm2, if that is installed. The default is the tokenizer of the model in the package.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.cli.console import console, print_json
from glassmind.errors import UserError

if TYPE_CHECKING:
    from glassmind.tokenize import SavedTokenizer
    from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

# The tokenizer of the default model of `glassmind ask`.
_SHIPPED = Path(str(resources.files("glassmind") / "weights" / "word-problems" / "tokenizer.json"))
_DEFAULT_SIZES = {"bpe": 1024, "wordpiece": 4096}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind tokenizer``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    train = actions.add_parser("train", help="learn a vocabulary from UTF-8 text files")
    train.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a UTF-8 text file")
    train.add_argument("--out", required=True, type=Path, help="the tokenizer.json to write")
    train.add_argument(
        "--kind",
        choices=("bpe", "wordpiece", "char"),
        default="bpe",
        help="byte-pair encoding, WordPiece, or characters",
    )
    train.add_argument(
        "--vocab-size",
        type=int,
        metavar="N",
        help="tokens in the vocabulary, including special tokens and single bytes or characters "
        "(default: bpe 1024, wordpiece 4096)",
    )

    show = actions.add_parser("show", help="the pieces of a text, and the merges that made them")
    encode = actions.add_parser("encode", help="the ids of a text")
    for action in (show, encode):
        action.add_argument("text", metavar="TEXT", help="the text, or - for standard input")
    encode.add_argument(
        "--special",
        action="store_true",
        help="encode the spelling of a special token in the text as that token",
    )
    decode = actions.add_parser("decode", help="the text of ids")
    decode.add_argument("ids", nargs="+", type=int, metavar="ID", help="a token's id")

    compare = actions.add_parser("compare", help="several tokenizers over a text file")
    compare.add_argument("file", type=Path, metavar="FILE", help="a UTF-8 text file")
    compare.add_argument(
        "--tokenizer",
        required=True,
        action="append",
        type=Path,
        metavar="PATH",
        help="a tokenizer; may be given several times",
    )

    corpus = actions.add_parser("corpus", help="encode whole files, on all cores")
    corpus.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", help="text or .jsonl, may end in .xz or .gz"
    )
    corpus.add_argument("--out", required=True, type=Path, help="the .bin file of ids to write")
    corpus.add_argument(
        "--separator",
        default="\\n\\n",
        metavar="TEXT",
        help=r"separator between the documents of a text file, such as \x1e (default \n\n)",
    )
    corpus.add_argument(
        "--end-token", metavar="TOKEN", help="a special token to write after each document"
    )
    corpus.add_argument(
        "--tiktoken", action="store_true", help="encode with tiktoken: the same ids, faster"
    )
    corpus.add_argument(
        "--workers", type=int, metavar="N", help="processes (default: one per core)"
    )

    for action in (show, encode, decode, corpus):
        action.add_argument(
            "--tokenizer",
            type=Path,
            default=_SHIPPED,
            metavar="PATH",
            help="a tokenizer (default: that of the model in the package)",
        )
    for action in (train, show, encode, decode, compare, corpus):
        action.add_argument(
            "--json", action="store_true", help="one JSON object on standard output"
        )


def run(args: argparse.Namespace) -> int:
    """Run the chosen action; return 0."""
    actions = {
        "train": _train,
        "show": _show,
        "encode": _encode,
        "decode": _decode,
        "compare": _compare,
        "corpus": _corpus,
    }
    actions[args.action](args)
    return 0


def _train(args: argparse.Namespace) -> None:
    from glassmind.cli.live import LiveProgress
    from glassmind.interop.tokenizers import write_tokenizer_json
    from glassmind.pipeline.formats import require_extension
    from glassmind.tokenize import fingerprint, save, train_bpe, train_char
    from glassmind.tokenize.composed.train_wordpiece import train_wordpiece

    target, kind, size = args.out, args.kind, args.vocab_size
    require_extension(target, ".json", "a tokenizer.json")
    _check_target(target, args.files)
    if kind == "char" and size is not None:
        raise UserError(
            "--vocab-size is only for --kind bpe and wordpiece; this kind has the text's characters"
        )
    size = _DEFAULT_SIZES.get(kind, 0) if size is None else size
    texts = _read(args.files)
    with LiveProgress() as progress:
        if kind == "wordpiece":
            wordpiece = train_wordpiece(texts, size, progress)
            write_tokenizer_json(wordpiece, target)
            n_tokens, mark = wordpiece.vocab_size, wordpiece.fingerprint
        else:
            saved = train_char(texts) if kind == "char" else train_bpe(texts, size, progress)
            save(saved, target)
            n_tokens, mark = saved.vocab_size, fingerprint(saved)
    if args.json:
        print_json(
            {
                "schema": 1,
                "path": target,
                "kind": kind,
                "vocab_size": n_tokens,
                "fingerprint": mark,
            }
        )
    else:
        console().print(f"{target}: {n_tokens} tokens ({kind})")


def _check_target(target: Path, files: Sequence[Path]) -> None:
    """Refuse, before the work, a target that cannot be written or would replace a text."""
    if target.is_dir():
        raise UserError(f"--out {target} is a folder; name a file in it")
    nearest = next(parent for parent in target.parents if parent.exists())
    if not nearest.is_dir():
        raise UserError(f"--out {target} cannot be written: {nearest} is a file, not a folder")
    if target.exists() and any(file.exists() and file.samefile(target) for file in files):
        raise UserError(f"--out {target} is one of the texts; name another file")


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
            raise UserError(f"{path} is empty; give a file with text")
        yield text


def _load(path: Path) -> ComposedTokenizer | SavedTokenizer:
    from glassmind.interop.shipped_packages import SHIPPED_MODELS, shipped_model
    from glassmind.interop.tokenizers import load_tokenizer

    named = str(path) in SHIPPED_MODELS and not path.exists()
    return load_tokenizer(shipped_model(str(path)) if named else path)


def _text(argument: str) -> bytes:
    """The bytes to encode, exactly as given, whether or not they are UTF-8."""
    return sys.stdin.buffer.read() if argument == "-" else os.fsencode(argument)


def _show(args: argparse.Namespace) -> None:
    from glassmind.cli.tokenizer_views import show

    show(_load(args.tokenizer), _text(args.text), args.json)


def _encode(args: argparse.Namespace) -> None:
    tokenizer, text = _load(args.tokenizer), _text(args.text)
    if not args.special:
        ids = tokenizer.encode(text)
    else:
        from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

        if not isinstance(tokenizer, ComposedTokenizer):
            raise UserError(
                f"--special does not work with {args.tokenizer}: a tokenizer trained here never "
                "finds special tokens in a text; only the program writes them"
            )
        ids = tokenizer.encode_marked(text)
    if args.json:
        print_json({"schema": 1, "ids": ids})
    else:
        sys.stdout.write(" ".join(map(str, ids)) + "\n")


def _decode(args: argparse.Namespace) -> None:
    tokenizer = _load(args.tokenizer)
    largest = tokenizer.vocab_size - 1
    strange = next((token_id for token_id in args.ids if not 0 <= token_id <= largest), None)
    if strange is not None:
        raise UserError(f"{args.tokenizer} has no token {strange}; ids run from 0 to {largest}")
    data = tokenizer.decode_bytes(args.ids)
    if args.json:
        print_json({"schema": 1, "text": data.decode("utf-8", "replace")})
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data + (b"\n" if sys.stdout.isatty() else b""))
    sys.stdout.buffer.flush()


def _compare(args: argparse.Namespace) -> None:
    from glassmind.cli.tokenizer_views import compare

    text = next(_read([args.file]))
    compare(args.file, text, {path: _load(path) for path in args.tokenizer}, args.json)


def _corpus(args: argparse.Namespace) -> None:
    from glassmind.cli.live import LiveProgress
    from glassmind.tokenize.corpus.bulk import tokenize_corpus

    tokenizer = _load(args.tokenizer)
    end = None
    if args.end_token is not None:
        end = tokenizer.special.get(args.end_token)
        if end is None:
            known = ", ".join(list(tokenizer.special)[:12]) or "none"
            raise UserError(
                f"{args.tokenizer} has no special token {args.end_token!r}; it has: {known}"
            )
    if args.workers is not None and args.workers < 1:
        raise UserError(f"--workers {args.workers} must be at least 1")
    if args.tiktoken:
        tokenizer = _faster(tokenizer, args.tokenizer)
    _check_target(args.out, args.files)
    _spare_other_files(args.out, args.tokenizer)
    with LiveProgress() as progress:
        facts = tokenize_corpus(
            args.files,
            tokenizer,
            args.out,
            separator=_separator(args.separator),
            end_of_document=end,
            workers=args.workers,
            progress=progress,
        )
    if args.json:
        print_json({"schema": 1, **vars(facts)})
    else:
        console().print(f"{facts.path} ({facts.dtype}), described in {facts.facts_path}")


def _faster(
    tokenizer: ComposedTokenizer | SavedTokenizer, where: Path
) -> ComposedTokenizer | SavedTokenizer:
    from glassmind.tokenize.char import CharTokenizer
    from glassmind.tokenize.corpus.tiktoken_encoder import with_tiktoken

    if isinstance(tokenizer, CharTokenizer):
        raise UserError(f"{where} is a tokenizer of characters, but tiktoken is only for BPE")
    return with_tiktoken(tokenizer)


def _spare_other_files(target: Path, tokenizer: Path) -> None:
    """Refuse to overwrite the tokenizer, or a .json file that does not describe a corpus."""
    if target.exists() and tokenizer.exists() and target.samefile(tokenizer):
        raise UserError(f"--out {target} is the tokenizer; name another file")
    facts = target.with_suffix(".json")
    if facts.is_file():
        with facts.open("rb") as file:
            if b'"dtype"' not in file.read(200):
                raise UserError(
                    f"--out {target} would replace {facts}, which does not describe a corpus; name "
                    "another file"
                )


def _separator(argument: str) -> str:
    from glassmind.tokenize.corpus.documents import unescaped

    try:
        return unescaped(argument)
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise UserError(f"--separator {argument!r} is not valid ({error.reason})") from None
