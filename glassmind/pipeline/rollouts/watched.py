"""The same held-out problems, answered greedily at every logged step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.reason.rewards import answer
from glassmind.records import Completion, Problem
from glassmind.runs.recipe import SamplingConfig
from glassmind.runs.watched_problems import (
    LONGEST,
    SHOWN,
    WatchedReply,
    WatchedStep,
    cut_watched,
    write_watched,
)


class WatchedProblems:
    """Answers ``problems`` and writes the replies to ``watched.jsonl`` in ``folder``.

    Greedy replies depend on the weights alone, and no random number is drawn for them, so that
    training is the same whether problems are watched or not.
    """

    def __init__(
        self, llm: LocalLLM, problems: Sequence[Problem], sampling: SamplingConfig, folder: Path
    ) -> None:
        self.llm, self.problems, self.folder = llm, problems, folder
        self.params = SamplingParams.of(sampling, seed=0, greedy=True)
        self._cut = False  # whether the file has nothing of steps to come

    def observe(self, step: int) -> dict[str, float]:
        """The share that is solved with the weights after ``step``, as the figure ``watched``."""
        if not self.problems:
            return {}
        training = self.llm.model.training
        self.llm.model.eval()
        self.llm.refresh()
        traces = self.llm.sample(self.problems, self.params, self.llm.style)
        self.llm.model.train(training)
        firsts = [trace.completions[0] for trace in traces]
        right = [
            answer.score(problem, completion) == 1.0
            for problem, completion in zip(self.problems, firsts, strict=True)
        ]
        if not self._cut:
            cut_watched(self.folder, step - 1)
        self._cut = True
        replies = tuple(map(_reply, self.problems[:SHOWN], firsts, right))
        write_watched(self.folder, WatchedStep(step, len(right), sum(right), replies))
        return {"watched": sum(right) / len(right)}


def _reply(problem: Problem, completion: Completion, right: bool) -> WatchedReply:
    text = "\n".join(completion.steps)[:LONGEST]
    gave = None if completion.answer is None else completion.answer[:LONGEST]
    return WatchedReply(problem.id, problem.question, problem.answer, text, gave, right)
