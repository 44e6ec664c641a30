"""The loss of one logged group, computed again from its line of ``groups.jsonl``.

    rewards → advantages → ratios → terms, some of them clipped → gradient at each token

The gradient at a token is ∂L/∂log π(y_t): negative where a step makes the token likelier, positive
where it makes it less likely. It is found by autograd on the same formula that trains
(``train.objectives.policy``), so that nothing is told here that the trainer does not do.

The group is treated as the whole batch: L is the mean over its tokens (or completions) alone. In
the run, the same terms are divided by those of all groups of the step, which changes every gradient
by one factor. *REINFORCE++*, which compares rewards with the whole batch, here compares them within
the group.

The ratios are those of the first pass over the samples, which ``groups.jsonl`` records: the
trainer's probability over the sampler's. Other log-probabilities of the same tokens, such as those
of the finished model, can be put in their place (``logprobs``); then the ratios are what the loss
would see if the samples were that old.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glassmind.errors import UserError
from glassmind.evaluate.explanation.objectives import PolicyObjective
from glassmind.runs.reward_groups import LoggedCompletion, LoggedGroup
from glassmind.train.objectives.policy.advantages import advantages
from glassmind.train.objectives.policy.ratios import log_ratios
from glassmind.train.objectives.policy.terms import clipped, policy_terms, term_shares


@dataclass(frozen=True, slots=True)
class ExplainedToken:
    """One token that is learned. ``clipped`` is "low" or "high" where its ratio is beyond a bound
    in the direction of its advantage; ``loss`` is its share of the loss and ``gradient`` ∂L/∂log π,
    both with its share in the mean."""

    piece: str
    logprob: float
    ratio: float
    clipped: str
    loss: float
    gradient: float


@dataclass(frozen=True, slots=True)
class ExplainedCompletion:
    """A completion: its reward, its advantage, and its tokens. ``None`` stands in ``tokens`` for a
    token that is not learned."""

    rewards: dict[str, float]
    reward: float
    advantage: float
    finish: str
    pieces: tuple[str, ...]
    tokens: tuple[ExplainedToken | None, ...]

    @property
    def learned(self) -> list[ExplainedToken]:
        """The tokens that are learned."""
        return [token for token in self.tokens if token is not None]

    @property
    def loss(self) -> float:
        """Its part of the loss."""
        return sum(token.loss for token in self.learned)

    @property
    def gradient(self) -> float:
        """The sum of its tokens' gradients: how strongly the whole completion is pushed."""
        return sum(token.gradient for token in self.learned)

    @property
    def clipped(self) -> int:
        """How many of its tokens are clipped."""
        return sum(bool(token.clipped) for token in self.learned)


@dataclass(frozen=True, slots=True)
class ExplainedGroup:
    """A group under one objective."""

    objective: PolicyObjective
    completions: tuple[ExplainedCompletion, ...]

    @property
    def loss(self) -> float:
        """The loss of the group alone."""
        return sum(completion.loss for completion in self.completions)

    @property
    def gradients(self) -> list[float]:
        """∂L/∂log π of every learned token, one completion after the other."""
        return [token.gradient for one in self.completions for token in one.learned]

    @property
    def norm(self) -> float:
        """The Euclidean norm of ``gradients``."""
        return float(np.linalg.norm(self.gradients))

    @property
    def clipped(self) -> float:
        """The share of tokens that are clipped."""
        return sum(one.clipped for one in self.completions) / max(1, len(self.gradients))


