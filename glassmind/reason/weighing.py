"""A verifier's belief weighed against what a program knows: a logistic regression over both.

A judge that reads tokens is good at plans and bad at arithmetic and counting; exact checks
(``grade.step_facts``) are the other way round, and the log-probability of a chain knows things that
neither does. So the verifier's logit, the facts and the log-probability become the inputs of one
logistic regression (*stacking*: Wolpert 1992, "Stacked generalization"). It is fitted on chains
that the judge was not trained on, since a judge is too sure of those it has seen.

    p = sigmoid(b + w_0 logit(judge) + w_1 f_1 + ... + w_F f_F)

There are two such regressions: one for the end of a step (is everything up to here right?) and one
for the end of a chain (is the answer right?). ``grade.chain_features`` lists the features.
"""

from __future__ import annotations

import numpy as np

from glassmind.grade.chain_features import Floats

RIDGE = 1.0
"""The weight of the penalty on the squared coefficients of standardized features."""

_ROUNDS = 30


def fit(inputs: Floats, right: Floats) -> Floats:
    """The coefficients (1 + F,), the intercept first, for inputs (N, F) and labels (N,).

    Newton's method with a ridge penalty on the coefficients of standardized inputs, which are then
    those of the inputs as they are. An input that never changes has 0.
    """
    centre, spread = inputs.mean(0), inputs.std(0)
    varies = spread > 1e-9
    scaled = np.zeros_like(inputs)
    scaled[:, varies] = (inputs[:, varies] - centre[varies]) / spread[varies]
    x = np.column_stack([np.ones(len(inputs)), scaled])
    penalty = RIDGE * np.eye(x.shape[1])
    weights = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        p = probability(x[:, 1:], weights)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + penalty
        weights -= np.linalg.solve(curvature, x.T @ (p - right) + penalty @ weights)
    coefficients = np.zeros(len(weights))
    coefficients[1:][varies] = weights[1:][varies] / spread[varies]
    coefficients[0] = weights[0] - coefficients[1:] @ centre
    return coefficients


def probability(inputs: Floats, coefficients: Floats) -> Floats:
    """The regression's probability for each row of ``inputs``: (N, F) → (N,)."""
    logits = np.clip(coefficients[0] + inputs @ coefficients[1:], -30, 30)
    probabilities: Floats = 1 / (1 + np.exp(-logits))
    return probabilities
