"""A model that came from somewhere else, with what is needed to talk to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from glassmind.model import Transformer

if TYPE_CHECKING:
    from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


@dataclass(frozen=True)
class Pretrained:
    """What a folder or file of weights holds.

    ``tokenizer`` and ``chat_template`` (Jinja source) are ``None`` where the source has none.
    Generation ends at any of ``stop_ids``; ``bos_id`` is the token a text begins with, if the
    model expects one. ``name`` is for people, ``source`` is where the weights lie.
    """

    model: Transformer
    tokenizer: ComposedTokenizer | None
    chat_template: str | None
    stop_ids: frozenset[int]
    bos_id: int | None
    name: str
    source: Path
