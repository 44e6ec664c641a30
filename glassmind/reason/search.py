"""What every search needs: trees for all problems that grow and are judged in step.

A search works on all problems at once. Each round it decides, for every problem, which nodes are
continued; one call to the model continues them all, so that the engine always has a full batch, and
one call to the verifier judges what it wrote.

A small model often sets a step up well and computes it wrong. The result of an equation needs no
verifier: a step whose equation is false is corrected before it enters the tree
(``grade.programs``), so that the search goes on from the right number and the verifier's tokens are
spent on plans. The corrected span is marked as a tool's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from glassmind.generate import derive_seed
from glassmind.grade.programs import recomputed
from glassmind.llm.model import OpenPath
from glassmind.reason.method import Budget, Solution
from glassmind.reason.session import Session
from glassmind.reason.token_budget import spent
from glassmind.reason.tree import Tree
from glassmind.reason.verify_tree import tokens_to_read
from glassmind.reason.vote import verifier_weights
from glassmind.records import Cost, Node, Problem, Trace
from glassmind.tokenize import Tokenizer
from glassmind.tokenize.special import STEP

STEP_TOKENS = 24
"""Tokens that a step may take; with less left for each of several samples, fewer are drawn."""

Growth = tuple[int, int | None, int]
"""A tree by number, the node to be continued (``None``: the root), and the number of samples."""


class Search:
    """One tree per problem; ``traces`` are chains that it begins with, up to a false equation.

    ``budget.tokens`` is never exceeded: near the end fewer samples are drawn, then shorter ones,
    and fewer nodes are judged. ``first`` is the number of the first problem among those of a
    larger list; a problem's random numbers depend on its number.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        session: Session,
        budget: Budget,
        traces: Sequence[Trace] | None = None,
        *,
        first: int = 0,
    ) -> None:
        self._session, self._model = session, session.step_model()
        self._tokens, self._first = budget.tokens, first
        self._calls: dict[tuple[int, int | None], int] = {}
        self._tokenizer = session.model("chain").tokenizer
        prompts = [Cost(prompt_tokens=self._model.prompt_tokens(p.question)) for p in problems]
        self.trees = [Tree(p, cost) for p, cost in zip(problems, prompts, strict=True)]
        for tree, trace in zip(self.trees, traces or (), strict=traces is not None):
            for chain in trace.completions:
                tree.add(None, corrected(chain.nodes, self._tokenizer))

    def grow(self, wanted: Sequence[Growth], *, to_end: bool = False) -> list[list[int]]:
        """Continue nodes by one step, or ``to_end``; for each the ends of its samples.

        Equal samples have the same end. The samples depend on the seed, the problem's number, the
        node and how often it was continued.
        """
        paths = []
        waiting = Counter(number for number, _, _ in wanted)
        left = {number: self._left(number) for number in waiting}
        for number, node, samples in wanted:
            tree, calls = self.trees[number], self._calls.get((number, node), 0)
            self._calls[number, node] = calls + 1
            place = 0 if node is None else node + 1
            seed = derive_seed(self._session.sampled.seed, self._first + number, place, calls)
            room, tokens = None, left[number]
            if tokens is not None:
                share = tokens // waiting[number]
                samples = min(samples, max(1, share // STEP_TOKENS))
                room = share // samples
                left[number] = tokens - samples * room
            waiting[number] -= 1
            paths.append(OpenPath(tree.problem, tree.token_ids(node), seed, samples, room))
        continued = self._model.continue_paths(paths, self._session.sampled, to_end=to_end)
        ends = []
        for (number, node, _), samples_of in zip(wanted, continued, strict=True):
            tree = self.trees[number]
            ends.append([tree.add(node, corrected(s, self._tokenizer)) for s in samples_of])
        return ends

    def complete(self, wanted: Sequence[tuple[int, int | None]]) -> list[int | None]:
        """Continue each node by one sample until the chain ends or has no room; its end.

        A correction interrupts a continuation, which then goes on from there.
        """
        ends = [node for _, node in wanted]
        while going := [
            at for at, (number, _) in enumerate(wanted) if self.trees[number].is_open(ends[at])
        ]:
            grown = self.grow([(wanted[at][0], ends[at], 1) for at in going], to_end=True)
            for at, (end,) in zip(going, grown, strict=True):
                ends[at] = end
        return ends

    def judge(self, wanted: Mapping[int, Sequence[int]]) -> None:
        """Have the verifier judge nodes of trees; those with a judgement are not read again."""
        asked = {
            number: [
                node for node in dict.fromkeys(nodes) if self.trees[number].value(node) is None
            ]
            for number, nodes in wanted.items()
        }
        for number, nodes in asked.items():
            left = self._left(number)
            while left is not None and tokens_to_read(self.trees[number].trace(), nodes) > left:
                nodes.pop()
        numbers = [number for number, nodes in asked.items() if nodes]
        judged = self._session.judge_nodes(
            [self.trees[number].problem for number in numbers],
            [self.trees[number].trace() for number in numbers],
            [asked[number] for number in numbers],
        )
        for number, trace in zip(numbers, judged, strict=True):
            self.trees[number].nodes = list(trace.nodes)

    def _left(self, number: int) -> int | None:
        """The tokens that one problem may still spend; ``None`` without a limit."""
        if self._tokens is None:
            return None
        return self._tokens - sum(spent(node.cost) for node in self.trees[number].nodes)

    def traces(self) -> list[Trace]:
        """All that was written, one trace per problem."""
        return [tree.trace() for tree in self.trees]


def corrected(continuation: Sequence[Node], tokenizer: Tokenizer | None) -> list[Node]:
    """The nodes with a false equation of the first step computed anew.

    What follows a false step was written from a wrong number; it is cut off, and the chain can be
    continued from the corrected step.
    """
    if tokenizer is None:
        return list(continuation)
    kept: list[Node] = []
    for node in continuation:
        if node.kind != "step" or not node.closed or node.author != "model":
            kept.append(node)
            continue
        (step,) = recomputed([node.text])
        if not step.changed:
            kept.append(node)
            continue
        rest = continuation[len(kept) + 1 :]
        cost = sum((one.cost for one in rest), node.cost)
        ids = (*tokenizer.encode(step.text), tokenizer.special[STEP])
        return [*kept, replace(node, text=step.text, token_ids=ids, logprobs=(),
                               sampled_logprobs=(), author="tool", cost=cost, finish=None,
                               answer=None)]  # fmt: skip
    return kept


def vote_of_judged(trace: Trace) -> Solution:
    """The vote of the chains that ended, each with the verifier's odds; others have no weight."""
    weights = [
        0.0 if chain.score is None else verifier_weights([chain])[0] for chain in trace.completions
    ]
    return Solution.by_vote(trace, weights)


class Grow(Protocol):
    """A search: one trace per problem, the first of which has the number ``first``."""

    def __call__(
        self, problems: Sequence[Problem], session: Session, budget: Budget, /, *, first: int
    ) -> list[Trace]: ...


def searched(
    name: str, grow: Grow, problems: Sequence[Problem], session: Session, budget: Budget
) -> list[Trace]:
    """The traces of a search, made once for each budget and kept with the session's chains."""

    def make(start: int = 0, stop: int | None = None) -> list[Trace]:
        return grow(problems[start:stop], session, budget, first=start)

    limited = "" if budget.tokens is None else f"-{budget.tokens}-tokens"
    return session.searched(f"{name}-{budget.samples}{limited}", problems, make)
