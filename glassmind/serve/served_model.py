"""One face for every model: a run's own, or one from elsewhere.

The two differ in how a question becomes a prompt and in how a reply says what is reasoning and what
is the answer; the endpoints see neither. A model of a run reads one question between special
tokens (``tokenize.reasoning``), one from elsewhere reads a conversation through its chat template.

What is reasoning shows in single tokens of the vocabulary, our own ``<|think|>`` and ``<|/think|>``
or the ``<think>`` and ``</think>`` of others: ``marks`` says which id does what.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from glassmind.errors import UserError
from glassmind.generate import Engine, WeightKind, pack_model
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.model_runner import LanguageModel, block_bytes
from glassmind.interop.load import is_pretrained, load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.model import Transformer
from glassmind.runs.models import SHIPPED, Loaded, load
from glassmind.tokenize import SavedTokenizer, Style
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import ANSWER, END, END_THINK, STEP, THINK

Mark = Literal["think", "answer", "step"]
"""What a token does to a reply: reasoning begins, the answer begins, a step ends."""

Format = Literal["question", "chat", "text"]

CHUNK_TOKENS = 512  # of prompts in one pass: so long at most do running answers stand still

_THINKING = {"<think>": "think", "</think>": "answer"}


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model with all that is needed to talk to it.

    ``format`` is how it is spoken to: ``question`` (a run's model), ``chat`` (through
    ``template``), or ``text`` (only continued). ``loaded`` is there for a run's model.
    """

    name: str
    model: Transformer
    tokenizer: SavedTokenizer | ComposedTokenizer
    format: Format
    stop_ids: frozenset[int]
    bos_id: int | None = None
    template: ChatTemplate | None = None
    loaded: Loaded | None = None

    @classmethod
    def load(cls, model: str = "", name: str = "") -> ServedModel:
        """The model of a run's folder, of a file or folder from elsewhere, or of a known name; the
        one that comes with the package unless one is given.

        Raises ``UserError`` where there is none, or one without a tokenizer.
        """
        model = model or SHIPPED
        if is_pretrained(model):
            return cls.of_pretrained(load_pretrained(model), name or Path(model).name)
        return cls.of_run(load(model), name or Path(model).name)

    @classmethod
    def of_run(cls, loaded: Loaded, name: str) -> ServedModel:
        """A run's model. One that has only been pretrained continues text."""
        return cls(
            name=name,
            model=loaded.model,
            tokenizer=loaded.tokenizer,
            format="text" if loaded.stage == "pretrain" else "question",
            stop_ids=frozenset({loaded.tokenizer.special[END]}),
            loaded=loaded,
        )

    @classmethod
    def of_pretrained(cls, pretrained: Pretrained, name: str) -> ServedModel:
        """A model from elsewhere."""
        tokenizer = pretrained.tokenizer
        if tokenizer is None:
            raise UserError(f"{pretrained.source} holds no tokenizer: without one nothing is read")
        template = None
        if pretrained.chat_template is not None:
            facts = replace(tokenizer.facts, chat_template=pretrained.chat_template)
            template = ChatTemplate.of(facts)
        return cls(
            name=name,
            model=pretrained.model.eval(),
            tokenizer=tokenizer,
            format="text" if template is None else "chat",
            stop_ids=pretrained.stop_ids,
            bos_id=pretrained.bos_id,
            template=template,
        )

    @property
    def context(self) -> int:
        """Tokens that a prompt and its answer may have together."""
        return self.model.config.max_tokens

    @property
    def style(self) -> Style:
        """How a run's model was trained to answer."""
        return "chain" if self.loaded is None else self.loaded.style

    @property
    def can_think(self) -> bool:
        """Whether it can be told to reason first, or to answer at once."""
        if self.template is None:
            return self.format == "question" and self.style == "chain"
        return "enable_thinking" in self.template.source

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What each id of the model's output stands for."""
        return Vocabulary.of(
            self.tokenizer, end_ids=self.stop_ids, size=self.model.config.vocab_size
        )

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The same, with nothing for what stands for nothing."""
        return tuple(data or b"" for data in self.vocabulary.token_bytes)

    @cached_property
    def marks(self) -> Mapping[int, Mark]:
        """Which ids begin the reasoning, begin the answer, or end a step."""
        special = self.tokenizer.special
        marks: dict[int, Mark] = {}
        if self._has_our_special_tokens:
            marks[special[THINK]] = "think"
            marks[special[END_THINK]] = "answer"
            marks[special[ANSWER]] = "answer"
            marks[special[STEP]] = "step"
        elif isinstance(self.tokenizer, ComposedTokenizer):
            for spelling, mark in _THINKING.items():
                token_id = self.tokenizer.id_of(spelling)
                if token_id is not None:
                    marks[token_id] = "think" if mark == "think" else "answer"
        return marks

    @property
    def _has_our_special_tokens(self) -> bool:
        return all(name in self.tokenizer.special for name in (THINK, END_THINK, ANSWER, STEP))

    @cached_property
    def longest_text(self) -> int:
        """Bytes of text that no tokenizer could squeeze into the context: refused unread."""
        return self.context * max(1, max(map(len, self.token_bytes), default=1))

    def spelling(self, token_id: int) -> str:
        """A token for display: its text, or its name if it is special."""
        data = self.token_bytes[token_id]
        if data:
            return data.decode("utf-8", "replace")
        known = token_id < self.tokenizer.vocab_size
        return self.tokenizer.token_text(token_id) if known else f"<id {token_id}>"

    def engine(
        self,
        *,
        max_rows: int,
        max_cache_bytes: int,
        weights: WeightKind = "float32",
        cache_dtype: torch.dtype | None = None,
        draft: ServedModel | None = None,
    ) -> Engine:
        """An engine of its own for this model, with weights of that kind and keys and values of
        that type. Its cache is no larger than all rows can fill.

        ``draft`` is a smaller model that guesses ahead. Raises ``UserError`` where its tokens are
        others than this one's, or weights cannot be of that kind.
        """
        models: list[LanguageModel] = [pack_model(self.model, weights)]
        if draft is not None:
            if draft.vocabulary.token_bytes != self.vocabulary.token_bytes:
                raise UserError(
                    f"{draft.name} cannot draft for {self.name}: its tokens are others, and a "
                    "draft must share the model's tokenizer"
                )
            models.append(pack_model(draft.model, weights))
        row_bytes = sum(block_bytes(one, cache_dtype) for one in models) * self.context // BLOCK
        max_cache_bytes = min(max_cache_bytes, (max_rows + 1) * row_bytes)
        return Engine(
            models[0],
            vocabulary=self.vocabulary,
            encode=self.tokenizer.encode,
            max_rows=max_rows,
            max_cache_bytes=max_cache_bytes,
            chunk_tokens=CHUNK_TOKENS,
            cache_dtype=cache_dtype,
            draft=models[1] if draft is not None else None,
        )
