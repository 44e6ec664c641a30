"""What a method asks of a model: chains of thought for problems, and nothing else.

``Model`` is the whole of it, so that a run of ours, published weights or a model behind an API can
be reasoned with alike. Every ``glassmind.llm.LLM`` is one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from glassmind.generate import SamplingParams
from glassmind.model import TokenScorer
from glassmind.records import Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import Style, Tokenizer

Progress = Callable[[int, int], None]
"""Called with how many chains are done, and of how many."""


class Model(Protocol):
    """A language model that answers problems.

    ``style`` is how it is asked by default: for the answer at once, or for steps before it.
    ``scorer`` is a verifier trained on its chains, ``None`` where there is none;
    ``default_sampling`` is how its chains are sampled unless somebody says otherwise.
    """

    @property
    def name(self) -> str: ...

    @property
    def style(self) -> Style: ...

    @property
    def tokenizer(self) -> Tokenizer | None: ...

    @property
    def scorer(self) -> TokenScorer | None: ...

    @property
    def default_sampling(self) -> SamplingConfig: ...

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Progress | None = None,
    ) -> list[Trace]:
        """A trace of ``params.samples`` chains for every problem, in order, with their costs."""
        ...
