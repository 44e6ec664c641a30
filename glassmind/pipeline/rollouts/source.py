"""The source of batches: samples a set of groups, and gives its rows for one or several passes.

    next()   →  sample → reward → advantages → rows         for the first step on a set
                the same rows, with the trainer's own
                log-probabilities as π_old if it asked so    for the steps after it

It also keeps what is logged about a set: its rewards, its speed, and one group in full.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import STRUCTURE, PackedRows
from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.documents import COLUMNS, rows_of_groups, sampled_logprobs
from glassmind.pipeline.rollouts.figures import set_figures
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.options import GRPOOptions, RolloutOptions
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.shown import Shown, shown_group
from glassmind.runs.recipe import Recipe
from glassmind.runs.reward_groups import LoggedGroup, cut_groups, write_group
from glassmind.serialization import decode, encode
from glassmind.train import GRPO, State, to_batch
from glassmind.train.objectives.grpo import FIRST_PASS, OLD_LOGPROB
from glassmind.train.objectives.policy.advantages import advantages
from glassmind.train.objectives.policy.divergence import divergence
from glassmind.train.processes.process_group import ProcessGroup

KL = "kl"


@dataclass
class SampleSet:
    """The rows of one set of samples, what is logged about it, and the log-probabilities of its
    tokens under the trainer and the reference: NaN where they are not known."""

    rows: PackedRows
    figures: dict[str, float]
    shown: Shown
    logprobs: NDArray[np.float32]
    reference: NDArray[np.float32]


class Rollouts:
    """Batches of fresh samples. See ``train.BatchSource``.

    ``folder`` is the run's, for ``groups.jsonl``. The objective's first passes are recorded.
    """

    columns: ClassVar[tuple[Column, ...]] = COLUMNS

    def __init__(
        self,
        llm: LocalLLM,
        sampler: GroupSampler,
        objective: GRPO,
        recipe: Recipe,
        options: RolloutOptions,
        folder: Path,
        group: ProcessGroup,
    ) -> None:
        self.llm, self.sampler, self.objective = llm, sampler, objective
        self.recipe, self.options = recipe, options
        self.folder, self.group = folder, group
        self.parts = recipe.train.accumulate
        self.left = 0  # batches left to give of ``set``
        self.set: SampleSet | None = None
        self.later: PackedRows | None = None  # the set's rows after the first pass
        self._learning_since = 0.0
        self._cut = False  # whether groups.jsonl has nothing of steps to come
        objective.record = self._record

    def next(self) -> PackedRows:
        """The next part of the set's rows: ``passes`` times all of them, then those of a new one.

        Raises:
            UserError: a reward fails, or engine and trainer differ more than the recipe allows.
        """
        batches = self.options.passes * self.parts
        if self.left == 0 or self.set is None:
            self.set, self.left, self.later = self._sample(), batches, None
        given = batches - self.left
        self.left -= 1
        rows = self.set.rows
        if given >= self.parts:
            self.later = self.later or self._after_first_pass(self.set)
            rows = self.later
        self._learning_since = time.perf_counter()
        if self.parts == 1:
            return rows
        return rows.take(self._slice(given % self.parts, len(rows)))

    def _slice(self, part: int, n: int) -> slice:
        """Which of ``n`` rows a part has."""
        return slice(n * part // self.parts, n * (part + 1) // self.parts)

    def observe(self, step: int) -> dict[str, float]:
        """The figures of the set that ``step`` was taken on; its group is written to
        ``groups.jsonl``. All processes must call it."""
        seconds = time.perf_counter() - self._learning_since
        assert self.set is not None
        logprobs, reference = self._gathered(self.set)
        known = bool(np.isfinite(reference).any())
        if self.group.is_first:
            if not self._cut:
                cut_groups(self.folder, step - 1)
            self._cut = True
            write_group(
                self.folder,
                self.set.shown.at_step(step, logprobs, reference if known else None),
            )
        speed = round(len(logprobs) / max(seconds, 1e-9))
        return {**self.set.figures, "learning_tokens_per_second": speed}

    def state(self) -> State:
        state: dict[str, Any] = {**self.sampler.state(), "left": self.left}
        if self.left and self.set is not None:
            rows = self.set.rows
            arrays = {name: getattr(rows, name) for name in STRUCTURE}
            arrays |= {column.name: rows[column] for column in self.columns}
            arrays["logprobs"], arrays["reference"] = self._gathered(self.set)
            state |= {name: torch.from_numpy(array) for name, array in arrays.items()}
            state |= {
                "figures": self.set.figures,
                "shown": encode(self.set.shown.group),
                "shown_first": self.set.shown.first,
            }
        return state

    def restore(self, state: State) -> None:
        self.sampler.restore(state)
        self.left = int(state["left"])
        self.set = self.later = None
        self._cut = False
        if self.left:
            structure = {name: state[name].numpy() for name in STRUCTURE}
            columns: dict[Column, Any] = {c: state[c.name].numpy() for c in self.columns}
            group = decode(LoggedGroup, state["shown"], "the checkpoint")
            self.set = SampleSet(
                PackedRows(**structure, columns=columns),
                {name: float(value) for name, value in state["figures"].items()},
                Shown(group, int(state["shown_first"])),
                state["logprobs"].numpy(),
                state["reference"].numpy(),
            )

    # ------------------------------------------------------------------ a new set of samples

    def _sample(self) -> SampleSet:
        started = time.perf_counter()
        drawn = self.sampler.draw(self.options.questions, self.options.resample)
        rewarding = self.sampler.rewarding
        figures = set_figures(drawn.all, rewarding.names, rewarding.weights)
        samples = self._learned_from(drawn.kept, figures)
        sampled = sum(group.n_tokens for group in drawn.all)
        speed = sampled / max(time.perf_counter() - started, 1e-9)
        samples.figures["sampling_tokens_per_second"] = round(speed)
        return samples

    def _learned_from(self, groups: Sequence[Group], figures: dict[str, float]) -> SampleSet:
        """The set that these groups make, by comparing the completions of each."""
        options = self.options
        assert isinstance(options, GRPOOptions)
        names, weights = self.sampler.rewarding.names, self.sampler.rewarding.weights
        reference = np.full(sum(group.n_tokens for group in groups), np.nan, np.float32)
        if options.kl_in_reward:
            reference = self._reference_logprobs(groups, len(reference))
            groups, figures[KL] = self._with_divergence(groups, reference)
            names, weights = (*names, KL), (*weights, -options.kl)
        rewards_QGK = np.stack([group.rewards_GK for group in groups])
        advantages_QG = advantages(rewards_QGK, weights, options.advantage)
        masked = options.mask_truncated
        rows = self._rows(groups, advantages_QG)
        shown = shown_group(self.llm, groups, advantages_QG, names, weights, mask_truncated=masked)
        return SampleSet(rows, figures, shown, np.full_like(reference, np.nan), reference)

    def _rows(self, groups: Sequence[Group], advantages_QG: NDArray[np.float64]) -> PackedRows:
        return rows_of_groups(
            groups,
            advantages_QG,
            self.recipe.train.row_tokens,
            self.parts * self.group.size,
            mask_truncated=self.options.mask_truncated,
        )

    def _reference_logprobs(self, groups: Sequence[Group], n_tokens: int) -> NDArray[np.float32]:
        """The reference's log-probability of each token of the set that is learned, else NaN."""
        found = np.full(n_tokens, np.nan, np.float32)
        size = len(groups), len(groups[0].completions)
        rows = self._rows(groups, np.zeros(size))
        device = self.llm.model.embed.weight.device
        for part in range(self.parts):  # in the parts of a step, whose logits fit into memory
            some = rows.take(self._slice(part, len(rows)))
            numbers = some[FIRST_PASS][some[COMPLETION]]
            found[numbers] = self.objective.reference_logprobs(to_batch(some, device)).cpu().numpy()
        return found

    def _with_divergence(
        self, groups: Sequence[Group], reference: NDArray[np.float32]
    ) -> tuple[list[Group], float]:
        """The groups with the divergence of each completion, summed over its learned tokens, as a
        further reward; and k3 per token, which is logged."""
        drawn = [x for group in groups for one in group.completions for x in sampled_logprobs(one)]
        sampled_N, reference_N = torch.tensor(drawn), torch.from_numpy(reference)
        each_N = divergence(sampled_N, reference_N, self.options.kl_estimator).nan_to_num(0.0)
        k3 = float(divergence(sampled_N, reference_N, "k3").nanmean().nan_to_num(0.0))
        penalised, at = [], 0
        for group in groups:
            values = []
            for completion in group.completions:
                end = at + len(completion.token_ids)
                values.append(float(each_N[at:end].double().sum()))
                at = end
            penalised.append(group.with_reward(values))
        return penalised, k3

    # ------------------------------------------------------------------ the first pass

    def _record(
        self, numbers_N: NDArray[np.int64], logprob_N: Tensor, reference_N: Tensor | None
    ) -> None:
        """What the objective computed of tokens with these numbers."""
        assert self.set is not None
        self.set.logprobs[numbers_N] = logprob_N.cpu().numpy()
        if reference_N is not None:
            self.set.reference[numbers_N] = reference_N.cpu().numpy()

    def _after_first_pass(self, samples: SampleSet) -> PackedRows:
        """The set's rows for further passes, with π_old as the options say."""
        columns = dict(samples.rows.columns)
        numbers = samples.rows[FIRST_PASS]
        columns[FIRST_PASS] = np.full_like(numbers, -1)
        if self.options.old == "trainer":
            # Another process may have recorded some of them, and then it is the one to need them.
            own = (numbers >= 0) & np.isfinite(samples.logprobs[np.maximum(numbers, 0)])
            old = samples.rows[OLD_LOGPROB].copy()
            old[own] = samples.logprobs[numbers[own]]
            columns[OLD_LOGPROB] = old
        return replace(samples.rows, columns=columns)

    def _gathered(self, samples: SampleSet) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The log-probabilities that all processes have recorded, each of its share of the rows."""
        if self.group.size == 1:
            return samples.logprobs, samples.reference
        gathered = []
        for values in (samples.logprobs, samples.reference):
            here = np.isfinite(values)
            known = np.array(self.group.sum(here.astype(float).tolist()))
            total = np.array(self.group.sum(np.where(here, values, 0.0).tolist()))
            mean = np.divide(total, known, out=np.full(len(known), np.nan), where=known > 0)
            gathered.append(mean.astype(np.float32))
        return gathered[0], gathered[1]
