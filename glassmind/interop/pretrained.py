"""A model from another project, with its tokenizer and chat template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.model import Transformer

if TYPE_CHECKING:
    from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


@dataclass(frozen=True)
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
