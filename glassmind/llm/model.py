"""What a method of reasoning asks of a model: chains of thought for problems, and nothing else.

Every ``LLM`` is such a model, and so is whatever samples for one, as the server does.
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
    ``scorer`` is a verifier trained on its chains, ``tokenizer`` what its ids stand for; either is
    ``None`` where there is none at hand. ``default_sampling`` is how its chains are sampled unless
    somebody says otherwise.
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
        """A trace of ``params.samples`` chains for every problem, in order.

        What ends a reply (``params.stop``) is filled in by the model. Every problem gets a seed of
        its own, derived from ``params.seed`` and its place in the list. A question that does not
        fit the model's context gets chains without a token that end with ``"length"``: they count
        as wrong, and do not end an evaluation. ``progress(done, total)`` counts chains.

        All problems are one batch; its wall-clock time is shared over the nodes in proportion to
        the tokens written.
        """
        ...
