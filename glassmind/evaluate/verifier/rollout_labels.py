"""How wrong are step labels that come from rollouts?

Math-Shepherd (Wang et al. 2023, arXiv 2312.08935) labels a step without a human: the model finishes
the solution k times from there. The *hard* label is 1 if any of the k reaches the right answer, the
*soft* one their share. What that measures is whether the answer can still be reached, not whether
the step is right: a model that repairs a wrong step, or reaches the answer by luck, makes it look
right; one that fails after a right step makes it look wrong. On generated problems the truth of a
step is known (``grade.steps``), so the two can be compared.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from glassmind.generate import Request, SamplingParams, derive_seed
from glassmind.grade import check_steps, grade
from glassmind.llm.local import LocalLLM
from glassmind.records import Completion, Problem, Trace
from glassmind.tokenize import Style, parse_completion

SOFT = 0.5
"""A soft label of at least this counts as right where it is compared with the truth."""

_STYLE: Style = "chain"


@dataclass(frozen=True, slots=True)
class RolledStep:
    """A step, whether it is right (it and all steps before it), and how many of the rollouts from
    it reached the right answer."""

    valid: bool
    reached: int
    rollouts: int


@dataclass(frozen=True, slots=True)
class LabelErrors:
    """Labels from ``k`` rollouts against the truth of the steps: the expectation over all choices
    of k from the rollouts that were made.

    ``right_as_wrong`` is the share of right steps labelled wrong, ``wrong_as_right`` that of wrong
    steps labelled right, ``wrong_labels`` the share of all labels that are wrong. ``soft_error`` is
    the mean absolute distance between the soft label and the truth, and ``soft_wrong`` the share of
    soft labels on the other side of a half.
    """

    k: int
    steps: int
    right_as_wrong: float
    wrong_as_right: float
    wrong_labels: float
    soft_wrong: float
    soft_error: float


def roll_out(
    llm: LocalLLM,
    problems: Sequence[Problem],
    traces: Sequence[Trace],
    params: SamplingParams,
    progress: Callable[[int, int], None] | None = None,
) -> list[RolledStep]:
    """Continue every chain ``params.samples`` times from the end of each of its checkable steps.

    A chain that was sampled twice is used once. The model must be a run's, which writes chains in
    our own format.

    Raises:
        ValueError: the model has another format.
    """
    if llm.format != "question":
        raise ValueError("rollouts need a model that writes steps in our own format")
    truths: list[bool] = []
    requests: list[Request] = []
    asked: list[tuple[Problem, tuple[int, ...]]] = []
    for number, (problem, trace) in enumerate(zip(problems, traces, strict=True)):
        prompt = tuple(llm.prompt(problem.question, _STYLE))
        for prefix, valid in _prefixes(problem, trace):
            seed = derive_seed(params.seed, (number << 20) + len(requests))
            own = replace(params, seed=seed, stop=llm.stop_ids)
            requests.append(Request(prompt + prefix, own))
            truths.append(valid)
            asked.append((problem, prefix))
    generated = llm.engine(max_rows=256, max_cache_bytes=1 << 28).generate(requests, progress)
    rolled = []
    for (problem, prefix), valid, several in zip(asked, truths, generated, strict=True):
        reached = 0
        for one in several:
            answer = parse_completion(llm.tokenizer, (*prefix, *one.token_ids), _STYLE).answer
            reached += answer is not None and grade(problem.answer, answer)
        rolled.append(RolledStep(valid, reached, len(several)))
    return rolled


def _prefixes(problem: Problem, trace: Trace) -> Iterator[tuple[tuple[int, ...], bool]]:
    """The token ids of every distinct chain up to the end of each step, and the step's truth."""
    distinct: dict[tuple[int, ...], Completion] = {c.token_ids: c for c in trace.completions}
    seen = set()
    for chain in distinct.values():
        checks = check_steps(problem, chain.steps)
        ids: tuple[int, ...] = ()
        closed = iter(checks)
        for index in chain.path:
            ids += trace.nodes[index].token_ids
            if index in chain.step_ends:
                valid = next(closed).valid
                if valid is not None and ids not in seen:
                    seen.add(ids)
                    yield ids, valid


def label_errors(steps: Sequence[RolledStep], k: int) -> LabelErrors:
    """The errors of labels from ``k`` rollouts, of which at least so many were made.

    Raises:
        ValueError: a step has fewer rollouts, or there are no right or no wrong steps.
    """
    if any(step.rollouts < k for step in steps):
        raise ValueError(f"{k} rollouts are asked for, and some steps have fewer")
    right = [step for step in steps if step.valid]
    wrong = [step for step in steps if not step.valid]
    if not right or not wrong:
        raise ValueError("both right and wrong steps are needed")
    right_as_wrong = math.fsum(_none_reaches(step, k) for step in right)
    wrong_as_right = math.fsum(1 - _none_reaches(step, k) for step in wrong)
    soft_wrong = math.fsum(_soft_wrong(step, k) for step in steps)
    # The mean of a soft label over subsets is the share among all rollouts.
    shares = [(step.reached / step.rollouts, step.valid) for step in steps]
    return LabelErrors(
        k=k,
        steps=len(steps),
        right_as_wrong=right_as_wrong / len(right),
        wrong_as_right=wrong_as_right / len(wrong),
        wrong_labels=(right_as_wrong + wrong_as_right) / len(steps),
        soft_wrong=soft_wrong / len(steps),
        soft_error=math.fsum(1 - p if valid else p for p, valid in shares) / len(steps),
    )


def _none_reaches(step: RolledStep, k: int) -> float:
    """The probability that none of k rollouts, taken from those made, reached the answer."""
    missed = step.rollouts - step.reached
    return math.comb(missed, k) / math.comb(step.rollouts, k)


def _soft_wrong(step: RolledStep, k: int) -> float:
    """The probability that the share among k rollouts is on the wrong side of ``SOFT``."""
    total = math.comb(step.rollouts, k)
    missed = step.rollouts - step.reached
    wrong = 0
    for hits in range(k + 1):
        if (hits / k >= SOFT) != step.valid:
            wrong += math.comb(step.reached, hits) * math.comb(missed, k - hits)
    return wrong / total
