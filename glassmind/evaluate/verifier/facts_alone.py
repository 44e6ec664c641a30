"""How far exact facts get without a neural verifier: a logistic regression as the yardstick.

The features of a chain (``grade.chain_features``) are some forty numbers. A logistic regression
over them costs nothing beside sampling, so a verifier that reads every token, and is weighed
against the same numbers, has to beat it to be worth its price.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from glassmind.evaluate.verifier.chains import ChainTable, Floats
from glassmind.grade.chain_features import prefix_features
from glassmind.reason.weighing import fit, probability
from glassmind.records import Completion, Problem, Trace


def scored_by_facts(
    problems: Sequence[Problem], traces: Sequence[Trace], tables: Sequence[ChainTable]
) -> list[ChainTable]:
    """The tables with the regression's probabilities as ``outcome``, and no scores of steps.

    Half of the problems are scored by a regression fitted on the other half.
    """
    inputs = [
        np.concatenate([_features(problem, chain) for chain in trace.completions])
        for problem, trace in zip(problems, traces, strict=True)
    ]
    scored: list[ChainTable] = list(tables)
    for half in (0, 1):
        others = range(1 - half, len(tables), 2)
        x = np.concatenate([inputs[n] for n in others])
        y = np.concatenate([tables[n].right for n in others]).astype(float)
        coefficients = fit(x, y)
        for n in range(half, len(tables), 2):
            p = probability(inputs[n], coefficients)
            scored[n] = replace(tables[n], outcome=p, steps=((),) * len(tables[n]))
    return scored


def _features(problem: Problem, chain: Completion) -> Floats:
    """Those at the chain's end, as if it had ended: (1, F)."""
    logprobs = np.array(chain.logprobs or (0.0,))
    end = len(logprobs) - 1
    return prefix_features(problem.question, chain.steps, chain.answer, logprobs, [], end)
