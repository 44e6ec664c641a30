"""What every model can do that can be asked.

``LocalLLM`` (weights in this process) and ``RemoteLLM`` (an address) are the two kinds. Methods,
evaluation and the commands know only this protocol.
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
from glassmind.runs.recipe import Recipe, SamplingConfig
from glassmind.tokenize import Style

Format = Literal["question", "chat", "text"]
"""How a model is spoken to: one question between our own special tokens, a conversation through a
chat template, or a text that it continues."""

FREE_TEXT_SAMPLING = SamplingConfig(
    samples=1, max_new_tokens=256, temperature=0.7, top_k=0, top_p=1.0, max_rows=2048
)
"""How models sample that come without a recipe of ours. A single reply is then greedy, see
``reply_sampling``; replies that vote have to differ."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """How a text goes on; ``finish`` says why it ended."""

    text: str
    finish: Finish


class LLM(Model, Protocol):
    """A model that can be asked by people and by programs.

    ``recipe`` and ``run`` are ``None`` where the model is not a run of ours, and ``familiarity``
    where it is not known which questions it was trained on.
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
        """``params.samples`` ways to go on from a text, as it is and without a template.

        Raises:
            UserError: the model was trained on questions alone, the text is too long for it, or a
                server refuses.
        """
        ...

    def check(self, question: str, style: Style) -> None:
        """Raise ``UserError`` for a question that is too long for the model, where that is known
        before it is asked."""
        ...

    def warning(self, question: str) -> str | None:
        """A sentence for the person who asks, where an answer is not to be trusted."""
        ...


def asked_text(llm: LLM, question: str) -> str:
    """A person's question as the model is asked: our own models were trained on questions with
    single spaces and none at the ends, others read it as it is."""
    return " ".join(question.split()) if llm.format == "question" else question


def reply_sampling(
    llm: LLM,
    *,
    samples: int | None = None,
    temperature: float | None = None,
    max_new_tokens: int | None = None,
    where: str = "the options",
) -> SamplingConfig:
    """How a person's question is answered where they ask for no more than this.

    ``None`` leaves a value to the model. A single reply in free text is greedy, unless a
    temperature is given. ``where`` names in an error where the values come from.

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
    )
    changes = [(name, str(value)) for name, value in wishes if value is not None]
    return replace_many(usual, changes, where)
