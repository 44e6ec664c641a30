"""Scoring completions with a reward model.

A reward model (``train.objectives.reward_model``) reads what it was trained to read: tokens. So it
scores completions of models that have the same tokenizer, after the prompt that they were given.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.data.preferences.documents import CHOSEN, PREFERENCE
from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.model import TokenScorer
from glassmind.records import REWARD, Completion, Cost, Problem, Trace
from glassmind.runs.models import tokenizer_mark
from glassmind.train.objectives.reward_model import scores_of_rows

BATCH_TOKENS = 8_192
"""Tokens that the reward model reads at once."""

_Piece = tuple[int, tuple[int, ...], Document]
"""The number of a problem, the ids of a completion, and both as a document."""


@dataclass(frozen=True)
class RewardModel:
    """A trained scorer, ``name`` for messages, and the fingerprint of its tokenizer."""

    name: str
    scorer: TokenScorer
    tokenizer: str

    def require_tokenizer_of(self, llm: LocalLLM) -> None:
        """Raise ``UserError`` if ``llm`` writes other tokens than this model reads."""
        if tokenizer_mark(llm.tokenizer) != self.tokenizer:
            raise UserError(
                f"the reward model {self.name} has another tokenizer than {llm.name}, so it cannot "
                "read its completions: train it from the same start"
            )

    def judge(
        self, llm: LocalLLM, problems: Sequence[Problem], traces: Sequence[Trace]
    ) -> list[Trace]:
        """The traces of ``llm`` with a score of every completion, under the name ``REWARD``.

        Equal completions of a problem are read once. Only what ended by itself is scored, because a
        reward model has seen only whole answers, and what it says of others means nothing: a
        completion without a token, cut at a limit, or too long for the reward model gets the lowest
        score of all.

        Raises:
            UserError: the tokenizers differ.
        """
        self.require_tokenizer_of(llm)
        prompts = [tuple(llm.prompt(problem.question, llm.style)) for problem in problems]
        pieces: list[_Piece] = []
        for number, (prompt, trace) in enumerate(zip(prompts, traces, strict=True)):
            for ids in {c.token_ids for c in trace.completions if _whole(c)}:
                if len(prompt) + len(ids) <= self.scorer.trunk.config.max_tokens:
                    pieces.append((number, ids, _document(prompt, ids)))
        pieces.sort(key=lambda piece: (-len(piece[2]), piece[0], piece[1]))
        found: list[dict[tuple[int, ...], float]] = [{} for _ in problems]
        device = next(self.scorer.parameters()).device
        for number, ids, score in _scored(self.scorer, pieces, device):
            found[number][ids] = score
        lowest = min((score for scores in found for score in scores.values()), default=0.0)
        return [
            _with_rewards(trace, scores, lowest)
            for trace, scores in zip(traces, found, strict=True)
        ]


def _whole(completion: Completion) -> bool:
    return bool(completion.token_ids) and completion.finish == "stop"


def _document(prompt: tuple[int, ...], ids: tuple[int, ...]) -> Document:
    written = np.arange(len(prompt) + len(ids)) >= len(prompt)
    return Document(
        np.array([*prompt, *ids], np.int32),
        {COMPLETION: written, PREFERENCE: written.astype(np.int64) * CHOSEN},
    )


def _scored(
    scorer: TokenScorer, pieces: Sequence[_Piece], device: torch.device
) -> Iterator[tuple[int, tuple[int, ...], float]]:
    """Problem, ids and score of every piece. A piece has a row of its own, as long as the longest
    one that is read with it, so that its score depends on no other."""
    start = 0
    while start < len(pieces):
        width = len(pieces[start][2])  # they come longest first
        end = start + max(1, BATCH_TOKENS // width)
        batch = pieces[start:end]
        rows = PackedRows.join([pack([document], width, pad_id=0) for _, _, document in batch])
        scores_A, _ = scores_of_rows(scorer, rows, device)
        for (number, ids, _), score in zip(batch, scores_A.tolist(), strict=True):
            yield number, ids, score
        start = end


def _with_rewards(trace: Trace, scores: dict[tuple[int, ...], float], lowest: float) -> Trace:
    found: dict[int, dict[str, float]] = {}
    costs: dict[int, Cost] = {}
    counted = set()
    for completion in trace.completions:
        leaf, ids = completion.path[-1], completion.token_ids
        whole = _whole(completion) and ids in scores
        found[leaf] = {REWARD: scores[ids] if whole else lowest}
        if whole and ids not in counted:
            counted.add(ids)
            costs[leaf] = Cost(judged_tokens=len(ids))
    return trace.with_scores(found, costs)
