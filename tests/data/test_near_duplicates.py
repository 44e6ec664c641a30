"""Near duplicates against brute force: all pairs, with the exact Jaccard index."""

from __future__ import annotations

import random

import numpy as np
import pytest

from glassmind.data.pretraining.near_duplicates import (
    PERMUTATIONS,
    SHINGLE,
    NearDuplicates,
    rows_of_a_band,
)
from glassmind.data.pretraining.word_ngrams import ngram_hashes, word_hashes

Shingles = set[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    words = text.lower().split()
    return {tuple(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def jaccard(first: Shingles, second: Shingles) -> float:
    both = len(first & second)
    return both / (len(first) + len(second) - both)


def edited(text: str, edits: int, rng: random.Random) -> str:
    words = text.split()
    for _ in range(edits):
        words[rng.randrange(len(words))] = f"new{rng.randrange(10**6)}"
    return " ".join(words)


def corpus(seed: int) -> list[str]:
    """Documents of 40 to 400 words; two in three are an earlier one with some words changed."""
    rng = random.Random(seed)
    documents: list[str] = []
    for number in range(240):
        if number % 3 == 0:
            length = rng.randrange(40, 400)
            documents.append(" ".join(f"w{rng.randrange(3000)}" for _ in range(length)))
        else:
            before = rng.choice(documents)
            edits = int(len(before.split()) * rng.choice([0, 0.005, 0.01, 0.02, 0.04, 0.1]))
            documents.append(edited(before, edits, rng))
    return documents


def test_the_estimate_is_unbiased_and_as_exact_as_it_says() -> None:
    rng = random.Random(5)
    duplicates = NearDuplicates(0.8)
    errors = []
    for _ in range(200):
        text = " ".join(f"w{rng.randrange(10**6)}" for _ in range(rng.randrange(30, 800)))
        other = edited(text, rng.randrange(len(text.split()) // 6), rng)
        signatures = [duplicates.signature(word_hashes(t)) for t in (text, other)]
        errors.append(
            float((signatures[0] == signatures[1]).mean())
            - jaccard(shingles(text), shingles(other))
        )
    standard_error = 0.5 / PERMUTATIONS**0.5
    assert abs(np.mean(errors)) < 3 * standard_error / len(errors) ** 0.5
    assert np.std(errors) < 1.1 * standard_error


@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_recall_and_precision_against_all_pairs(threshold: float) -> None:
    """Away from the threshold, by three standard errors, every decision is the exact one."""
    margin = 3 * 0.5 / PERMUTATIONS**0.5
    removed = wrong = missed = clear = 0
    for seed in (1, 2):
        duplicates = NearDuplicates(threshold)
        kept: list[Shingles] = []
        for number, text in enumerate(corpus(seed)):
            mine = shingles(text)
            nearest = max((jaccard(mine, other) for other in kept), default=0.0)
            twin = duplicates.twin(str(number), word_hashes(text))
            clear += nearest > threshold + margin
            missed += twin is None and nearest > threshold + margin
            wrong += twin is not None and nearest < threshold - margin
            removed += twin is not None
            if twin is None:
                kept.append(mine)
    assert clear > 50 and removed > 50
    assert wrong == 0
    assert missed <= 0.01 * clear


def test_the_first_of_a_group_stays_and_the_same_ones_go_every_time() -> None:
    documents = corpus(3)
    runs = []
    for _ in range(2):
        duplicates = NearDuplicates(0.8)
        runs.append([duplicates.twin(str(n), word_hashes(t)) for n, t in enumerate(documents)])
    assert runs[0] == runs[1]
    first, text = NearDuplicates(0.8), "one two three four five six seven"
    assert first.twin("a", word_hashes(text)) is None
    twin = first.twin("b", word_hashes(text.upper().replace(" ", ",\n")))
    assert twin is not None and twin == ("a", 1.0)
    assert first.twin("c", word_hashes("one two")) is None  # shorter than an n-gram
    assert first.twin("d", word_hashes("One, two!")) == ("c", 1.0)
    assert first.twin("e", word_hashes("?!")) is first.twin("f", word_hashes("?!")) is None


def test_bands_lose_few_pairs_at_the_threshold() -> None:
    for threshold in (0.3, 0.5, 0.8, 0.95, 1.0):
        rows = rows_of_a_band(threshold)
        found = 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows)
        assert found >= 0.99
    assert rows_of_a_band(0.8) == 8


def test_words_and_ngrams() -> None:
    def same(first: str, second: str) -> bool:
        return word_hashes(first).tolist() == word_hashes(second).tolist()

    assert same("Don't stop -- it's 1,800!", "dont STOP, its 1 800")
    assert same("a_b", "a b") and not same("ab", "a b")
    words = word_hashes("a b c d a b c")
    grams = ngram_hashes(words, 3).tolist()
    assert len(grams) == 5 and grams[0] == grams[4] and len(set(grams)) == 4
    assert ngram_hashes(words, 8).tolist() == []
    assert word_hashes("cat").tolist() == [3429664268601861939]  # the same on every machine
