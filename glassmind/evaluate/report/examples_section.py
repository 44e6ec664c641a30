"""The report's examples: problems with the traces in ``examples.json``.

A trace of separate chains is shown as a list of chains, with identical ones grouped. A trace that
branches is drawn as a tree (``trace_tree``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.examples import Example, trace_of
from glassmind.evaluate.ladder.names import title
from glassmind.evaluate.report.trace_tree import branches, trace_tree
from glassmind.grade import grade
from glassmind.records import Completion

MAX_GROUPS = 64
"""At most this many different chains of an example are shown, the most frequent first."""


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step, the verifier's score at its end, and whether checking found it wrong."""

    text: str
    score: float | None = None
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Identical chains."""

    steps: tuple[ShownStep, ...]
    answer: str | None
    correct: bool
    score: float | None
    logprob: float
    copies: int


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
        groups=() if tree else tuple(groups[:MAX_GROUPS]),
        hidden=0 if tree else len(groups[MAX_GROUPS:]),
        tree=tree,
        votes=tuple(votes[:MAX_GROUPS]),
        chains=len(completions),
        correct_chains=sum(example.nodes[c.path[-1]].correct for c in completions),
    )


def _group(example: Example, completion: Completion, copies: int) -> Group:
    steps = [ShownStep(text) for text in completion.steps]
    # The steps of free text are its lines, which are not nodes and have no marks.
    for number, index in enumerate(completion.step_ends):
        node = example.nodes[index]
        steps[number] = ShownStep(steps[number].text, node.step_score, node.valid is False)
    return Group(
        steps=tuple(steps),
        answer=completion.answer,
        correct=example.nodes[completion.path[-1]].correct,
        score=completion.score,
        logprob=completion.logprob,
        copies=copies,
    )


def answers(given: str | None, example: Example) -> bool:
    """Whether ``given`` is the example's answer."""
    return grade(example.answer, given)


def shade(score: float) -> int:
    """Which of the chip's five colours a probability gets, 0 (surely wrong) to 4."""
    return max(0, min(4, int(score * 5)))
