"""How far exact facts get without a neural verifier: a logistic regression as the yardstick.

The facts of a chain's end and of any of its steps (``grade.step_facts``), and the log-probability
that the model gave it, are some forty numbers. A logistic regression over them costs nothing beside
sampling, so a verifier that reads every token has to beat it to be worth its price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glassmind.evaluate.verifier.chains import ChainTable, Floats
from glassmind.grade.step_facts import FACTS, step_facts
from glassmind.records import Completion, Problem, Trace

RIDGE = 1.0
_ROUNDS = 30


def evidence(problem: Problem, completion: Completion) -> Floats:
    """The numbers for one chain: facts at its end, facts at any step, its log-probability, that of
    its least likely token, and its number of steps."""
    steps, end = step_facts(problem.question, completion.steps, completion.answer)
    any_step = 0
    for bits in steps:
        any_step |= bits
    facts = [bits >> place & 1 for bits in (end, any_step) for place in range(len(FACTS))]
    least = min(completion.logprobs, default=0.0)
    return np.array([*facts, completion.logprob, least, len(steps)], float)


def scored_by_facts(
    problems: Sequence[Problem], traces: Sequence[Trace], tables: Sequence[ChainTable]
) -> list[ChainTable]:
    """The tables with the regression's probabilities as ``outcome``, and no scores of steps.

    Half of the problems are scored by a regression fitted on the other half.
    """
    inputs = [
        np.stack([evidence(problem, chain) for chain in trace.completions])
        for problem, trace in zip(problems, traces, strict=True)
    ]
    scored: list[ChainTable] = list(tables)
    for half in (0, 1):
        others = range(1 - half, len(tables), 2)
        x = np.concatenate([inputs[n] for n in others])
        y = np.concatenate([tables[n].right for n in others]).astype(float)
        centre, spread = x.mean(0), x.std(0) + 1e-9
        weights = _fit((x - centre) / spread, y)
        for n in range(half, len(tables), 2):
            p = _probability((inputs[n] - centre) / spread, weights)
            scored[n] = replace(tables[n], outcome=p, steps=((),) * len(tables[n]))
    return scored


def _fit(x: Floats, y: Floats) -> Floats:
    """Newton's method with a ridge penalty: the intercept first."""
    inputs = np.column_stack([np.ones(len(x)), x])
    ridge = RIDGE * np.eye(inputs.shape[1])
    weights = np.zeros(inputs.shape[1])
    for _ in range(_ROUNDS):
        p = _probability(x, weights)
        curvature = (inputs * (p * (1 - p))[:, None]).T @ inputs + ridge
        weights -= np.linalg.solve(curvature, inputs.T @ (p - y) + ridge @ weights)
    return weights


def _probability(x: Floats, weights: Floats) -> Floats:
    logits = np.clip(weights[0] + x @ weights[1:], -30, 30)
    probabilities: Floats = 1 / (1 + np.exp(-logits))
    return probabilities