def explain_group(
    group: LoggedGroup,
    objective: PolicyObjective,
    *,
    recorded: bool = False,
    logprobs: Sequence[Sequence[float]] | None = None,
) -> ExplainedGroup:
    """The loss of ``group`` under ``objective``, taken apart.

    With ``recorded``, the advantages are those that the run used, which may have been compared with
    the whole batch; else they are computed within the group. ``logprobs`` are those of the policy,
    a value for each token of each completion; by default those of the first pass.

    Raises:
        UserError: the lists of the group have different lengths, or the objective needs a reference
            that the group has not.
    """
    for number, completion in enumerate(group.completions):
        _check(completion, f"completion {number} of step {group.step}")
    policy = logprobs or [completion.logprobs for completion in group.completions]
    values = _advantages(group, objective, recorded)
    own = [list(completion.written) for completion in group.completions]
    options = objective.options
    numbers = np.repeat(np.arange(len(own), dtype=np.int64), [sum(written) for written in own])
    completion_N = torch.from_numpy(numbers)
    logprob_N = _flat(policy, own).requires_grad_()
    sampled_N = _flat([one.sampled_logprobs for one in group.completions], own)
    first_N = _flat([one.logprobs for one in group.completions], own)
    old_N = first_N if options.old == "trainer" else sampled_N
    advantage_N = torch.tensor(values, dtype=torch.float64)[completion_N]
    reference_N = None
    if options.kl_in_loss:
        references = [one.reference_logprobs for one in group.completions]
        if any(reference is None for reference in references):
            raise UserError(
                f"step {group.step} has no log-probabilities of the reference, which options.kl "
                "needs: groups.jsonl and recipe.toml are not of the same run"
            )
        reference_N = _flat([reference or () for reference in references], own)
    terms_N = policy_terms(
        logprob_N, old_N, advantage_N, completion_N, options, sampled_N, reference_N
    )
    losses_N = terms_N * torch.from_numpy(term_shares(numbers, options))
    if len(numbers):
        losses_N.sum().backward()
    gradient_N = torch.zeros_like(losses_N) if logprob_N.grad is None else logprob_N.grad
    with torch.no_grad():
        ratio_N = log_ratios(logprob_N - old_N, completion_N, options.ratio).exp()
        low_N, high_N = clipped(logprob_N, old_N, advantage_N, completion_N, options)
    bounds = zip(low_N.tolist(), high_N.tolist(), strict=True)
    names = ["low" if low else "high" if high else "" for low, high in bounds]
    columns = (logprob_N, ratio_N, losses_N, gradient_N)
    rows = zip(*(column.tolist() for column in columns), names, strict=True)
    return ExplainedGroup(
        objective,
        tuple(
            ExplainedCompletion(
                dict(completion.rewards),
                completion.reward,
                float(value),
                completion.finish,
                completion.pieces,
                tuple(
                    _token(piece, next(rows)) if written else None
                    for piece, written in zip(completion.pieces, completion.written, strict=True)
                ),
            )
            for completion, value in zip(group.completions, values, strict=True)
        ),
    )


def alignment(one: ExplainedGroup, other: ExplainedGroup) -> float | None:
    """The cosine between the gradients of two objectives on the same tokens, ``None`` if one of
    them is zero. 1: the same direction, with another length of step."""
    size = one.norm * other.norm
    return float(np.dot(one.gradients, other.gradients)) / size if size else None


def _token(piece: str, row: tuple[float, float, float, float, str]) -> ExplainedToken:
    logprob, ratio, loss, gradient, bound = row
    return ExplainedToken(piece, logprob, ratio, bound, loss, gradient)


def _advantages(group: LoggedGroup, objective: PolicyObjective, recorded: bool) -> list[float]:
    if recorded:
        return [completion.advantage for completion in group.completions]
    rewards_QGK = np.array([[[completion.reward] for completion in group.completions]])
    if len(group.completions) < 2:
        return [0.0] * len(group.completions)  # there is nothing to compare with
    found: list[float] = advantages(rewards_QGK, [1.0], objective.advantage)[0].tolist()
    return found


def _flat(values: Sequence[Sequence[float]], own: Sequence[Sequence[bool]]) -> torch.Tensor:
    kept = [
        value
        for each, written in zip(values, own, strict=True)
        for value, learned in zip(each, written, strict=True)
        if learned
    ]
    return torch.tensor(kept, dtype=torch.float64)


def _check(completion: LoggedCompletion, where: str) -> None:
    lists = [completion.pieces, completion.written, completion.sampled_logprobs,
             completion.logprobs]  # fmt: skip
    if completion.reference_logprobs is not None:
        lists.append(completion.reference_logprobs)
    if any(len(each) != len(completion.ids) for each in lists):
        raise UserError(f"{where} in groups.jsonl does not have a value for each of its tokens")
