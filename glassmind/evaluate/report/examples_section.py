"""The report's examples: problems with the traces in ``examples.json``.

A trace of separate chains is shown as a list of chains, with identical ones grouped. A trace that
branches is drawn as a tree (``trace_tree``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.examples import Example, SingleChain, trace_of
from glassmind.evaluate.ladder.names import title
from glassmind.evaluate.report.trace_tree import branches, trace_tree
from glassmind.evaluate.step_marks import Mark, step_marks
from glassmind.grade import grade
from glassmind.grade.chain_checks import check_chain
from glassmind.records import Completion

MAX_GROUPS = 64
"""At most this many different chains of an example are shown, the most frequent first."""


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step, the verifier's score at its end, and what checking found to be wrong with it."""

    text: str
    score: float | None = None
    mark: Mark = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Identical chains; ``finding`` is what is wrong with their answer, given their own steps."""

    steps: tuple[ShownStep, ...]
    answer: str | None
    correct: bool
    score: float | None
    logprob: float
    copies: int
    finding: str = ""


@dataclass(frozen=True, slots=True)
class ShownChain:
    """The one chain of a method that writes no more."""

    method: str
    steps: tuple[ShownStep, ...]
    answer: str | None
    finding: str


@dataclass(frozen=True, slots=True)
class Vote:
    """A candidate answer, its votes and their share of all."""

    answer: str
    votes: int
    share: float
    correct: bool


@dataclass(frozen=True, slots=True)
class ShownExample:
    """An example as the template shows it; ``tree`` is HTML, empty if nothing branches."""

    example: Example
    answers: tuple[tuple[str, str | None], ...]
    single_chains: tuple[ShownChain, ...]
    groups: tuple[Group, ...]
    hidden: int
    tree: str
    votes: tuple[Vote, ...]
    chains: int
    correct_chains: int


def shown_examples(examples: Sequence[Example]) -> list[ShownExample]:
    """Solved ones first; groups of chains by frequency and then by score."""
    return [_shown(example) for example in sorted(examples, key=lambda e: not e.solved)]


def _shown(example: Example) -> ShownExample:
    trace = trace_of(example)
    completions = trace.completions
    tree = trace_tree(example) if branches(trace) else ""
    copies = Counter((c.steps, c.answer) for c in completions)
    # The verifier judges equal text equally, so any copy can stand for all.
    first = {(c.steps, c.answer): c for c in reversed(completions)}
    groups = sorted(
        (_group(example, first[key], number) for key, number in copies.items()),
        key=lambda g: (-g.copies, -(g.score or 0.0), -g.logprob),
    )
    total = sum(example.vote.values()) or 1
    votes = [
        Vote(answer, number, number / total, answers(answer, example))
        for answer, number in sorted(example.vote.items(), key=lambda item: -item[1])
    ]
    return ShownExample(
        example=example,
        answers=tuple((title(name), answer) for name, answer in example.answers.items()),
        single_chains=tuple(map(_shown_chain, example.single_chains)),
        groups=() if tree else tuple(groups[:MAX_GROUPS]),
        hidden=0 if tree else len(groups[MAX_GROUPS:]),
        tree=tree,
        votes=tuple(votes[:MAX_GROUPS]),
        chains=len(completions),
        correct_chains=sum(example.nodes[c.path[-1]].correct for c in completions),
    )


def _group(example: Example, completion: Completion, copies: int) -> Group:
    # The steps of free text are its lines, which are not nodes: only their text is known.
    nodes = [example.nodes[index] for index in completion.step_ends]
    unknown = len(completion.steps) - len(nodes)
    valid = [node.valid for node in nodes] + [None] * unknown
    scores = [node.step_score for node in nodes] + [None] * unknown
    return Group(
        steps=_shown_steps(completion.steps, valid, scores),
        answer=completion.answer,
        correct=example.nodes[completion.path[-1]].correct,
        score=completion.score,
        logprob=completion.logprob,
        copies=copies,
        finding=_finding(completion.steps, completion.answer),
    )


def _shown_chain(chain: SingleChain) -> ShownChain:
    valid = chain.valid or (None,) * len(chain.steps)
    steps = _shown_steps(chain.steps, valid, [None] * len(chain.steps))
    return ShownChain(chain.method, steps, chain.answer, _finding(chain.steps, chain.answer))


def _shown_steps(
    texts: Sequence[str], valid: Sequence[bool | None], scores: Sequence[float | None]
) -> tuple[ShownStep, ...]:
    marks = step_marks(zip(texts, valid, strict=True))
    return tuple(map(ShownStep, texts, scores, marks))


def _finding(steps: Sequence[str], answer: str | None) -> str:
    """What is wrong with an answer that is not where its own steps lead."""
    checks = check_chain(steps, answer)
    return f"not the last step's result, {checks.last_value}" if checks.answer_differs else ""


def answers(given: str | None, example: Example) -> bool:
    """Whether ``given`` is the example's answer."""
    return grade(example.answer, given)


def shade(score: float) -> int:
    """Which of the chip's five colours a probability gets, 0 (surely wrong) to 4."""
    return max(0, min(4, int(score * 5)))
