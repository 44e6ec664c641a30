"""The group that a logged step keeps for ``groups.jsonl``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from glassmind.llm import LocalLLM
from glassmind.pipeline.rollouts.documents import learned, sampled_logprobs
from glassmind.pipeline.rollouts.groups import Group
from glassmind.runs.reward_groups import LoggedCompletion, LoggedGroup

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """One group of a set of samples, without the log-probabilities that the first pass finds;
    ``first`` is the number of its first token in the set."""

    group: LoggedGroup
    first: int

    def at_step(self, step: int, logprobs: Floats, reference: Floats | None) -> LoggedGroup:
        """The line of ``step``, given the log-probabilities of all tokens of the set under the
        trainer and the reference; NaN stands for a token that is not learned."""
        completions, at = [], self.first
        for completion in self.group.completions:
            here = slice(at, at + len(completion.ids))
            at = here.stop
            completions.append(
                replace(
                    completion,
                    logprobs=_plain(logprobs[here]),
                    reference_logprobs=None if reference is None else _plain(reference[here]),
                )
            )
        return replace(self.group, step=step, completions=tuple(completions))


def shown_group(
    llm: LocalLLM,
    groups: Sequence[Group],
    advantages_QG: NDArray[np.float64],
    names: Sequence[str],
    weights: Sequence[float],
    *,
    mask_truncated: bool,
) -> Shown:
    """The first group from which something is learned, or else the first."""
    number = next((n for n, row in enumerate(advantages_QG) if row.any()), 0)
    group = groups[number]
    totals_G = group.rewards_GK @ np.asarray(weights)
    completions = [
        LoggedCompletion(
            pieces=tuple(_pieces(llm, completion.token_ids)),
            ids=completion.token_ids,
            written=tuple(learned(completion, mask_truncated)),
            sampled_logprobs=tuple(sampled_logprobs(completion)),
            logprobs=(),
            reference_logprobs=None,
            rewards=dict(zip(names, rewards.tolist(), strict=True)),
            reward=float(total),
            advantage=float(advantage),
            finish=completion.finish,
        )
        for completion, rewards, total, advantage in zip(
            group.completions, group.rewards_GK, totals_G, advantages_QG[number], strict=True
        )
    ]
    problem = group.problem
    logged = LoggedGroup(0, problem.id, problem.question, problem.answer, tuple(completions))
    return Shown(logged, sum(before.n_tokens for before in groups[:number]))


def _pieces(llm: LocalLLM, ids: Sequence[int]) -> list[str]:
    """Each token as text; bytes that are not a character by themselves are replaced."""
    names = {number: name for name, number in llm.tokenizer.special.items()}
    return [
        names.get(token) or llm.token_bytes[token].decode("utf-8", errors="replace")
        for token in ids
    ]


def _plain(values: Floats) -> tuple[float, ...]:
    return tuple(np.nan_to_num(values, nan=0.0).astype(float).tolist())
