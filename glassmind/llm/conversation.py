"""A conversation with a model in this process.

``glassmind chat`` runs one. There is one person and one engine: iterating over a reply runs the
engine step by step, and closing the iterator ends the reply.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams
from glassmind.llm.local import LocalLLM
from glassmind.llm.reply_reader import Piece, ReplyReader


@dataclass
class Conversation:
    """Turns of a person and a model.

    ``think`` says whether the model is asked to reason first, if it supports that (``None`` leaves
    it to the model). ``params`` say how to sample; every turn has its own seed, derived from
    theirs. ``scored`` are the tokens of the last reply with their log-probabilities, ``finish`` is
    how it ended, and ``reasoning`` is the text before its answer.

    Raises ``UserError`` for a model that was not made for conversations.
    """

    llm: LocalLLM
    engine: Engine
    params: SamplingParams
    system: str = ""
    think: bool | None = None
    turns: list[dict[str, str]] = field(default_factory=list)
    scored: list[tuple[int, float]] = field(default_factory=list)
    finish: str = ""
    reasoning: str = ""

    def __post_init__(self) -> None:
        if self.llm.format == "text":
            raise UserError(
                f"{self.llm.name} has no chat template: it was not made for conversations; "
                "glassmind ask lets it continue a text"
            )

    def reset(self) -> None:
        """Forget all turns."""
        self.turns.clear()

    def say(self, text: str) -> Generator[Piece, None, None]:
        """The model's answer to ``text``, as it forms. What has been said stays in the
        conversation, also when the iterator is closed early.

        Raises:
            UserError: the text alone is too long for the model.
        """
        self.turns.append({"role": "user", "content": text})
        try:
            prompt = self._prompt()
        except UserError:
            self.turns.pop()
            raise
        params = replace(self.params, seed=self.params.seed + len(self.turns))
        reader = ReplyReader(self.llm, prompt)
        self.scored, self.finish = [], "cancelled"
        ticket = self.engine.submit(Request(tuple(prompt), params))
        try:
            while self.finish == "cancelled":
                for event in self.engine.step():
                    self.scored += zip(event.token_ids, event.logprobs, strict=True)
                    yield from reader.see(event.token_ids)
                    if event.done is not None:
                        self.finish = event.done.finish
                        yield from reader.end()
        finally:
            self.engine.cancel(ticket)
            self.reasoning = reader.text["reasoning"]
            self.turns.append({"role": "assistant", "content": reader.text["content"]})

    def _prompt(self) -> list[int]:
        """The ids of the conversation; the oldest turns are dropped if it is too long."""
        system = [{"role": "system", "content": self.system}] if self.system else []
        while True:
            prompt = self.llm.chat_prompt([*system, *self.turns], think=self.think)
            if len(prompt) < self.llm.context:
                return prompt
            if len(self.turns) < 3:
                raise UserError(
                    f"this has {len(prompt)} tokens and the model reads at most "
                    f"{self.llm.context}, including its answer: shorten it"
                )
            del self.turns[:2]
