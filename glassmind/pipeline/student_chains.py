"""Batches of chains that the model in training writes itself, mixed with given ones.

On-policy distillation learns on the student's own chains (Agarwal et al. 2023, arXiv 2306.13649).
There a share λ of the steps is on-policy, and the others are on a fixed set; which of the two a
step is follows from the seed and its number alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glassmind.data.batches.loader import RowLoader
from glassmind.data.batches.packing import PackedRows, pack
from glassmind.data.problems.curriculum import Curriculum
from glassmind.errors import UserError
from glassmind.generate import SamplingParams, derive_seed
from glassmind.llm import LocalLLM
from glassmind.pipeline.sampled_chains import chain_document
from glassmind.runs.recipe import Recipe
from glassmind.train import State


@dataclass
class StudentChains:
    """A ``train.BatchSource``: with probability ``share``, chains of ``questions`` new problems,
    sampled with the current weights; else the next batch of ``given``.

    ``given`` may be ``None`` if ``share`` is 1.
    """

    llm: LocalLLM
    curriculum: Curriculum
    recipe: Recipe
    questions: int
    share: float
    given: RowLoader | None
    steps: int = 0

    def next(self) -> PackedRows:
        """The rows of the next step; as many as the chains need."""
        number = self.steps
        self.steps += 1
        if self.given is not None:
            drawn = np.random.default_rng([self.recipe.seed, number]).random()
            if drawn >= self.share:
                return self.given.next()
        return self._sample(number)

    def state(self) -> State:
        """See ``train.BatchSource``."""
        state: dict[str, Any] = {"steps": self.steps, "problems": self.curriculum.state()}
        return state if self.given is None else state | {"given": self.given.state()}

    def restore(self, state: State) -> None:
        """See ``train.BatchSource``."""
        self.steps = int(state["steps"])
        self.curriculum.restore(state["problems"])
        if self.given is not None:
            self.given.restore(state["given"])

    def _sample(self, number: int) -> PackedRows:
        llm, sampling = self.llm, self.recipe.sampling
        problems = self.curriculum.draw(self.questions)
        seed = derive_seed(self.recipe.seed, number)
        params = replace(SamplingParams.of(sampling, seed=seed), samples=1)
        llm.model.eval()
        llm.refresh()
        traces = llm.sample(problems, params, llm.style)
        llm.model.train()
        documents = [
            chain_document(llm, problem, trace.completions[0])
            for problem, trace in zip(problems, traces, strict=True)
            if trace.completions[0].token_ids
        ]
        if not documents:
            raise UserError(
                f"step {number + 1}: the student wrote nothing for any of {self.questions} "
                "problems, so there is nothing to learn from"
            )
        return pack(documents, self.recipe.train.row_tokens, pad_id=0)
