"""Contamination: evaluation questions that occur in the training text.

A model that has read the test passes it without having learned anything. Brown et al. (2020, arXiv
2005.14165, appendix C) look for runs of 13 words that training text and evaluation share, and cut
each from the training text with 200 characters on both sides. They drop remaining pieces shorter
than 200 characters, and documents that fall into more than ten pieces. Dropping every matching
document would lose long ones, such as books, for one quotation. This file does the same, with two
differences: they ignore n-grams that occur in more than ten training documents, and choose n
between 8 and 13 for each evaluation; here every n-gram counts, and n is one setting.

An item of fewer than n words has no n-gram and cannot be found; the number of such items is
reported. Memory: eight bytes for each distinct n-gram of the evaluations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from glassmind.data.pretraining.texts import find_texts
from glassmind.data.pretraining.word_ngrams import WORD, Hashes, ngram_hashes, word_hashes
from glassmind.data.problems.sets import PROBLEM_SETS
from glassmind.errors import UserError

WINDOW = 200
"""Characters cut away on both sides of a shared n-gram; no shorter piece is kept."""

MOST_PIECES = 10
"""A document that falls into more pieces is dropped."""

_FIELDS = ("question", "problem", "prompt", "text")

Spans = tuple[tuple[int, int], ...]


class Evaluation(NamedTuple):
    """The n-grams to look for: ``items`` of ``name``, of which ``too_short`` have no n-gram."""

    name: str
    items: int
    too_short: int
    ngrams: Hashes  # sorted, each once


class Overlap(NamedTuple):
    """A document's overlap with an evaluation.

    ``kept`` are the (start, end) of the characters that stay, ``evaluation`` is the name of the
    first evaluation found, ``passage`` the words shared there.
    """

    kept: Spans
    evaluation: str
    passage: str


def read_evaluation(name: str, ngram: int) -> Evaluation:
    """The n-grams of an evaluation: a set of problems by its name, a JSONL, or a plain text.

    In a line of JSON the text is the field ``question``, else ``problem``, ``prompt`` or ``text``.

    Raises:
        UserError: it cannot be read, or has no text of ``ngram`` words.
    """
    items = too_short = 0
    found: list[Hashes] = []
    for text in _texts(name):
        grams = ngram_hashes(word_hashes(text), ngram)
        items += 1
        too_short += not len(grams)
        found.append(grams)
    if items == too_short:
        raise UserError(
            f"no item of {name} has {ngram} words or more, so none can be found: choose "
            "a smaller ngram"
        )
    return Evaluation(name, items, too_short, np.unique(np.concatenate(found)))


def _texts(name: str) -> Iterator[str]:
    if name in PROBLEM_SETS:
        yield from (problem.question for problem in PROBLEM_SETS[name].held_out())
    else:
        texts = find_texts(name, fields=_FIELDS)
        yield from (piece.text for piece in texts.documents())


class Contamination:
    """Looks for runs of ``ngram`` words of the evaluations in documents."""

    def __init__(self, evaluations: Iterable[Evaluation], ngram: int) -> None:
        self.evaluations, self.ngram = tuple(evaluations), ngram

    def overlap(self, text: str, words: Hashes) -> Overlap | None:
        """The overlap of ``text``, given its ``word_hashes``, with an evaluation, if any."""
        grams = ngram_hashes(words, self.ngram)
        shared = np.zeros(len(grams), np.bool_)
        first = ""
        for evaluation in self.evaluations:
            here = _within(grams, evaluation.ngrams)
            if not first and here.any():
                first = evaluation.name
            shared |= here
        if not first:
            return None
        # The slow pass over the text runs only where something was found.
        places = [word.span() for word in WORD.finditer(text)]
        hits = [
            (places[i][0], places[i + self.ngram - 1][1]) for i in np.flatnonzero(shared).tolist()
        ]
        return Overlap(_left_over(hits, len(text)), first, text[slice(*hits[0])])


def _within(numbers: Hashes, among: Hashes) -> NDArray[np.bool_]:
    """Which of ``numbers`` are in the sorted array ``among``."""
    at = np.minimum(np.searchsorted(among, numbers), len(among) - 1)
    return np.asarray(among[at] == numbers)


def _left_over(hits: list[tuple[int, int]], length: int) -> Spans:
    """The pieces of a document left after cutting the hits, given in order, and their windows."""
    kept: list[tuple[int, int]] = []
    end = 0
    for first, last in [*hits, (length + WINDOW, length + WINDOW)]:
        if first - WINDOW - end >= WINDOW:
            kept.append((end, first - WINDOW))
        end = max(end, last + WINDOW)
    return tuple(kept) if len(kept) <= MOST_PIECES else ()


class Seen(NamedTuple):
    """How much of an evaluation occurs in a training text.

    ``shares[i]`` is the share of the n-grams of question *i* that do; it is ``None`` for a question
    of fewer than ``ngram`` words.
    """

    ngram: int
    shares: tuple[float | None, ...]

    @property
    def found(self) -> list[int]:
        """The numbers of the questions of which anything occurs."""
        return [number for number, share in enumerate(self.shares) if share]

    @property
    def too_short(self) -> int:
        """Questions that could not be looked for."""
        return sum(share is None for share in self.shares)


def seen_in_training(questions: Sequence[str], training: str, ngram: int) -> Seen:
    """Which ``questions`` share ``ngram`` words in a row with a training text.

    ``training`` is whatever ``find_texts`` takes; in a line of JSON the text is the field
    ``question``, else ``problem``, ``prompt`` or ``text``. It is read once, as a stream.

    Raises:
        UserError: the training text cannot be read.
    """
    asked = [np.unique(ngram_hashes(word_hashes(question), ngram)) for question in questions]
    every = np.unique(np.concatenate(asked)) if asked else np.empty(0, np.uint64)
    hit = np.zeros(len(every), np.bool_)
    for piece in find_texts(training, fields=_FIELDS).documents():
        grams = ngram_hashes(word_hashes(piece.text), ngram)
        if len(grams) and len(every):
            found = grams[_within(grams, every)]
            hit[np.searchsorted(every, found)] = True
    shares = [
        float(hit[np.searchsorted(every, grams)].mean()) if len(grams) else None for grams in asked
    ]
    return Seen(ngram, tuple(shares))
