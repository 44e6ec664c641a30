"""The displays of ``glassmind tokenizer``: a text's pieces and their merges, and a comparison."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from glassmind.cli.console import console, out, print_json, say_left_out
from glassmind.evaluate.columns import Column, print_table
from glassmind.tokenize.bpe.merge_path import MAX_START, PiecePath, explain

if TYPE_CHECKING:
    from rich.console import Console

    from glassmind.tokenize import SavedTokenizer
    from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

# Fixed colours, because black text may be unreadable on a terminal's own yellow. They stay distinct
# on a terminal with only sixteen colours.
_COLOURS = tuple(f"#000000 on {paper}" for paper in ("#87d7ff", "#ffd75f", "#87d75f", "#ff87d7"))
_NEW = _COLOURS[2]
_MOST_TOKENS, _MOST_PATHS = 1000, 24  # the most that are drawn
_COLUMNS = (
    Column("tokenizer", left=True),
    Column("vocabulary", rank=2),
    Column("tokens"),
    Column("bytes/token", rank=1),
    Column("tokens/word", rank=3),
    Column("tokens/digit", rank=4),
    Column("MB/s", rank=5),
    Column("exact", left=True, rank=1),
)
_DIGITS = frozenset(b"0123456789")


def show(tokenizer: ComposedTokenizer | SavedTokenizer, text: bytes, as_json: bool) -> None:
    """Print the tokens of ``text`` in colours, and the merges of pieces that needed any."""
    ids = tokenizer.encode(text)
    paths = explain(tokenizer, text.decode("utf-8", "replace"))
    worth_it = (path for path in paths if path.steps or path.too_long)
    shown = list(itertools.islice(worth_it, _MOST_PATHS))
    all_shown = next(worth_it, None) is None
    if as_json:
        tokens = [{"id": token_id, "text": tokenizer.token_text(token_id)} for token_id in ids]
        print_json(
            {
                "schema": 1,
                "bytes": len(text),
                "tokens": tokens,
                "paths": [asdict(path) for path in shown],
                "all_paths": all_shown,
            }
        )
        return
    drawn = [(tokenizer.token_text(token_id), token_id) for token_id in ids[:_MOST_TOKENS]]
    out().print(_coloured(drawn, out().width).append_text(_drawn(shown, out())))
    if len(ids) > _MOST_TOKENS:
        console().print(f"(the first {_MOST_TOKENS:,} tokens are drawn)", style="dim")
    if not all_shown:
        note = f"(of the merged pieces, the first {_MOST_PATHS} are drawn)"
        console().print(note, style="dim")
    console().print(f"tokens: {len(ids):,}  bytes: {len(text):,}")


def _coloured(tokens: list[tuple[str, int]], width: int) -> Text:
    """Each token followed by its id, in lines of at most ``width`` columns."""
    lines, used = Text(), 0
    for place, (token, token_id) in enumerate(tokens):
        entry = Text.assemble(
            (_visible(token), _COLOURS[place % len(_COLOURS)]), (f" {token_id}", "dim")
        )
        gap = "  " if used else ""
        if used and used + len(gap) + entry.cell_len > width:
            gap, used = "\n", 0
        lines.append(gap).append_text(entry)
        used += (2 if gap == "  " else 0) + entry.cell_len
    return lines


def _drawn(paths: list[PiecePath], screen: Console) -> Text:
    """The merges of each piece: a line for its start and one per merge, the new token marked."""
    indent = max((len(step.note) for path in paths for step in path.steps), default=0) + 2
    drawn = Text()

    def add(note: str, row: Text) -> None:
        for line in row.wrap(screen, max(20, screen.width - indent)):
            drawn.append(f"\n{note:>{indent - 2}}  ", "dim").append_text(line)
            note = ""

    for path in paths:
        drawn.append("\n")
        if path.too_long:
            add("", Text(f"(a piece of more than {MAX_START} characters is not drawn)", "dim"))
            continue
        add("", Text(" ".join(map(_visible, path.start)), "dim"))
        for step in path.steps:
            row = Text()
            for place, part in enumerate(step.parts):
                row.append(" " * (place > 0))
                row.append(_visible(part), _NEW if place == step.new else "")
            add(step.note, row)
    return drawn


def _visible(piece: str) -> str:
    return piece.replace(" ", "·")


@dataclass(frozen=True)
class _Row:
    """How one tokenizer encodes a text. ``tokens_per_digit`` is 1 if every digit is a token;
    ``exact`` says that decoding returns the text."""

    tokenizer: Path
    vocab_size: int
    tokens: int
    bytes_per_token: float
    tokens_per_word: float
    tokens_per_digit: float | None
    seconds: float
    megabytes_per_second: float
    exact: bool


def compare(
    file: Path,
    text: str,
    tokenizers: Mapping[Path, ComposedTokenizer | SavedTokenizer],
    as_json: bool,
) -> None:
    """A table with one row per tokenizer."""
    with console().status(f"encoding {file}"):
        rows = [_measured(path, tokenizer, text) for path, tokenizer in tokenizers.items()]
    if as_json:
        n_bytes = len(text.encode("utf-8"))
        print_json({"schema": 1, "file": file, "bytes": n_bytes, "tokenizers": rows})
        return
    fewest = min((row.tokens for row in rows if row.exact), default=0)
    lines, best = list[tuple[str, ...]](), list[int]()
    for number, row in enumerate(rows):
        digits = "-" if row.tokens_per_digit is None else f"{row.tokens_per_digit:.2f}"
        line = (
            str(row.tokenizer),
            f"{row.vocab_size:,}",
            f"{row.tokens:,}",
            f"{row.bytes_per_token:.3f}",
            f"{row.tokens_per_word:.3f}",
            digits,
            f"{row.megabytes_per_second:.1f}",
            "yes" if row.exact else "no",
        )
        lines.append(line)
        if row.exact and row.tokens == fewest:
            best.append(number)
    say_left_out(print_table(out(), _COLUMNS, lines, bold=best))


def _measured(path: Path, tokenizer: ComposedTokenizer | SavedTokenizer, text: str) -> _Row:
    n_bytes = len(text.encode("utf-8"))
    tokenizer.encode("Tables are made when they are first needed.")
    started = time.perf_counter()
    ids = tokenizer.encode(text)
    seconds = time.perf_counter() - started
    with_digits = {i for i in set(ids) if not _DIGITS.isdisjoint(tokenizer.token_bytes(i))}
    digits = sum(text.count(digit) for digit in "0123456789")
    return _Row(
        tokenizer=path,
        vocab_size=tokenizer.vocab_size,
        tokens=len(ids),
        bytes_per_token=n_bytes / max(1, len(ids)),
        tokens_per_word=len(ids) / len(text.split()),
        tokens_per_digit=sum(i in with_digits for i in ids) / digits if digits else None,
        seconds=seconds,
        megabytes_per_second=n_bytes / 1e6 / seconds,
        exact=tokenizer.decode(ids) == text,
    )
