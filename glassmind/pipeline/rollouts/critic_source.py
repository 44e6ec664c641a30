"""The source of PPO's batches: a set of samples, with an advantage for each of its tokens.

    sample → reward → values of the critic → advantages (``gae``) → rows, in mini-batches

The reward of a completion comes with its last token. If the divergence from the reference is part
of the reward, it comes token by token, as each is written (Ziegler et al. 2019, arXiv 1909.08593):

    r_t = - β k_t + [t is the last] R
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import PackedRows
from glassmind.generate import derive_seed
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.critic_options import PPOOptions
from glassmind.pipeline.rollouts.documents import COLUMNS, learned, sampled_logprobs
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.shown import shown_group
from glassmind.pipeline.rollouts.source import KL, Rollouts, SampleSet
from glassmind.pipeline.rollouts.watched import WatchedProblems
from glassmind.runs.recipe import Recipe
from glassmind.train import PPO, State, to_batch
from glassmind.train.objectives.gae import generalised_advantages
from glassmind.train.objectives.grpo import ADVANTAGE, FIRST_PASS
from glassmind.train.objectives.policy.advantages import standardised
from glassmind.train.objectives.policy.divergence import divergence
from glassmind.train.objectives.policy.kl_control import next_weight
from glassmind.train.objectives.ppo import OLD_VALUE, RETURN
from glassmind.train.processes.process_group import ProcessGroup

Floats = NDArray[np.float64]


class CriticRollouts(Rollouts):
    """Batches of fresh samples for ``PPO``. See ``Rollouts``.

    ``kl_weight`` is β of the next set.
    """

    columns = (*COLUMNS, OLD_VALUE, RETURN)

    def __init__(
        self,
        llm: LocalLLM,
        sampler: GroupSampler,
        objective: PPO,
        recipe: Recipe,
        options: PPOOptions,
        folder: Path,
        group: ProcessGroup,
        watched: WatchedProblems | None = None,
    ) -> None:
        super().__init__(llm, sampler, objective.actor, recipe, options, folder, group, watched)
        self.ppo, self.critic_options = objective, options
        self.parts = recipe.train.accumulate * options.mini_batches
        self.kl_weight = options.kl

    def state(self) -> State:
        return {**super().state(), "kl_weight": self.kl_weight}

    def restore(self, state: State) -> None:
        super().restore(state)
        self.kl_weight = float(state["kl_weight"])

    def _learned_from(self, groups: Sequence[Group], figures: dict[str, float]) -> SampleSet:
        """The set that these groups make, by what the critic expected of each token."""
        options = self.critic_options
        names, weights = self.sampler.rewarding.names, self.sampler.rewarding.weights
        reward_QG = np.stack([group.rewards_GK @ np.asarray(weights) for group in groups])
        rows = self._in_random_order(self._rows(groups, reward_QG))
        logprobs, values, reference = self._first_look(rows, sum(g.n_tokens for g in groups))
        penalty = self._penalty(groups, reference, figures)
        advantages, returns = np.full_like(values, np.nan), np.full_like(values, np.nan)
        for total, own in zip(reward_QG.flat, self._tokens(groups), strict=True):
            if not len(own):
                continue
            rewards = -penalty[own]
            rewards[-1] += total
            advantages[own] = generalised_advantages(
                rewards, values[own], discount=options.discount, trace=options.trace
            )
            returns[own] = advantages[own] + values[own]
        known = np.isfinite(values)
        figures["explained_variance"] = _explained(values[known], returns[known])
        if options.whiten and known.any():
            advantages[known] = standardised(advantages[known])
        means_QG = np.reshape(
            [advantages[own].mean() if len(own) else 0.0 for own in self._tokens(groups)],
            reward_QG.shape,
        )
        masked = options.mask_truncated
        shown = shown_group(self.llm, groups, means_QG, names, weights, mask_truncated=masked)
        columns = {ADVANTAGE: advantages, OLD_VALUE: values, RETURN: returns}
        rows = self._with_columns(rows, columns)
        return SampleSet(rows, figures, shown, logprobs.astype(np.float32), reference)

    def _in_random_order(self, rows: PackedRows) -> PackedRows:
        """Packing puts long completions first, and these are more often wrong; a mini-batch should
        be like the whole set."""
        random = np.random.default_rng(derive_seed(self.recipe.seed, self.sampler.drawn))
        return rows.take(random.permutation(len(rows)))

    def _tokens(self, groups: Sequence[Group]) -> list[NDArray[np.int64]]:
        """The numbers of the tokens of each completion that are learned."""
        found, at = [], 0
        for group in groups:
            for completion in group.completions:
                own = learned(completion, self.options.mask_truncated)
                found.append(at + np.flatnonzero(own))
                at += len(completion.token_ids)
        return found

    def _first_look(
        self, rows: PackedRows, n_tokens: int
    ) -> tuple[Floats, Floats, NDArray[np.float32]]:
        """Log-probabilities and values of all tokens of the set by their numbers, and
        log-probabilities under the reference; NaN for those that are not learned."""
        logprobs, values = np.full(n_tokens, np.nan), np.full(n_tokens, np.nan)
        reference = np.full(n_tokens, np.nan, np.float32)
        self.ppo.module.eval()
        for part in range(self.parts):
            some = rows.take(self._slice(part, len(rows)))
            look = self.ppo.first_look(to_batch(some, self.llm.model.embed.weight.device))
            numbers = some[FIRST_PASS][some[COMPLETION]]
            logprobs[numbers] = look.logprob_N.cpu().numpy()
            values[numbers] = look.value_N.cpu().numpy()
            if look.reference_N is not None:
                reference[numbers] = look.reference_N.cpu().numpy()
        self.ppo.module.train()
        return logprobs, values, reference

    def _penalty(
        self, groups: Sequence[Group], reference: NDArray[np.float32], figures: dict[str, float]
    ) -> Floats:
        """What each token's reward is lowered by; also logs the divergence, and adapts its weight
        for the next set."""
        options = self.critic_options
        if not options.kl_in_reward:
            return np.zeros(len(reference))
        drawn = [
            x for g in groups for completion in g.completions for x in sampled_logprobs(completion)
        ]
        sampled_N, reference_N = torch.tensor(drawn), torch.from_numpy(reference)
        figures[KL] = float(divergence(sampled_N, reference_N, "k3").nanmean().nan_to_num(0.0))
        whole = float((sampled_N - reference_N).nansum()) / sum(len(g.completions) for g in groups)
        figures["kl_completion"], figures["kl_weight"] = whole, self.kl_weight
        each_N = divergence(sampled_N, reference_N, options.kl_estimator).double()
        penalty: Floats = self.kl_weight * each_N.numpy()
        if options.kl_target:
            self.kl_weight = next_weight(self.kl_weight, whole, options.kl_target)
        return penalty

    def _with_columns(self, rows: PackedRows, values: dict[Any, Floats]) -> PackedRows:
        """The rows with columns that have a value for each number of a token. Only the first
        mini-batch is a first pass: the policy has moved before the others."""
        numbers, columns = rows[FIRST_PASS], dict(rows.columns)
        there = numbers >= 0
        for column, by_number in values.items():
            columns[column] = np.zeros(numbers.shape, np.float32)
            columns[column][there] = by_number[numbers[there]]
        first = self._slice(self.recipe.train.accumulate - 1, len(rows)).stop
        columns[FIRST_PASS] = numbers.copy()
        columns[FIRST_PASS][first:] = -1
        return replace(rows, columns=columns)


def _explained(values: Floats, returns: Floats) -> float:
    """The share of the variance of the returns that the critic expected: 1 is perfect, 0 no better
    than their mean, and below 0 worse."""
    variance = float(returns.var()) if len(returns) else 0.0
    return 1 - float((returns - values).var()) / variance if variance > 0 else 0.0
