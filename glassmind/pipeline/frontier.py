"""Accuracy against cost for any set of methods: one sampling, read in many ways.

``samples`` chains of every problem are sampled once. What a method does with n of them is measured
on the first n in several seeded orders, and averaged, which is unbiased. Whether any of n is right
is not averaged but computed (Chen et al. 2021, arXiv 2107.03374). Methods that sample for
themselves (a search, a calculator) run once for every n.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.frontier.results import (
    SCHEMA,
    EqualTokens,
    Frontier,
    FrontierPoint,
    accuracy_interval,
    equal_tokens,
    frontier_point,
)
from glassmind.evaluate.ladder.grading import Right, same_answer, verdicts
from glassmind.generate import SamplingParams
from glassmind.grade import grade
from glassmind.llm import LLM, Source, as_llm
from glassmind.pipeline.evaluate import task_recipe, with_task_prompt
from glassmind.pipeline.fingerprint import provenance
from glassmind.pipeline.sample_store import SampleStore
from glassmind.pipeline.tasks.registry import require_answer_task
from glassmind.pipeline.tasks.task import Wanted
from glassmind.progress import Progress, Silent, watched
from glassmind.reason import registry
from glassmind.reason.method import Budget, Method
from glassmind.reason.session import Session, not_kept
from glassmind.records import Problem, Trace, Verdict
from glassmind.runs.recipe import SamplingConfig
from glassmind.statistics import pass_at_k

ORDERS = 4
"""Orders of the chains that are averaged."""


def measure_frontier(
    task: str | Path,
    model: Source = None,
    *,
    methods: Sequence[str] = (),
    limit: int = 0,
    sampling: SamplingConfig | None = None,
    orders: int = ORDERS,
    seed: int = 0,
    store: Path | None = None,
    progress: Progress | None = None,
) -> Frontier:
    """The frontier of ``model`` on ``task``, with up to ``sampling.samples`` chains.

    ``methods`` are names, by default those that run where none is named. With ``store``, chains are
    kept in that folder and found there again (``sample_store``), as those of an evaluation are.

    Raises:
        UserError: there is no such model, task or method, a method needs what the model lacks, or
            the store is damaged.
    """
    if orders < 1:
        raise UserError(f"the number of orders must be at least 1, not {orders}")
    asked = [registry.named(name) for name in dict.fromkeys(methods)]
    questions = asked_questions(str(task), as_llm(model), limit)
    llm, problems = questions.llm, questions.problems
    config = sampling or llm.default_sampling
    session = questions.session(config, seed, store, progress)
    for method in asked:
        registry.require(method, session.has)
    chosen = asked or registry.usual(session.has)
    most = config.samples
    _draw(session, problems, chosen, most)
    shuffles = [session.shuffled(number) for number in range(orders)]
    points: list[FrontierPoint] = []
    with watched(progress or Silent(), "comparing", len(chosen), "methods") as watch:
        for number, method in enumerate(chosen, 1):
            points += _points(method, questions, session, shuffles, most)
            watch(number, len(chosen))
    return Frontier(
        SCHEMA,
        llm.name,
        str(task),
        len(problems),
        most,
        orders,
        seed,
        tuple(points),
        tuple(_at_equal_tokens(chosen, questions, shuffles[0], most)),
    )


@dataclass(frozen=True)
class Questions:
    """The problems of ``task``, the model with the task's prompt, and the task's own grader."""

    task: str
    llm: LLM
    problems: list[Problem]
    right: Right | None = None

    def session(
        self,
        config: SamplingConfig,
        seed: int,
        store: Path | None,
        progress: Progress | None = None,
    ) -> Session:
        """A session for these problems whose chains are kept below ``store``."""
        keep = not_kept
        if store is not None:
            made_of = provenance(self.llm, self.task, self.problems, config, seed)
            keep = SampleStore(store, made_of, progress or Silent()).keep
        return Session(
            [self.llm],
            SamplingParams.of(config, seed=seed, greedy=True),
            SamplingParams.of(config, seed=seed),
            answers=self.right is None,  # a ceiling compares answers by itself
            keep=keep,
            progress=progress,
            label=f"{self.task} ",
        )

    def verdicts(self, method: Method, session: Session, budget: Budget) -> list[Verdict]:
        """What ``method`` answers within ``budget``, graded."""
        solutions = method.solve(self.problems, session, budget)
        return verdicts(self.problems, solutions, self.right or same_answer)


def asked_questions(task: str, llm: LLM, limit: int) -> Questions:
    """The first ``limit`` problems of a task (0: all), and how they are asked and graded.

    Raises:
        UserError: there is no such task, or it has no problems that are answered.
    """
    chosen, argument = require_answer_task(task)
    loaded = chosen.load(Wanted(task_recipe(llm), argument, limit))
    problems = list(loaded.problems[: limit or None])
    return Questions(task, with_task_prompt(llm, chosen.prompt), problems, loaded.right)


def sizes(most: int) -> list[int]:
    """1, 2, 4, ... and ``most``."""
    return [n for n in (2**k for k in range(11)) if n < most] + [most]


def _draw(
    session: Session, problems: Sequence[Problem], methods: Sequence[Method], samples: int
) -> None:
    """Sample and judge what the methods share, before its order is changed."""
    if any(method.chooses for method in methods):
        session.samples(problems, samples)
    if any(method.chooses and "verifier" in method.needs for method in methods):
        session.judged(problems, samples)


def _points(
    method: Method,
    questions: Questions,
    session: Session,
    shuffles: Sequence[Session],
    most: int,
) -> list[FrontierPoint]:
    counts = sizes(most) if method.scales else [1]
    if method.ceiling:
        problems = questions.problems
        return _ceiling_points(method, problems, session.samples(problems, most), counts)
    sessions = shuffles if method.chooses else [session]
    return [
        frontier_point(
            method.name,
            count,
            [
                questions.verdicts(method, one, Budget(count))
                for one in (sessions if count < most else sessions[:1])
            ],
        )
        for count in counts
    ]


def _ceiling_points(
    method: Method, problems: Sequence[Problem], traces: Sequence[Trace], counts: Sequence[int]
) -> list[FrontierPoint]:
    """Pass@k, without drawing k: from the number of right chains of each problem."""
    right = [right_chains(*pair) for pair in zip(problems, traces, strict=True)]
    found = []
    for count in counts:
        shares = [
            pass_at_k(len(trace.completions), n, count)
            for trace, n in zip(traces, right, strict=True)
        ]
        low, high = accuracy_interval(shares)
        chains = [len(trace.completions) for trace in traces]
        spent = [trace.cost for trace in traces]
        part = [count / n for n in chains]  # the mean cost of a chain, ``count`` times
        tokens = sum(c.completion_tokens * p for c, p in zip(spent, part, strict=True))
        seconds = sum(c.seconds * p for c, p in zip(spent, part, strict=True))
        n = len(traces)
        found.append(
            FrontierPoint(
                method.name, count, sum(shares) / n, low, high, tokens / n, 0.0, seconds / n
            )
        )
    return found


def right_chains(problem: Problem, trace: Trace) -> int:
    """How many chains of ``trace`` have the right answer; each answer is graded once."""
    answers = {c.answer for c in trace.completions if c.answer is not None}
    correct = {answer for answer in answers if grade(problem.answer, answer)}
    return sum(c.answer in correct for c in trace.completions)


def _at_equal_tokens(
    methods: Sequence[Method], questions: Questions, session: Session, most: int
) -> list[EqualTokens]:
    """Every method that chooses among the chains, against those that its record names, with limits
    of 1, 2, 4, ... times the tokens of a chain."""
    known = {method.name: method for method in methods if method.chooses and not method.ceiling}
    pairs = [
        (method, known[name])
        for method in known.values()
        for name in method.compared_with
        if name in known
    ]
    if not pairs:
        return []
    traces = session.samples(questions.problems, most)
    chains = sum(len(trace.completions) for trace in traces)
    each = sum(trace.cost.completion_tokens for trace in traces) / chains
    found = []
    for count in sizes(most):
        budget = Budget(most, tokens=max(1, round(count * each)))
        assert budget.tokens is not None
        seen: dict[str, list[Verdict]] = {}
        for pair in pairs:
            for method in pair:
                if method.name not in seen:
                    seen[method.name] = questions.verdicts(method, session, budget)
        found += [
            equal_tokens(one.name, other.name, budget.tokens, seen[one.name], seen[other.name])
            for one, other in pairs
        ]
    return found
