"""The protocol that methods of reasoning need of a model: it samples chains of thought.

Every ``LLM`` follows it, and so does the server's ``MethodModel``, which samples through the
server's engine.
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
"""Called with the number of chains that are done, and the number of all."""


class Model(Protocol):
    """A language model that answers problems.

    ``style`` says whether it is asked for steps before the answer by default. ``scorer`` is a
    verifier trained on its chains, ``tokenizer`` its tokenizer; either is ``None`` if it is not
    available. ``default_sampling`` is how its chains are sampled unless other values are given.
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
        *,
        first: int = 0,
    ) -> list[Trace]:
        """A trace of ``params.samples`` chains for every problem, in order.

        The model sets the tokens that end a reply (``params.stop``). Every problem gets its own
        seed, derived from ``params.seed`` and its place in the list; if these problems are part of
        a longer list, ``first`` is the place of the first of them. A question that does not fit
        the model's context gets chains without tokens that end with ``"length"``: they count as
        wrong, and an evaluation continues. ``progress(done, total)`` counts chains.

        All problems are one batch; its wall-clock time is divided among the nodes in proportion to
        the tokens written.
        """
        ...
