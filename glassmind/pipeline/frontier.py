"""Accuracy against cost for any set of methods: one sampling, read in many ways.

``samples`` chains of every problem are sampled once. What a method does with n of them is measured
on the first n in several seeded orders, and averaged, which is unbiased. Whether any of n is right
is not averaged but computed (Chen et al. 2021, arXiv 2107.03374). Methods that sample for
themselves (a search, a calculator) run once for every n.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
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
from glassmind.evaluate.ladder.grading import verdicts
from glassmind.generate import SamplingParams
from glassmind.grade import grade
from glassmind.llm import LLM, Source, as_llm
from glassmind.pipeline.evaluate import task_problems, task_recipe
from glassmind.progress import Progress, Silent, watched
from glassmind.reason import registry
from glassmind.reason.method import Budget, Method
from glassmind.reason.session import Keep, Session, not_kept
from glassmind.records import Problem, Trace, Verdict
from glassmind.runs.recipe import SamplingConfig
from glassmind.runs.samples import load_traces, save_traces
from glassmind.statistics import pass_at_k
from glassmind.tokenize import CharTokenizer, Style

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

    ``methods`` are names, by default those that run where none is named. With ``store``, samples
    are kept in that folder, and found there again by a model of the same name with the same task,
    seed and sampling.

    Raises:
        UserError: there is no such model, task or method, a method needs what the model lacks, or
            the store is damaged.
    """
    if orders < 1:
        raise UserError(f"the number of orders must be at least 1, not {orders}")
    asked = [registry.named(name) for name in dict.fromkeys(methods)]
    llm = as_llm(model)
    problems = task_problems(str(task), task_recipe(llm), limit)
    config = sampling or llm.default_sampling
    session = stored_session(llm, str(task), config, seed, store, progress)
    for method in asked:
        registry.require(method, session.has)
    chosen = asked or registry.usual(session.has)
    most = config.samples
    _draw(session, problems, chosen, most)
    shuffles = [session.shuffled(number) for number in range(orders)]
    points: list[FrontierPoint] = []
    with watched(progress or Silent(), "comparing", len(chosen), "methods") as watch:
        for number, method in enumerate(chosen, 1):
            points += _points(method, problems, session, shuffles, most)
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
        tuple(_at_equal_tokens(chosen, problems, shuffles[0], most)),
    )


def stored_session(
    llm: LLM,
    task: str,
    config: SamplingConfig,
    seed: int,
    store: Path | None,
    progress: Progress | None = None,
) -> Session:
    """A session for the problems of ``task`` whose chains are kept in the folder ``store``."""
    sampled = SamplingParams.of(config, seed=seed)
    return Session(
        [llm],
        SamplingParams.of(config, seed=seed, greedy=True),
        sampled,
        progress=progress,
        label=f"{task} ",
        keep=not_kept if store is None else _stored(llm, task, sampled, store),
    )


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
    problems: Sequence[Problem],
    session: Session,
    shuffles: Sequence[Session],
    most: int,
) -> list[FrontierPoint]:
    counts = sizes(most) if method.scales else [1]
    if method.ceiling:
        return _ceiling_points(method, problems, session.samples(problems, most), counts)
    sessions = shuffles if method.chooses else [session]
    return [
        frontier_point(
            method.name,
            count,
            [
                verdicts(problems, method.solve(problems, one, Budget(count)))
                for one in (sessions if count < most else sessions[:1])
            ],
        )
        for count in counts
    ]


def _ceiling_points(
    method: Method, problems: Sequence[Problem], traces: Sequence[Trace], counts: Sequence[int]
) -> list[FrontierPoint]:
    """Pass@k, without drawing k: from the number of right chains of each problem."""
    right = []
    for problem, trace in zip(problems, traces, strict=True):
        answers = {c.answer for c in trace.completions if c.answer is not None}
        correct = {answer for answer in answers if grade(problem.answer, answer)}
        right.append(sum(c.answer in correct for c in trace.completions))
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


def _at_equal_tokens(
    methods: Sequence[Method], problems: Sequence[Problem], session: Session, most: int
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
    traces = session.samples(problems, most)
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
                    solutions = method.solve(problems, session, budget)
                    seen[method.name] = verdicts(problems, solutions)
        found += [
            equal_tokens(one.name, other.name, budget.tokens, seen[one.name], seen[other.name])
            for one, other in pairs
        ]
    return found


def _stored(llm: LLM, task: str, sampled: SamplingParams, folder: Path) -> Keep:
    """Storage in a folder, in files named after what was sampled and how."""
    settings = {name: value for name, value in asdict(sampled).items() if name != "stop"}
    settings |= {"model": llm.name, "task": task, "seed": sampled.seed}
    written = json.dumps(settings, sort_keys=True, default=str)

    def keep(
        name: str, problems: Sequence[Problem], style: Style, make: Callable[[], list[Trace]]
    ) -> list[Trace]:
        asked = json.dumps([written, [problem.id for problem in problems]])
        digest = hashlib.sha256(asked.encode()).hexdigest()[:16]
        path = folder / f"{name}-{digest}.safetensors"
        if path.is_file():
            # Only files of format 1, of which there are none here, are read with a tokenizer.
            return load_traces(path, problems, llm.tokenizer or CharTokenizer(), style)
        traces = make()
        save_traces(path, traces)
        return traces

    return keep
