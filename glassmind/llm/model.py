"""The protocol that methods of reasoning need of a model: it samples chains of thought.

Every ``LLM`` follows it, and so does the server's ``MethodModel``, which samples through the
server's engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from glassmind.generate import SamplingParams
from glassmind.model import TokenScorer
from glassmind.records import Node, Problem, Trace
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


@dataclass(frozen=True, slots=True)
class OpenPath:
    """The beginning of a chain of thought, to be continued ``samples`` times.

    ``token_ids`` are the closed steps that stand behind the prompt (none: the chain begins here).
    ``seed`` fixes the continuations, whatever else is in the batch. ``room`` bounds the tokens of
    each, beside the bounds that hold for every chain.
    """

    problem: Problem
    token_ids: tuple[int, ...]
    seed: int
    samples: int = 1
    room: int | None = None


@runtime_checkable
class StepModel(Protocol):
    """A model whose chains can be continued after any step; what a search needs.

    ``continues_steps`` says whether it can, because not all models of a class do: the end of a step
    must be a token, as it is in our own format.
    """

    @property
    def continues_steps(self) -> bool: ...

    def prompt_tokens(self, question: str) -> int:
        """The number of tokens of the prompt that asks for a chain of thought."""
        ...

    def continue_paths(
        self, paths: Sequence[OpenPath], params: SamplingParams, *, to_end: bool = False
    ) -> list[list[list[Node]]]:
        """For every path, in order, its continuations, each as nodes that follow one another.

        A continuation is one step, up to and including the token that closes it; or the answer,
        where the model ends the chain; or with ``to_end`` everything up to the end of the chain.
        ``params.max_new_tokens`` bounds the whole chain, ``path.token_ids`` included: a path that
        has no room left gets continuations without tokens that end with ``"length"``. Only a chain
        that ended has a ``finish``; a closed step has ``None``, since it can be continued. The
        path's own ``samples`` and ``seed`` replace those of ``params``.

        All paths are one batch, and its wall-clock time is divided by the tokens written.
        """
        ...


@runtime_checkable
class PromptedModel(Protocol):
    """A model that may be given other words than the question.

    ``follows_instructions`` says whether it was made for that: our own models were trained on bare
    questions, and would take an instruction for a part of the story.
    """

    @property
    def follows_instructions(self) -> bool: ...
