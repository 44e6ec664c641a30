from __future__ import annotations

import itertools
import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from glassmind.errors import UserError
from glassmind.tokenize import SPECIAL_TOKENS, save, train_bpe
from glassmind.tokenize.bpe.byte_alphabet import BYTE_ORDER
from glassmind.tokenize.bpe.presplit import PATTERN, blocks, presplit
from glassmind.tokenize.bpe.train import count_pieces


def plain_train(texts: list[str], n_merges: int) -> list[tuple[bytes, bytes]]:
    """The textbook loop: count every pair anew, merge the most frequent, smallest ids first."""
    words = Counter(piece.encode() for text in texts for piece in presplit(text))
    split = {word: [bytes([byte]) for byte in word] for word in words}
    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    merges = []
    for _ in range(n_merges):
        pairs: Counter[tuple[bytes, bytes]] = Counter()
        for word, parts in split.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda p: (-pairs[p], tokens.index(p[0]), tokens.index(p[1])))
        merges.append(best)
        tokens.append(best[0] + best[1])
        for parts in split.values():
            at = 0
            while at < len(parts) - 1:
                if (parts[at], parts[at + 1]) == best:
                    parts[at : at + 2] = [best[0] + best[1]]
                at += 1
    return merges


def rust_model(texts: list[str], vocab_size: int) -> dict[str, Any]:
    tokenizers = pytest.importorskip("tokenizers")
    reference = tokenizers.Tokenizer(tokenizers.models.BPE())
    pre = tokenizers.pre_tokenizers
    reference.pre_tokenizer = pre.Sequence(
        [
            pre.Split(tokenizers.Regex(PATTERN), "isolated"),
            pre.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre.ByteLevel.alphabet(),
        special_tokens=list(SPECIAL_TOKENS),
        show_progress=False,
    )
    reference.train_from_iterator(texts, trainer)
    model: dict[str, Any] = json.loads(reference.to_str())["model"]
    return model


def our_model(texts: list[str], vocab_size: int, folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer.json"
    save(train_bpe(texts, vocab_size), path)
    model: dict[str, Any] = json.loads(path.read_text("utf-8"))["model"]
    return model


def test_merges_are_those_of_the_plain_loop(stories: list[str]) -> None:
    texts = [*stories[:60], "aaaa aaaaa aaaaaaa abababab"]
    tokenizer = train_bpe(texts, 263 + 60)
    merges = [(tokenizer.token_bytes(a), tokenizer.token_bytes(b)) for a, b in tokenizer.merges]
    assert merges == plain_train(texts, 60)


def test_merges_are_those_of_the_rust_library(stories: list[str], tmp_path: Path) -> None:
    theirs = rust_model(stories, 700)
    ours = our_model(stories, 700, tmp_path)
    assert ours["merges"] == theirs["merges"]
    assert ours["vocab"] == theirs["vocab"]


def test_ties_and_overlaps_are_broken_as_in_the_rust_library(tmp_path: Path) -> None:
    rng = random.Random(0)
    for _ in range(150):  # few letters and small counts: nearly every decision is a tie
        letters = "abcd"[: rng.randint(1, 4)]
        words = ("".join(rng.choices(letters, k=rng.randint(1, 40))) for _ in range(8))
        texts = [" ".join(words)]
        vocab_size = 263 + rng.randint(0, 60)
        theirs = rust_model(texts, vocab_size)
        ours = our_model(texts, vocab_size, tmp_path)
        assert ours["merges"] == theirs["merges"], texts
        assert ours["vocab"] == theirs["vocab"], texts


def test_merges_on_real_text_are_those_of_the_rust_library(tmp_path: Path) -> None:
    if "GLASSMIND_DATA" not in os.environ:
        pytest.skip("GLASSMIND_DATA is not set")
    path = Path(os.environ["GLASSMIND_DATA"]) / "text" / "tinyshakespeare.txt"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    text = path.read_text("utf-8")
    theirs = rust_model([text], 1500)
    ours = our_model([text], 1500, tmp_path)
    assert ours["merges"] == theirs["merges"]
    assert ours["vocab"] == theirs["vocab"]


def test_training_stops_when_every_piece_is_one_token() -> None:
    tokenizer = train_bpe(["abc abc"], 1000)
    assert tokenizer.vocab_size == 263 + 3  # ab, abc, " abc"
    assert train_bpe([], 1000).vocab_size == 263


@pytest.mark.parametrize("size", [-1, 0, 262, 10**7])
def test_impossible_vocabulary_sizes_are_refused(size: int) -> None:
    with pytest.raises(UserError, match="vocabulary size"):
        train_bpe(["text"], size)


def test_progress_is_told_of_every_token() -> None:
    class Watcher:
        def __init__(self) -> None:
            self.said: list[object] = []

        def start(self, stage: str, total: int, unit: str = "steps") -> None:
            self.said.append((total, unit))

        def update(self, done: int, **figures: float) -> None:
            self.said.append(done)

        def end(self, summary: str = "") -> None:
            self.said.append("end")

    watcher = Watcher()
    train_bpe(["abc abc"], 265, watcher)
    assert watcher.said == [(265, "tokens"), 264, 265, "end"]


def test_blocks_do_not_change_the_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glassmind.tokenize.bpe.presplit._BLOCK", 10)
    text = "one two\n\n three\nfour!\n\n5 six\n\r\nseven  \n \neight " * 20
    parts = list(blocks(text))
    assert len(parts) > 20
    assert "".join(parts) == text
    assert [piece for part in parts for piece in presplit(part)] == presplit(text)
    assert count_pieces([text]) == Counter(presplit(text))


def test_lone_surrogates_are_left_out_of_training() -> None:
    assert count_pieces(["ab\ud800 é"]) == {"ab": 1, " é": 1}
