"""The filters of a corpus, and the report of what they removed.

Near duplicates are removed first, then text that also occurs in the evaluations. The filters need
one pass over the corpus, but a corpus may be read more than once. So the result is stored as
*decisions* (the changed documents, and the characters of each that stay), and every later reading
goes through ``kept``.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glassmind.data.pretraining.contamination import Contamination, Spans, read_evaluation
from glassmind.data.pretraining.near_duplicates import NearDuplicates
from glassmind.data.pretraining.texts import Piece
from glassmind.data.pretraining.word_ngrams import Hashes, word_hashes
from glassmind.files import atomic_write

EXAMPLES = 5
"""Examples per filter in the report."""

_EXCERPT = 120  # characters of an example

Decisions = Mapping[int, Spans]
"""Document number -> the (start, end) of its characters that stay; the others stay whole."""


@dataclass(frozen=True, slots=True)
class Example:
    """A document that was shortened or removed: an excerpt of what was removed, and why.

    It ``repeats`` an earlier document with that ``similarity`` (the Jaccard index), or shares text
    with the evaluation named in ``against``.
    """

    where: str
    text: str
    repeats: str | None = None
    similarity: float | None = None
    against: str | None = None


@dataclass
class Removed:
    """What one filter removed."""

    documents: int = 0  # altogether
    shortened: int = 0  # documents that lost a part
    characters: int = 0
    examples: list[Example] = field(default_factory=list)

    def note(self, document: Piece, spans: Spans, example: Example) -> None:
        """Count what ``document`` loses if only ``spans`` stay."""
        if spans:
            self.shortened += 1
        else:
            self.documents += 1
        self.characters += len(document.text) - sum(end - start for start, end in spans)
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)


@dataclass
class RepeatsRemoved(Removed):
    """Near duplicates: documents at least ``threshold`` similar to an earlier one."""

    threshold: float = 0.0


@dataclass(frozen=True, slots=True)
class EvaluationRead:
    """An evaluation that documents were compared with; ``too_short`` items have no n-gram."""

    name: str
    items: int
    too_short: int


@dataclass
class ContaminationRemoved(Removed):
    """Documents that share ``ngram`` consecutive words with an evaluation."""

    ngram: int = 0
    against: list[EvaluationRead] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class FilterReport:
    """``data-report.json``: what was read and what stays; ``None`` for a filter that is off."""

    schema: int
    documents: int
    characters: int
    kept_documents: int
    kept_characters: int
    near_duplicates: RepeatsRemoved | None = None
    contamination: ContaminationRemoved | None = None


class Filters:
    """The filters for near duplicates and contamination; either may be off.

    Documents with a Jaccard index of at least ``near_duplicates`` count as one (0: off),
    ``against`` names evaluations (see ``contamination.read_evaluation``), and ``ngram`` is the
    number of consecutive words that a match needs.

    Raises:
        UserError: an evaluation cannot be read.
    """

    def __init__(
        self, *, near_duplicates: float = 0.0, against: Sequence[str] = (), ngram: int = 13
    ) -> None:
        self.ngram = ngram
        self._duplicates = NearDuplicates(near_duplicates) if near_duplicates else None
        evaluations = [read_evaluation(name, ngram) for name in against]
        self._contamination = Contamination(evaluations, ngram) if evaluations else None
        self._repeated = RepeatsRemoved(threshold=near_duplicates)
        read = [EvaluationRead(e.name, e.items, e.too_short) for e in evaluations]
        self._contaminated = ContaminationRemoved(ngram=ngram, against=read)
        self._documents = self._characters = 0
        self.decisions: dict[int, Spans] = {}

    def judge(self, document: Piece) -> Spans | None:
        """The characters of a whole ``document`` that stay; ``None`` for all of them.

        Call it once for every document of a corpus, in order.
        """
        self._documents += 1
        self._characters += len(document.text)
        words = word_hashes(document.text)
        spans = self._repeats(document, words)
        if spans is None and self._contamination is not None:
            overlap = self._contamination.overlap(document.text, words)
            if overlap is not None:
                spans = overlap.kept
                example = Example(
                    document.where, _excerpt(overlap.passage), against=overlap.evaluation
                )
                self._contaminated.note(document, spans, example)
        if spans is not None:
            self.decisions[document.document] = spans
        return spans

    def _repeats(self, document: Piece, words: Hashes) -> Spans | None:
        if self._duplicates is None:
            return None
        twin = self._duplicates.twin(document.where, words)
        if twin is None:
            return None
        example = Example(
            document.where,
            _excerpt(document.text),
            repeats=twin.where,
            similarity=round(twin.similarity, 3),
        )
        self._repeated.note(document, (), example)
        return ()

    def report(self) -> FilterReport:
        """The counts and removals so far."""
        gone = (self._repeated, self._contaminated)
        return FilterReport(
            schema=1,
            documents=self._documents,
            characters=self._characters,
            kept_documents=self._documents - sum(part.documents for part in gone),
            kept_characters=self._characters - sum(part.characters for part in gone),
            near_duplicates=None if self._duplicates is None else self._repeated,
            contamination=None if self._contamination is None else self._contaminated,
        )

    def summary(self) -> str:
        """The report in one sentence."""
        went = []
        if self._duplicates is not None:
            went.append(f"{self._repeated.documents:,} were removed as near duplicates")
        if self._contamination is not None:
            lost = self._contaminated
            went.append(
                f"{lost.documents:,} were removed and {lost.shortened:,} cut for text shared with "
                "the evaluations"
            )
        gone = self._repeated.characters + self._contaminated.characters
        share = 100 * gone / max(1, self._characters)
        return (
            f"of {self._documents:,} documents {', '.join(went)}: {gone:,} of "
            f"{self._characters:,} characters ({share:.2f} %)"
        )


def kept(documents: Iterable[Piece], decisions: Decisions) -> Generator[Piece, None, None]:
    """The parts of whole ``documents`` that stay, each as a document of its own."""
    for document in documents:
        spans = decisions.get(document.document)
        if spans is None:
            yield document
            continue
        for start, end in spans:
            yield document._replace(text=document.text[start:end])


def write_filtered(documents: Iterable[Piece], filters: Filters, target: Path) -> None:
    """Write what ``filters`` keep of ``documents`` as lines ``{"text": ...}``, atomically.

    Raises:
        UserError: the documents cannot be read, or the file cannot be written.
    """
    with atomic_write(target, make_folder=True) as temporary, temporary.open("wb") as file:
        for document in documents:
            filters.judge(document)
            for left in kept([document], filters.decisions):
                line = json.dumps({"text": left.text}, ensure_ascii=False)
                file.write(line.encode("utf-8", "surrogatepass") + b"\n")


def _excerpt(text: str) -> str:
    words = " ".join(text[: 4 * _EXCERPT].split())
    return words if len(words) <= _EXCERPT else words[: _EXCERPT - 1] + "…"
