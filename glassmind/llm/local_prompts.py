"""How a model in this process is told things: from a question, a text or a conversation to ids.

For every kind of model it is known how a question becomes a prompt and which tokens end a reply. A
model of a run reads one question between special tokens (``tokenize.reasoning``), one from
elsewhere reads a conversation through its chat template, and a model that was only pretrained
continues a text.

Reasoning is marked by single tokens of the vocabulary, our own ``<|think|>`` and ``<|/think|>`` or
the ``<think>`` and ``</think>`` of others; ``marks`` maps their ids to their meanings.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from glassmind.errors import UserError
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.llm.familiarity import Familiarity
from glassmind.llm.llm import Format, asked_text
from glassmind.llm.prompts import PromptFormat
from glassmind.llm.reply_reader import Channel, Mark
from glassmind.model import Transformer
from glassmind.quantity import quantity
from glassmind.tokenize import SavedTokenizer, Style, encode_prompt
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.added_tokens import AddedToken, AddedTokenFinder
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import ANSWER, END_THINK, STEP, THINK

_THINKING: Mapping[str, Mark] = {"<think>": "think", "</think>": "answer"}
_TAIL = 8  # tokens at the end of a prompt that are searched for a mark


@dataclass(frozen=True, eq=False, repr=False)
class LocalPrompts:
    """A model, its tokenizer, and how it is asked.

    ``format`` is its input: ``question`` (a run's model), ``chat`` (through ``template``), or
    ``text`` (which it continues). ``prompts`` is the text around a question, unless the format is
    ``question``. A run's model has a ``familiarity``: how unlike its training a question is.
    """

    name: str
    model: Transformer
    tokenizer: SavedTokenizer | ComposedTokenizer
    format: Format
    stop_ids: frozenset[int]
    bos_id: int | None = None
    template: ChatTemplate | None = None
    style: Style = "chain"
    familiarity: Familiarity | None = None
    prompts: PromptFormat = field(default_factory=PromptFormat)

    def __post_init__(self) -> None:
        if self.format == "question" and not self.prompts.bare:
            raise UserError(
                f"{self.name} was trained on bare questions: it takes no prompt file, no examples, "
                "and no choice of whether to think"
            )
        if self.prompts.think is not None and not self.can_think:
            raise UserError(
                f"{self.name} cannot be told whether to think: its template has no such option"
            )

    # ------------------------------------------------------------------ what it is

    @property
    def context(self) -> int:
        """The most tokens that a prompt and its answer may have together."""
        return self.model.config.max_tokens

    @property
    def can_think(self) -> bool:
        """Whether it can be told to reason first or to answer without reasoning."""
        if self.template is None:
            return self.format == "question" and self.style == "chain"
        return "enable_thinking" in self.template.source

    @property
    def eos_id(self) -> int | None:
        """The token that ends a text: among those that end a reply, the one its tokenizer names."""
        if isinstance(self.tokenizer, ComposedTokenizer):
            named = self.tokenizer.facts.eos_token
            known = None if named is None else self.tokenizer.id_of(named)
            if known in self.stop_ids:
                return known
        return min(self.stop_ids, default=None)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What each id of the model's output stands for."""
        return Vocabulary.of(
            self.tokenizer, end_ids=self.stop_ids, size=self.model.config.vocab_size
        )

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes of each id; empty for a special token or an id without a token."""
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
                    marks[token_id] = mark
        return marks

    @property
    def _has_our_special_tokens(self) -> bool:
        return all(name in self.tokenizer.special for name in (THINK, END_THINK, ANSWER, STEP))

    @cached_property
    def longest_text(self) -> int:
        """The most bytes of text that the context could hold; longer text is not encoded at all."""
        return self.context * max(1, max(map(len, self.token_bytes), default=1))

    def channel_behind(self, prompt_ids: Sequence[int]) -> Channel:
        """Whether a reply to this prompt begins with reasoning, by the last mark near its end."""
        for token_id in reversed(prompt_ids[-_TAIL:]):
            mark = self.marks.get(token_id)
            if mark is not None:
                return "reasoning" if mark == "think" else "content"
        return "content"

    def special_ids(self, spellings: Collection[str]) -> frozenset[int]:
        """The ids of the special tokens with these spellings."""
        special = self.tokenizer.special
        return frozenset(special[one] for one in spellings if one in special)

    def spelling(self, token_id: int) -> str:
        """A token for display: its text, or its name if it is special."""
        data = self.token_bytes[token_id]
        if data:
            return data.decode("utf-8", "replace")
        known = token_id < self.tokenizer.vocab_size
        return self.tokenizer.token_text(token_id) if known else f"<id {token_id}>"

    def prompt(self, question: str, style: Style) -> list[int]:
        """The ids that ask ``question``.

        The spelling of a special token in ``question`` stays text.

        Raises:
            UserError: the question has more characters than the context can hold, or the chat
                template refuses it.
        """
        if self.format == "question":
            self._check_length(len(question))
            return encode_prompt(self.tokenizer, question, style)
        if self.format == "text":
            return self.text_prompt(self.prompts.continued(question, style))
        think = self.prompts.think
        if think is None and style == "direct" and self.can_think:
            think = False
        return self.chat_prompt(self.prompts.messages(question, style), think=think)

    def text_prompt(self, text: str, *, special: bool = True, marked: bool = False) -> list[int]:
        """Ids of a text to continue; with ``special``, after the token that begins a text, if there
        is one.

        With ``marked`` the spelling of a special token in ``text`` is that token; use it for
        trusted text only.
        """
        self._check_length(len(text))
        ids = [self.bos_id] if special and self.bos_id is not None else []
        if not marked:
            return ids + self.tokenizer.encode(text)
        if isinstance(self.tokenizer, ComposedTokenizer):
            return ids + self.tokenizer.encode_marked(text)
        special_tokens = self.tokenizer.special.items()
        finder = AddedTokenFinder((name, AddedToken(name, i)) for name, i in special_tokens)
        for part in finder.split(text, special=True):
            ids += [part.token_id] if isinstance(part, AddedToken) else self.tokenizer.encode(part)
        return ids

    def chat_prompt(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        think: bool | None = None,
        variables: Mapping[str, Any] | None = None,
        begin_answer: bool = True,
        continue_last: bool = False,
    ) -> list[int]:
        """Ids of a conversation, up to where the model's turn begins.

        Without ``begin_answer`` nothing is put after the last message; with ``continue_last`` the
        ids end where its text does, so that the model continues it. ``variables`` are for the
        template. A model of a run was trained on single questions: it reads only the user's last
        message, and ``think`` false asks it for the answer without steps.

        Raises:
            UserError: the model is not made for conversations, or its template refuses this one.
        """
        self._check_length(sum(len(m["content"] or "") for m in messages))
        if self.format == "question":
            if tools:
                raise UserError(f"{self.name} was trained only on questions and supports no tools")
            if continue_last or not begin_answer:
                raise UserError(
                    f"{self.name} was trained only on questions: it cannot continue a message"
                )
            question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), None)
            if not (question or "").strip():
                raise UserError(
                    "the conversation has no question: it needs a message of the user with text"
                )
            style: Style = "direct" if think is False else self.style
            return encode_prompt(self.tokenizer, asked_text(self.format, str(question)), style)
        if self.template is None or not isinstance(self.tokenizer, ComposedTokenizer):
            raise UserError(
                f"{self.name} has no chat template, so it was not made for conversations; "
                "use /v1/completions"
            )
        given = {} if think is None else {"enable_thinking": think}
        return self.template.encode(
            self.tokenizer,
            messages,
            tools=tools,
            add_generation_prompt=begin_answer,
            continue_final_message=continue_last,
            **{**given, **(variables or {})},
        )

    def _check_length(self, characters: int) -> None:
        """Refuse text that cannot fit, before it is encoded."""
        if characters > self.longest_text:
            raise UserError(
                f"the prompt has {characters} characters, and the model's context of "
                f"{self.context} tokens cannot hold them"
            )

    def check(self, question: str, style: Style) -> None:
        """Raise ``UserError`` if ``question`` leaves no room in the context for an answer."""
        if len(question) > self.longest_text:
            raise UserError(
                f"the question has {len(question)} characters and the model reads at most "
                f"{self.context} tokens, including its answer: shorten it"
            )
        length = len(self.prompt(question, style))
        if length >= self.context:
            raise UserError(
                f"the question {question[:60]!r}... has {quantity(length, 'token')} and the model "
                f"reads at most {self.context}, including its answer: shorten it"
            )

    def warning(self, question: str) -> str | None:
        """How the question differs from what the model was trained on, if it does."""
        if self.familiarity is not None:
            return self.familiarity.warning(question)
        if self.format == "text":
            return (
                f"{self.name} has no chat template: it was not made for conversations, and gets "
                "the question as plain text to continue"
            )
        return None
