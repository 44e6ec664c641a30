"""How a question is put to a model that was not trained on bare questions.

Our own models read a question between special tokens, and nothing else. Every other model can be
given more words around it:

    a prompt file       "Solve this step by step.\\n\\n{question}"
    worked examples     few-shot prompting (Brown et al. 2020, arXiv 2005.14165)
    thinking            on or off, if the chat template supports it

A chat model gets them as messages; a model that only continues text gets them as one text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.records import Problem
from glassmind.tokenize import Style

PLACE = "{question}"
LONGEST_FILE = 100_000  # bytes of a prompt file

ASKED = f"Question: {PLACE}\nAnswer:"
"""The prompt with which a model without a chat template is fine-tuned."""

AT_ONCE = "Reply with the final answer only, without any explanation."
"""The instruction for an answer without steps."""

Message = dict[str, str]


@dataclass(frozen=True)
class PromptFormat:
    """The text around a question.

    ``text`` is the prompt, with ``{question}`` once. ``examples`` are solved problems that come
    before the question. ``think`` tells a chat template whether the model should reason before it
    answers; ``None`` leaves that to the template.

    Raises ``UserError`` if ``text`` does not hold ``{question}`` exactly once.
    """

    text: str = PLACE
    examples: tuple[Problem, ...] = ()
    think: bool | None = None

    def __post_init__(self) -> None:
        if self.text.count(PLACE) != 1:
            raise UserError(f"the text of a prompt must hold {PLACE} exactly once")

    @property
    def bare(self) -> bool:
        """Whether nothing is put around a question."""
        return self == PromptFormat()

    def messages(self, question: str, style: Style) -> list[Message]:
        """The question as a conversation, up to the model's answer."""
        turns: list[Message] = []
        for problem in self.examples:
            turns.append({"role": "user", "content": self._asked(problem.question, style)})
            turns.append({"role": "assistant", "content": solution_text(problem, style)})
        return [*turns, {"role": "user", "content": self._asked(question, style)}]

    def _asked(self, question: str, style: Style) -> str:
        text = self.text.replace(PLACE, question)
        return f"{text}\n\n{AT_ONCE}" if style == "direct" else text

    def continued(self, question: str, style: Style) -> str:
        """The question as a text to continue.

        With examples or in the direct style, the text says ``Question:`` and ``Answer:``; otherwise
        the model continues the bare question.
        """
        text = self.text.replace(PLACE, question)
        if not self.examples and style == "chain":
            return text
        shown = [
            f"Question: {self.text.replace(PLACE, problem.question)}\n"
            f"Answer: {solution_text(problem, style)}\n\n"
            for problem in self.examples
        ]
        return f"{''.join(shown)}Question: {text}\nAnswer:"

    def stop_texts(self, style: Style) -> tuple[str, ...]:
        """Texts that end a continuation: after examples, a model may write the next question."""
        return ("\nQuestion:",) if self.examples or style == "direct" else ()


def solution_text(problem: Problem, style: Style) -> str:
    """A worked solution as text: one step per line, and the answer in the last line."""
    if style == "direct":
        return problem.answer
    return "\n".join([*(step.text for step in problem.steps), closing_line(problem)])


def closing_line(problem: Problem) -> str:
    """The last line of a solution, which states the answer."""
    return f"The answer is {problem.answer}."


def read_prompt_file(path: Path) -> str:
    """The text of a prompt file.

    Raises:
        UserError: it cannot be read, is too long, or does not hold ``{question}`` exactly once.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LONGEST_FILE + 1)
        text = data.decode("utf-8")
    except OSError as error:
        raise UserError(f"cannot read the prompt file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"the prompt file {path} is not UTF-8 text") from None
    if len(data) > LONGEST_FILE:
        raise UserError(f"the prompt file {path} is longer than {LONGEST_FILE} bytes")
    if text.count(PLACE) != 1:
        raise UserError(f"the prompt file {path} must hold {PLACE} exactly once")
    return text.rstrip("\n")


def chosen_examples(problems: Sequence[Problem], count: int) -> tuple[Problem, ...]:
    """The first ``count`` problems that have worked steps.

    Raises:
        UserError: there are fewer.
    """
    worked = [problem for problem in problems if problem.steps][:count]
    if len(worked) < count:
        raise UserError(f"there are only {len(worked)} problems with worked steps, not {count}")
    return tuple(worked)
