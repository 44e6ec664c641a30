"""Both answers to a prompt as one document that branches: the prompt is read once for both.

    prompt ─┬─ chosen
            ├─ rejected
            └─ (for KTO) an answer to another prompt

``data.batches.packing`` explains branches: an answer gets the result that it would get alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import Document
from glassmind.errors import UserError

PREFERENCE = Column("preference", "int64", 0)
"""What the answer of a token is: ``CHOSEN``, ``REJECTED`` or ``MISMATCHED``; 0 in a prompt."""

CHOSEN, REJECTED, MISMATCHED = 1, -1, 2


@dataclass(frozen=True, slots=True)
class EncodedPreference:
    """A preference as ids; ``chosen`` or ``rejected`` is empty if it is unpaired."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.prompt:
            raise ValueError("a preference needs a prompt of at least one token")
        if not self.chosen and not self.rejected:
            raise ValueError("a preference needs an answer")

    @property
    def n_tokens(self) -> int:
        return len(self.prompt) + len(self.chosen) + len(self.rejected)


def preference_document(one: EncodedPreference, mismatched: Sequence[int] = ()) -> Document:
    """The document of a preference; ``mismatched`` is an answer to another prompt."""
    answers = [
        (ids, role)
        for ids, role in (
            (one.chosen, CHOSEN),
            (one.rejected, REJECTED),
            (mismatched, MISMATCHED),
        )
        if ids
    ]
    lengths = [len(one.prompt), *(len(ids) for ids, _ in answers)]
    roles = np.repeat([0, *(role for _, role in answers)], lengths).astype(np.int64)
    return Document(
        ids=np.array([*one.prompt, *(i for ids, _ in answers for i in ids)], np.int32),
        columns={COMPLETION: roles != 0, PREFERENCE: roles},
        branches=np.repeat(np.arange(len(lengths)), lengths).astype(np.int16),
    )


def mismatched_documents(preferences: Sequence[EncodedPreference], most: int) -> list[Document]:
    """The documents of KTO: each answer is judged by itself, and every document has an answer to
    another prompt as well, by which the distance from the reference is estimated.

    It is the answer of the next preference with another prompt, cut where the document would be
    longer than ``most`` tokens; a document without room for any has none.

    Raises:
        UserError: all preferences have the same prompt.
    """
    if len({one.prompt for one in preferences}) < 2:
        raise UserError(
            "KTO estimates the distance from the reference on answers to other prompts, and all "
            "preferences have the same prompt: give at least two"
        )
    documents = []
    for number, one in enumerate(preferences):
        later = (number + 1) % len(preferences)
        while preferences[later].prompt == one.prompt:
            later = (later + 1) % len(preferences)
        other = preferences[later].chosen or preferences[later].rejected
        documents.append(preference_document(one, other[: most - one.n_tokens]))
    return documents
