"""How probable is a text? Perplexity by token, word and byte, as for WikiText.

A ``.txt`` file is one document; a JSONL has one in the field ``text`` of each line.
"""

from __future__ import annotations

from itertools import islice

from glassmind.data.pretraining.texts import find_texts
from glassmind.errors import UserError
from glassmind.pipeline.tasks.task import TextItem, TextTask, Wanted


def _load(wanted: Wanted) -> list[TextItem]:
    documents = find_texts(wanted.argument).documents()
    found = [piece.text for piece in islice(documents, wanted.limit or None)]
    if not any(text.strip() for text in found):
        raise UserError(f"{wanted.argument} holds no text")
    return [TextItem(text, text) for text in found]


TASK = TextTask(
    "perplexity",
    "how probable a text is: perplexity by token, word and byte, bits per byte",
    _load,
    argument="FILE",
)
