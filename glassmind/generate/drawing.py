"""The next token of every sample that has read all it knows.

A sample with guesses draws in the place of each, too, and keeps what the guesses that came true
lead to: a token drawn behind a guess counts only if the guess is what was drawn in its place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.constraint.matcher import find_masks
from glassmind.generate.reader import LanguageModel
from glassmind.generate.sample import Sample
from glassmind.generate.sampling.sampler import Drawn, Sampler
from glassmind.generate.scheduler import Scheduler, Work
from glassmind.generate.scoring import top_of
from glassmind.generate.speculative.acceptance import Guesses

Drawing = tuple[Sample, int]
"""A token to be drawn: whose, and how many guesses stand before it."""


class Drawer:
    """Draws from what ``model`` says; ``scheduler`` starts those who wait for a prompt to be read.

    ``guessed`` counts the guesses that were checked, ``accepted`` those that stood.
    """

    def __init__(self, model: LanguageModel, scheduler: Scheduler) -> None:
        self._model, self._scheduler = model, scheduler
        self._sampler: tuple[list[Drawing], Sampler] | None = None
        self.guessed = self.accepted = 0

    def draw(self, work: Work, hidden_TD: Tensor) -> None:
        """Append to every sample of ``work`` that has none left to read; twins start here."""
        drawing: list[Drawing] = []
        places: list[int] = []
        allowed: dict[int, Tensor] = {}
        start = 0
        followed = [one for one, _ in work if one.companions and not one.due and not one.finish]
        find_masks(companion for one in followed for companion in one.companions)
        for sample, count in work:
            start += count
            if sample.due or sample.finish is not None:
                continue
            if not (sample.companions or sample.guesses or sample.twins):
                drawing.append((sample, 0))
                places.append(start - 1)
                continue
            last = start - 1 - len(sample.guesses)  # where its last known token stands
            for one in (sample, *(self._scheduler.fork(sample) if sample.twins else ())):
                mask = self._allowed(one) if one.companions else None
                if mask is not None:
                    if not mask.any():  # a dead end: it is the beginning of a match, no more
                        one.finish = "length"
                        continue
                    allowed[len(drawing)] = mask
                for ahead in range(len(one.guesses) + 1):
                    drawing.append((one, ahead))
                    places.append(last + ahead)
        if not drawing:
            return
        logits_RV = self._logits(hidden_TD, places)
        drawn = self._drawn(drawing, logits_RV, allowed)
        if not torch.isfinite(drawn.logprobs_R).all():
            raise UserError(
                "the model's logits are not numbers (NaN): its weights are damaged, or training "
                "diverged; use an earlier checkpoint"
            )
        self._append(drawing, drawn)

    def _logits(self, hidden_TD: Tensor, places: list[int]) -> Tensor:
        """What the model says at these places, ascending; twins share theirs."""
        places_R = torch.tensor(places, device=hidden_TD.device)
        unique_U, row_R = places_R.unique_consecutive(return_inverse=True)
        all_of_them = len(unique_U) == len(hidden_TD)
        logits_UV = self._model.logits(hidden_TD if all_of_them else hidden_TD[unique_U])
        return logits_UV if len(unique_U) == len(places) else logits_UV[row_R]

    def _append(self, drawing: list[Drawing], drawn: Drawn) -> None:
        tops = None if drawn.top is None else (drawn.top[0].tolist(), drawn.top[1].tolist())
        tokens, logprobs = drawn.tokens_R.tolist(), drawn.logprobs_R.tolist()
        for row, (sample, ahead) in enumerate(drawing):
            if ahead:
                if sample.finish is not None or not sample.came_true(ahead):
                    continue
                sample.computed += 1
            sample.append(tokens[row])
            sample.score(logprobs[row], top_of(sample, tops, row))
        for sample, ahead in drawing:
            if ahead and ahead == len(sample.guesses):
                self.guessed += ahead
                self.accepted += sample.settle()

    def _drawn(
        self, drawing: list[Drawing], logits_RV: Tensor, allowed: dict[int, Tensor]
    ) -> Drawn:
        device = logits_RV.device
        if self._sampler is None or self._sampler[0] != drawing:
            params = [sample.request.params for sample, _ in drawing]
            numbers = [sample.number for sample, _ in drawing]
            self._sampler = (drawing, Sampler(params, numbers, device))
        sampler = self._sampler[1]
        steps_R = torch.tensor([one.n_new + ahead for one, ahead in drawing], device=device)
        histories = [drawing[row][0].history(drawing[row][1]) for row in sampler.needs_history]
        return sampler.draw(logits_RV, steps_R, histories, allowed, _to_be_judged(drawing, device))

    def _allowed(self, sample: Sample) -> Tensor | None:
        """What all companions of a sample let through, (V,)."""
        together: Tensor | None = None
        for companion in sample.companions:
            mask = companion.allowed()
            if mask is not None:
                together = mask if together is None else together & mask
        if together is None:
            return None
        # A model's vocabulary may be a little larger than its tokenizer's.
        return F.pad(together, (0, self._model.config.vocab_size - len(together)))


def _to_be_judged(drawing: list[Drawing], device: torch.device) -> Guesses | None:
    """The guesses of a draft in the places where they would stand."""
    rows = [row for row, (sample, ahead) in enumerate(drawing) if ahead < len(sample.odds)]
    if not rows:
        return None
    guessed = [drawing[row] for row in rows]
    return Guesses(
        torch.tensor(rows, device=device),
        torch.tensor([sample.guesses[ahead] for sample, ahead in guessed], device=device),
        torch.stack([sample.odds[ahead] for sample, ahead in guessed]),
    )
