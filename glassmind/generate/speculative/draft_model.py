"""A small model that guesses what a large one will say.

After a pass is planned and before it runs, the draft model reads the tokens that the large model is
about to read, and then continues alone, a token at a time. It draws as the request asks
(temperature, filters, penalties) but with random numbers of its own. The large model then checks
all guesses in the one pass that it would have needed for a single token; ``acceptance`` decides
which are kept.

The draft's keys and values are in a cache of its own *under the same block numbers*. When a sample
shares a prompt's blocks, forks, or is preempted or cancelled, that holds for both caches, and no
second bookkeeping is needed. For this the draft reads everything that the large model reads, also
of samples that it does not guess for, up to the length of its own context. It does not read its own
last guess; if that guess is accepted, the next pass reads it.

How many guesses a sample gets depends on that sample alone (``Sample.drafts``), not on what else is
running. Whether a guess was made decides which random numbers a token is drawn with, and a request
must give the same tokens alone and in a crowd. So guesses are never trimmed for lack of memory; the
scheduler preempts whole samples instead.

Shapes: R samples, T tokens, D width of the draft, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.model_runner import LanguageModel, ModelRunner
from glassmind.generate.request import MOST_GUESSES
from glassmind.generate.sample import Sample
from glassmind.generate.sampling.sampler import Sampler
from glassmind.generate.scheduler import Work
from glassmind.generate.step_reading import Piece


class Draft:
    """Guesses for the samples that ``target`` reads, with ``model``.

    The numbers of blocks and rows are those of the target's cache.
    """

    def __init__(
        self,
        model: LanguageModel,
        target: ModelRunner,
        n_blocks: int,
        n_rows: int,
        cache_dtype: torch.dtype | None = None,
    ) -> None:
        self._runner = ModelRunner(model, n_blocks, n_rows, cache_dtype)
        self._runner.cache.tables_RW = target.cache.tables_RW  # written by the scheduler for both
        self._sampler: tuple[list[Sample], Sampler] | None = None

    @property
    def runner(self) -> ModelRunner:
        """The small model and its cache."""
        return self._runner

    def guess(self, work: Work) -> None:
        """Read the tokens that ``work`` is about to read, and make the guesses it has planned."""
        context = self._runner.model.config.max_tokens
        pieces: list[Piece] = []
        guessing: list[Sample] = []
        last: list[int] = []  # where the last known token of each of them stands in the pass
        n_tokens = 0
        for sample, count in work:
            start = min(sample.drafted, sample.computed)
            end = min(sample.computed + count - sample.n_guesses, context)
            if end > start:
                pieces.append((sample.row, start, sample.tokens[start:end]))
                n_tokens += end - start
                sample.drafted = end
            if len(sample.guesses) < sample.n_guesses:  # else they are looked up, if any
                guessing.append(sample)
                last.append(n_tokens - 1)
        while pieces:
            hidden_TD = self._runner.run(pieces)
            if guessing:
                self._draw(guessing, hidden_TD[last])
            guessing = [sample for sample in guessing if len(sample.guesses) < sample.n_guesses]
            last = list(range(len(guessing)))
            pieces = [(sample.row, sample.drafted, sample.guesses[-1:]) for sample in guessing]
            for sample in guessing:
                sample.drafted += 1

    def _draw(self, guessing: list[Sample], hidden_RD: Tensor) -> None:
        """Add one guess to each sample."""
        if self._sampler is None or self._sampler[0] != guessing:
            params = [sample.request.params for sample in guessing]
            numbers = [sample.number for sample in guessing]
            self._sampler = (guessing, Sampler(params, numbers, self._runner.device))
        sampler = self._sampler[1]
        made = len(guessing[0].guesses)  # and so many for each of the others
        steps = [sample.n_new + made for sample in guessing]
        histories = [guessing[row].history(made) for row in sampler.needs_history]
        logits_RV = self._runner.model.logits(hidden_RD)
        tokens_R, draft_probs_RV = sampler.guess(
            logits_RV, torch.tensor(steps, device=self._runner.device), histories
        )
        if draft_probs_RV is not None and not torch.isfinite(draft_probs_RV[:, 0]).all():
            raise UserError(
                "the draft model's logits are not numbers (NaN): its weights are damaged; use "
                "another draft, or none"
            )
        for row, (sample, token) in enumerate(zip(guessing, tokens_R.tolist(), strict=True)):
            sample.guesses.append(token)
            # A greedy guess is accepted if it is the model's choice too, without probabilities.
            if draft_probs_RV is not None and sample.request.params.temperature != 0:
                sample.draft_probs.append(draft_probs_RV[row])


def check_draft(model: LanguageModel, draft: LanguageModel, n_tokens: int) -> None:
    """Raise ``UserError`` where ``draft`` cannot make ``n_tokens`` guesses for ``model``."""
    if not 1 <= n_tokens <= MOST_GUESSES:
        raise UserError(f"draft_tokens must be from 1 to {MOST_GUESSES}, not {n_tokens}")
    if draft.config.vocab_size != model.config.vocab_size:
        raise UserError(
            f"the draft model has a vocabulary of {draft.config.vocab_size} tokens and the model "
            f"one of {model.config.vocab_size}: a draft must share the model's tokenizer"
        )
