"""Contamination against exact sets of n-grams, and what is cut."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from glassmind.data.pretraining.contamination import WINDOW, Contamination, read_evaluation
from glassmind.data.pretraining.filters import EvaluationRead, FilterReport, Filters, kept
from glassmind.data.pretraining.texts import Piece, find_texts
from glassmind.data.pretraining.word_ngrams import word_hashes
from glassmind.errors import UserError
from glassmind.serialization import decode, encode


def exact_ngrams(text: str, n: int) -> set[str]:
    words = re.sub(r"[^a-z0-9 ]", "", text.lower()).split()
    return {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}


def write_questions(path: Path, questions: list[str]) -> str:
    path.write_text("".join(json.dumps({"question": q, "answer": 1}) + "\n" for q in questions))
    return str(path)


def test_overlap_is_exactly_a_shared_ngram(tmp_path: Path) -> None:
    rng = random.Random(0)

    def text(length: int) -> str:  # few words, so that short n-grams repeat
        return " ".join(rng.choice(["Ann", "ran.", "to,", "THE", "old"]) for _ in range(length))

    questions = [text(rng.randrange(1, 14)) for _ in range(20)]
    name = write_questions(tmp_path / "test.jsonl", questions)
    for n in (3, 4, 5):
        evaluation = read_evaluation(name, n)
        known = set().union(*(exact_ngrams(question, n) for question in questions))
        assert len(evaluation.ngrams) == len(known)
        assert evaluation.items == 20
        assert evaluation.too_short == sum(not exact_ngrams(q, n) for q in questions) > 0
        contamination = Contamination([evaluation], n)
        found = 0
        for _ in range(200):
            document = text(rng.randrange(1, 20))
            overlap = contamination.overlap(document, word_hashes(document))
            assert (overlap is not None) == bool(exact_ngrams(document, n) & known)
            found += overlap is not None
            if overlap is not None:
                assert exact_ngrams(overlap.passage, n) & known
        assert 10 < found < 190


def test_what_is_shared_is_cut_with_its_surroundings(tmp_path: Path) -> None:
    question = "If Tom has 3 apples, and he buys 4 more pears today, what has he now in all?"
    name = write_questions(tmp_path / "test.jsonl", [question, "Too short?"])
    contamination = Contamination([read_evaluation(name, 13)], 13)

    def left(text: str) -> list[str]:
        overlap = contamination.overlap(text, word_hashes(text))
        assert overlap is not None
        return [text[start:end] for start, end in overlap.kept]

    before, after = "x" * 499 + " ", " " + "y" * 500
    copied = question.upper().replace(",", " -")
    first, second = left(before + copied + after)
    assert first == before[:-WINDOW]
    assert second == after[WINDOW - len("?") :]  # the last word ends before the question mark
    assert left("short. " + question) == []
    filler = "z" * 700 + " "
    assert len(left((filler + question + " ") * 9 + filler)) == 10
    assert left((filler + question + " ") * 10 + filler) == []  # more than ten pieces
    assert contamination.overlap("z " * 50, word_hashes("z " * 50)) is None


def test_filters_tell_what_they_took_away(tmp_path: Path) -> None:
    name = write_questions(tmp_path / "test.jsonl", ["one two three four five six seven"])
    long = "".join(f"word{n} " for n in range(200))
    texts = [
        "a first document that says something of its own accord",
        "A first document, that says something of its own accord!",
        long + "one two three four five six seven " + long,
        "well: one two three four five six seven",
        "the last document is like none of the others here",
    ]
    documents = [Piece(text, n, f"book line {n + 1}") for n, text in enumerate(texts)]
    filters = Filters(near_duplicates=0.8, against=[name], ngram=5)
    for document in documents:
        filters.judge(document)
    stays = list(kept(documents, filters.decisions))
    assert [piece.document for piece in stays] == [0, 2, 2, 4]
    assert stays[0].text == texts[0] and stays[3].text == texts[4]
    report = filters.report()
    assert report.documents == 5 and report.kept_documents == 3
    assert report.kept_characters == sum(len(piece.text) for piece in stays)
    repeated, contaminated = report.near_duplicates, report.contamination
    assert repeated is not None and contaminated is not None
    assert repeated.documents == 1 and repeated.characters == len(texts[1])
    example = repeated.examples[0]
    assert example.where == "book line 2" and example.repeats == "book line 1"
    assert (contaminated.documents, contaminated.shortened) == (1, 1)
    assert contaminated.against == [EvaluationRead(name, 1, 0)]
    assert contaminated.examples[0].text == "one two three four five"
    assert decode(FilterReport, encode(report), "here") == report
    assert filters.summary().startswith(
        "of 5 documents 1 were removed as near duplicates, 1 were removed and 1"
    )


def test_evaluations_that_cannot_be_used_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="13 words or more"):
        read_evaluation(write_questions(tmp_path / "a.jsonl", ["What is 2+2?"]), 13)
    (tmp_path / "b.jsonl").write_text('{"query": "x"}\n')
    with pytest.raises(UserError, match='"question" or "problem" or "prompt" or "text"'):
        read_evaluation(str(tmp_path / "b.jsonl"), 13)
    monkeypatch.delenv("GLASSMIND_DATA", raising=False)
    with pytest.raises(UserError, match="GLASSMIND_DATA"):
        read_evaluation("gsm8k", 13)


def test_questions_of_gsm8k_are_found_again(data_folder: Path) -> None:
    contamination = Contamination([read_evaluation("gsm8k", 13)], 13)
    valid = list(find_texts(str(data_folder / "gsm8k/valid.jsonl"), fields=("question",)).pieces())
    found = [contamination.overlap(piece.text, word_hashes(piece.text)) for piece in valid]
    too_short = contamination.evaluations[0].too_short
    assert len(found) == 500
    assert sum(overlap is None for overlap in found) == too_short < 25
