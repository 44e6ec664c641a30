"""The next token of every sample whose known tokens have all been read.

A sample with guesses (see ``speculative``) draws a token in the place of each guess as well, and
keeps those up to the first that differs from its guess: a token drawn after a guess is only valid
if that guess is what was drawn in its own place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.generate.constraint.matcher import find_masks
from glassmind.generate.model_runner import LanguageModel
from glassmind.generate.packed.native_calls import Calls, calls
from glassmind.generate.sample import Sample
from glassmind.generate.sampling.plain_rows import DRAWN, draw_plain
from glassmind.generate.sampling.sampler import Drawn, Sampler
from glassmind.generate.scheduler import Scheduler, Work
from glassmind.generate.scoring import require_numbers, top_of
from glassmind.generate.speculative.acceptance import Guesses

Slot = tuple[Sample, int]
"""A token to be drawn: its sample, and how many of the sample's guesses stand before it."""


class TokenSampler:
    """Draws tokens from the logits of ``model``.

    Siblings of a sample whose prompt has just been read are started by ``scheduler`` and draw their
    first tokens here. ``guessed`` counts the guesses that were checked, ``accepted`` those kept.
    """

    def __init__(self, model: LanguageModel, scheduler: Scheduler) -> None:
        self._model, self._scheduler = model, scheduler
        self._sampler: tuple[list[Slot], Sampler] | None = None
        self.guessed = self.accepted = 0

    def sample(self, work: Work, hidden_TD: Tensor) -> list[Sample]:
        """Append the next tokens to every sample of ``work`` that has no unread token left.

        Returns the siblings that were started.
        """
        begun: list[Sample] = []
        slots: list[Slot] = []
        places: list[int] = []
        allowed: dict[int, Tensor] = {}
        start = 0
        followed = [one for one, _ in work if one.hooks and not one.due and not one.finish]
        find_masks(hook for one in followed for hook in one.hooks)
        for sample, count in work:
            start += count
            if sample.due or sample.finish is not None:
                continue
            if not (sample.hooks or sample.guesses or sample.siblings):
                slots.append((sample, 0))
                places.append(start - 1)
                continue
            last = start - 1 - len(sample.guesses)  # the place of its last known token
            forked = self._scheduler.fork(sample) if sample.siblings else []
            begun += forked
            for one in (sample, *forked):
                mask = self._allowed(one) if one.hooks else None
                if mask is not None:
                    if (
                        not mask.numpy().any()
                    ):  # a dead end: the text so far fits, but no token can continue it
                        one.finish = "length"
                        continue
                    allowed[len(slots)] = mask
                for ahead in range(len(one.guesses) + 1):
                    slots.append((one, ahead))
                    places.append(last + ahead)
        if not slots:
            return begun
        logits_RV = self._logits(hidden_TD, places)
        native = calls() if logits_RV.device.type == "cpu" else None
        plain = [r for r, (one, _) in enumerate(slots) if one.plain and r not in allowed]
        if native is not None and plain:
            mine = [slots[row] for row in plain]
            self._append(mine, _draw_plain(native, mine, _rows_of(logits_RV, plain)))
            if len(plain) == len(slots):
                return begun
            drawn = set(plain)
            others = [row for row in range(len(slots)) if row not in drawn]
            allowed = {at: allowed[row] for at, row in enumerate(others) if row in allowed}
            slots, logits_RV = [slots[row] for row in others], _rows_of(logits_RV, others)
        self._append(slots, self._draw(slots, logits_RV, allowed))
        return begun

    def _logits(self, hidden_TD: Tensor, places: list[int]) -> Tensor:
        """The logits at these places, which ascend; siblings share a place, computed once."""
        places_R = torch.tensor(places, device=hidden_TD.device)
        unique_U, row_R = places_R.unique_consecutive(return_inverse=True)
        all_of_them = len(unique_U) == len(hidden_TD)
        logits_UV = self._model.logits(hidden_TD if all_of_them else hidden_TD[unique_U])
        return logits_UV if len(unique_U) == len(places) else logits_UV[row_R]

    def _append(self, slots: list[Slot], drawn: Drawn) -> None:
        require_numbers(bool(torch.isfinite(drawn.logprobs_R).all()))
        tops = None if drawn.top is None else (drawn.top[0].tolist(), drawn.top[1].tolist())
        tokens, logprobs = drawn.tokens_R.tolist(), drawn.logprobs_R.tolist()
        same = drawn.sampled_logprobs_R is drawn.logprobs_R
        sampled_logprobs = logprobs if same else drawn.sampled_logprobs_R.tolist()
        for row, (sample, ahead) in enumerate(slots):
            if ahead:
                if sample.finish is not None or not sample.came_true(ahead):
                    continue
                sample.computed += 1
            sample.append(tokens[row], sampled_logprobs[row])
            sample.score(logprobs[row], None if tops is None else top_of(sample, tops, row))
        for sample, ahead in slots:
            if ahead and ahead == len(sample.guesses):
                self.guessed += ahead
                self.accepted += sample.settle()

    def _draw(self, slots: list[Slot], logits_RV: Tensor, allowed: dict[int, Tensor]) -> Drawn:
        device = logits_RV.device
        if self._sampler is None or self._sampler[0] != slots:
            params = [sample.request.params for sample, _ in slots]
            numbers = [sample.number for sample, _ in slots]
            self._sampler = (slots, Sampler(params, numbers, device))
        sampler = self._sampler[1]
        steps_R = torch.tensor([one.n_new + ahead for one, ahead in slots], device=device)
        histories = [slots[row][0].history(slots[row][1]) for row in sampler.needs_history]
        return sampler.draw(logits_RV, steps_R, histories, allowed, _to_be_judged(slots, device))

    def _allowed(self, sample: Sample) -> Tensor | None:
        """The tokens that all hooks of a sample allow, bool (V,); ``None`` if none forbids any."""
        together: Tensor | None = None
        for hook in sample.hooks:
            mask = hook.allowed()
            if mask is None:
                continue
            # A model's vocabulary may be a little larger than its tokenizer's.
            spare = self._model.config.vocab_size - len(mask)
            mask = F.pad(mask, (0, spare)) if spare else mask
            together = mask if together is None else together & mask
        return together


def _draw_plain(native: Calls, slots: list[Slot], logits_RV: Tensor) -> Drawn:
    rows = ((one.request.params, one.number) for one, _ in slots)
    drawn = draw_plain(native, logits_RV, rows, [one.n_new + ahead for one, ahead in slots])
    tokens_R, logprobs_R, sampled_R = (torch.from_numpy(drawn[name]) for name in DRAWN.names or ())
    return Drawn(tokens_R, logprobs_R, sampled_R)


def _rows_of(logits_RV: Tensor, rows: list[int]) -> Tensor:
    return logits_RV if len(rows) == len(logits_RV) else logits_RV[rows]


def _to_be_judged(slots: list[Slot], device: torch.device) -> Guesses | None:
    """A draft model's guesses, each with the row of its slot."""
    rows = [row for row, (sample, ahead) in enumerate(slots) if ahead < len(sample.draft_probs)]
    if not rows:
        return None
    guessed = [slots[row] for row in rows]
    return Guesses(
        torch.tensor(rows, device=device),
        torch.tensor([sample.guesses[ahead] for sample, ahead in guessed], device=device),
        torch.stack([sample.draft_probs[ahead] for sample, ahead in guessed]),
    )
