"""A model that says what it is told: methods without weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from glassmind.generate import SamplingParams
from glassmind.model import TokenScorer
from glassmind.reason.session import Session
from glassmind.records import OUTCOME, Cost, Node, Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import CharTokenizer, Style, Tokenizer

GREEDY = SamplingParams(max_new_tokens=8, temperature=0.0)
SAMPLED = SamplingParams(max_new_tokens=8, samples=1)


def chain(
    answer: str | None, tokens: int = 1, logprob: float = -1.0, score: float | None = None
) -> Node:
    """A chain of one node."""
    logprobs = (logprob / tokens,) * tokens
    scores = {} if score is None else {OUTCOME: score}
    cost = Cost(completion_tokens=tokens, seconds=tokens / 100)
    return Node(
        None, "answer", "", (1,) * tokens, logprobs, finish="stop", answer=answer, scores=scores,
        cost=cost,
    )  # fmt: skip


@dataclass
class FixedModel:
    """Writes the chains that stand under a problem's question, from the first on.

    ``asked`` remembers the questions, samples and style of every call.
    """

    chains: Mapping[str, Sequence[Node]]
    style: Style = "chain"
    scored: bool = False
    name: str = "fixed"
    tokenizer: Tokenizer = field(default_factory=CharTokenizer)
    default_sampling: SamplingConfig = field(default_factory=SamplingConfig)
    asked: list[tuple[tuple[str, ...], int, Style]] = field(default_factory=list)

    @property
    def scorer(self) -> TokenScorer | None:
        # ``verify`` below never looks at it.
        return cast(TokenScorer, object()) if self.scored else None

    def sample(
        self,
        problems: Sequence[Problem],
        params: SamplingParams,
        style: Style,
        progress: Callable[[int, int], None] | None = None,
        *,
        first: int = 0,
    ) -> list[Trace]:
        self.asked.append((tuple(p.question for p in problems), params.samples, style))
        return [
            Trace.of_chains(
                problem.id,
                [[node] for node in self.chains[problem.question][: params.samples]],
                Cost(prompt_tokens=len(problem.question)),
            )
            for problem in problems
        ]


def verify(
    scorer: TokenScorer,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trace]:
    """Leaves the scores that the chains came with; reading a token costs one judged token."""
    return [
        trace.with_scores(
            {},
            {
                index: Cost(judged_tokens=len(node.token_ids), seconds=1.0)
                for index, node in enumerate(trace.nodes)
            },
        )
        for trace in traces
    ]


def session(*models: FixedModel, answers: bool = True) -> Session:
    """A session of such models that draws chains as they are asked for."""
    return Session(list(models), GREEDY, SAMPLED, answers=answers, verify=verify)
