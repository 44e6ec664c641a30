"""The protocol of every model that can be asked.

``LocalLLM`` (weights in this process) and ``RemoteLLM`` (an address) implement it. Methods,
evaluation and the commands use only this protocol.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from glassmind.generate import SamplingParams
from glassmind.llm.familiarity import Familiarity
from glassmind.llm.model import Model
from glassmind.llm.prompts import PromptFormat
from glassmind.records import Finish
from glassmind.runs.folder import RunFolder
from glassmind.runs.overrides import replace_many
from glassmind.runs.recipe import CalculatorUse, Recipe, SamplingConfig
from glassmind.tokenize import Style

Format = Literal["question", "chat", "text"]
"""The input of a model: one question between our own special tokens, a conversation through a chat
template, or a text that it continues."""

FREE_TEXT_SAMPLING = SamplingConfig(
    samples=1, max_new_tokens=256, temperature=0.7, top_k=0, top_p=1.0, max_rows=2048
)
"""How models without a recipe of ours sample. A single reply is greedy (``reply_sampling``), but
several replies must differ to vote."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """A continuation of a text; ``finish`` says why it ended."""

    text: str
    finish: Finish


class LLM(Model, Protocol):
    """A model that can be asked by people and by programs.

    ``recipe`` and ``run`` are ``None`` if the model is not a run of ours, and ``familiarity`` if it
    is not known which questions it was trained on.
    """

    @property
    def format(self) -> Format: ...

    @property
    def recipe(self) -> Recipe | None: ...

    @property
    def run(self) -> RunFolder | None: ...

    @property
    def familiarity(self) -> Familiarity | None: ...

    @property
    def prompts(self) -> PromptFormat: ...

    def with_prompts(self, prompts: PromptFormat) -> LLM:
        """The same model, with other words around a question."""
        ...

    def continuations(self, text: str, params: SamplingParams) -> list[Continuation]:
        """``params.samples`` continuations of a text, without a template.

        Raises:
            UserError: the model was trained only on questions, the text is too long for it, or a
                server refuses.
        """
        ...

    def check(self, question: str, style: Style) -> None:
        """Raise ``UserError`` for a question that is too long for the model, if that is known
        before it is asked."""
        ...

    def warning(self, question: str) -> str | None:
        """A sentence for the person who asks, if the answer should not be trusted."""
        ...


def asked_text(format: Format, question: str) -> str:
    """A person's question as it is put to the model. Our own models were trained on questions with
    single spaces and none at the ends; others get it unchanged."""
    return " ".join(question.split()) if format == "question" else question


def reply_sampling(
    llm: LLM,
    *,
    samples: int | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    calculator: CalculatorUse | None = None,
    where: str = "the options",
) -> SamplingConfig:
    """The sampling parameters for a person's question, with the values that are given.

    ``None`` leaves a value to the model. A single reply in free text is greedy, unless a
    temperature is given. ``where`` says in error messages where the values come from.

    Raises:
        UserError: a value is out of its range.
    """
    usual = llm.default_sampling
    if temperature is None and (samples or usual.samples) == 1 and llm.format != "question":
        temperature = 0.0
    wishes = (
        ("samples", samples),
        ("temperature", temperature),
        ("max_new_tokens", max_new_tokens),
        ("calculator", calculator),
    )
    changes = [(name, str(value)) for name, value in wishes if value is not None]
    return replace_many(usual, changes, where)
