"""A model from another project, with its tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.model import Transformer
from glassmind.model.facts import model_facts
from glassmind.notebook import facts_text, table

if TYPE_CHECKING:
    from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


@dataclass(frozen=True, repr=False)
class Pretrained:
    """The contents of a folder or file of weights.

    ``tokenizer`` and ``chat_template`` (Jinja source) are ``None`` if the source has none.
    Generation ends at any of ``stop_ids``; ``bos_id`` is the token a text begins with, if the
    model expects one. ``name`` is a display name, ``source`` the path of the weights.
    """

    model: Transformer
    tokenizer: ComposedTokenizer | None
    chat_template: str | None
    stop_ids: frozenset[int]
    bos_id: int | None
    name: str
    source: Path

    def _facts(self) -> list[tuple[str, str]]:
        return [
            *model_facts(self.model.config, self.model),
            ("chat template", "none" if self.chat_template is None else "its own"),
            ("weights", str(self.source)),
        ]

    def __str__(self) -> str:
        return facts_text(self.name, self._facts())

    __repr__ = __str__  # the default would print every layer

    def _repr_html_(self) -> str:
        return table((), [("name", self.name), *self._facts()])
