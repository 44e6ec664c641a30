"""The filters of a corpus, and the report of what they removed.

Near duplicates are removed first, then text that also occurs in the evaluations. The filters need
one pass over the corpus, but a corpus may be read more than once. So the result is stored as
*decisions* (the changed documents, and the characters of each that stay), and every later reading
goes through ``kept``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glassmind.data.contamination import Contamination, Spans, read_evaluation
from glassmind.data.near_duplicates import NearDuplicates
from glassmind.data.texts import Piece
from glassmind.data.word_ngrams import Hashes, word_hashes
from glassmind.tokenize.corpus.bulk import whole_or_not_at_all

EXAMPLES = 5
"""Examples per filter in the report."""

_EXCERPT = 120  # characters of an example

Decisions = Mapping[int, Spans]
"""Document number -> the (start, end) of its characters that stay; the others stay whole."""


@dataclass
class Removed:
    """What one filter removed."""

    documents: int = 0  # altogether
    shortened: int = 0  # documents that lost a part
    characters: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)

    def note(self, document: Piece, spans: Spans, **example: object) -> None:
        """Count the loss of ``document`` when only ``spans`` stay."""
        if spans:
            self.shortened += 1
        else:
            self.documents += 1
        self.characters += len(document.text) - sum(end - start for start, end in spans)
        if len(self.examples) < EXAMPLES:
            self.examples.append({"where": document.where} | example)


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
        self._repeated, self._contaminated = Removed(), Removed()
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
                excerpt = _excerpt(overlap.passage)
                self._contaminated.note(document, spans, against=overlap.evaluation, text=excerpt)
        if spans is not None:
            self.decisions[document.document] = spans
        return spans

    def _repeats(self, document: Piece, words: Hashes) -> Spans | None:
        if self._duplicates is None:
            return None
        twin = self._duplicates.twin(document.where, words)
        if twin is None:
            return None
        similarity, excerpt = round(twin.similarity, 3), _excerpt(document.text)
        self._repeated.note(document, (), repeats=twin.where, similarity=similarity, text=excerpt)
        return ()

    def report(self) -> dict[str, Any]:
        """The counts and removals, for ``data-report.json``."""
        report: dict[str, Any] = {
            "schema": 1,
            "documents": self._documents,
            "characters": self._characters,
            "kept_documents": self._documents
            - self._repeated.documents
            - self._contaminated.documents,
            "kept_characters": self._characters
            - self._repeated.characters
            - self._contaminated.characters,
        }
        if self._duplicates is not None:
            threshold = {"threshold": self._duplicates.threshold}
            report["near_duplicates"] = threshold | dataclasses.asdict(self._repeated)
        if self._contamination is not None:
            against = [
                {"name": e.name, "items": e.items, "too_short": e.too_short}
                for e in self._contamination.evaluations
            ]
            settings = {"ngram": self.ngram, "against": against}
            report["contamination"] = settings | dataclasses.asdict(self._contaminated)
        return report

    def summary(self) -> str:
        """The report in one sentence."""
        went = []
        if self._duplicates is not None:
            went.append(f"{self._repeated.documents:,} went as near duplicates")
        if self._contamination is not None:
            lost = self._contaminated
            went.append(
                f"{lost.documents:,} went and {lost.shortened:,} were cut for what they share with "
                "the evaluations"
            )
        gone = self._repeated.characters + self._contaminated.characters
        share = 100 * gone / max(1, self._characters)
        return (
            f"of {self._documents:,} documents {', '.join(went)}: {gone:,} of "
            f"{self._characters:,} characters ({share:.2f} %)"
        )


def kept(documents: Iterable[Piece], decisions: Decisions) -> Generator[Piece, None, None]:
    """What stays of whole ``documents``; each remaining piece becomes a document of its own."""
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
        UserError: the documents cannot be read, or the file not be written.
    """
    with whole_or_not_at_all(target) as (file,):
        for document in documents:
            filters.judge(document)
            for left in kept([document], filters.decisions):
                line = json.dumps({"text": left.text}, ensure_ascii=False)
                file.write(line.encode("utf-8", "surrogatepass") + b"\n")


def _excerpt(text: str) -> str:
    words = " ".join(text[: 4 * _EXCERPT].split())
    return words if len(words) <= _EXCERPT else words[: _EXCERPT - 1] + "…"
