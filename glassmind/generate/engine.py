"""The engine: prompts in, continuations out, many at once.

Everything that samples goes through here: evaluation, voting, the verifier's training data, the
server, a question asked at the command line. One ``step`` is

    plan        who is worked on, with how many tokens              scheduler
    forward     all of those tokens in one pass through the model   paged_cache
    score       the log-probability of every token that is known
    draw        the next token of those whose last one was read     sampler
    react       stop strings, constraints, the calculator           companion

Whoever has all requests at hand calls ``generate``. Whoever gets them one by one, as a server does,
calls ``submit``, ``step`` as long as the engine is ``busy``, and ``cancel``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.admission import Admission
from glassmind.generate.blocks import Blocks
from glassmind.generate.paged_attention import BLOCK
from glassmind.generate.paged_cache import PagedCache, token_bytes
from glassmind.generate.request import Generation, Request, TopLogprobs
from glassmind.generate.sample import Sample
from glassmind.generate.sampler import Drawn, Sampler
from glassmind.generate.scheduler import Scheduler, Work
from glassmind.generate.vocabulary import Vocabulary
from glassmind.model import Transformer

CACHE_BYTES = 1 << 30
SCORED_AT_ONCE = 512  # rows of logits: a long prompt's are never all there together


Drawing = tuple[Sample, int]
"""A token to be drawn: whose, and how many guesses stand before it."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a step added to one sample of the request that ``ticket`` names.

    ``done`` is the whole continuation, once it is complete. A request that asks for the best of
    more samples than it returns gets nothing but these, when all are drawn.
    """

    ticket: int
    sample: int
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    forced: tuple[bool, ...] = ()
    top_logprobs: tuple[TopLogprobs, ...] = ()
    done: Generation | None = None


class Engine:
    """Samples from ``model``, which it neither copies nor changes.

    At most ``max_rows`` samples are worked on at once, their keys and values in at most
    ``max_cache_bytes``; a pass brings at most ``chunk_tokens`` tokens of prompts. ``vocabulary``
    says what the tokens stand for, which stop texts and constraints need, and ``encode`` turns text
    into tokens for the calculator. ``device``, where given, is where the model is moved first.
    """

    def __init__(
        self,
        model: Transformer,
        *,
        vocabulary: Vocabulary | None = None,
        encode: Callable[[str], Sequence[int]] | None = None,
        max_rows: int = 2048,
        max_cache_bytes: int = CACHE_BYTES,
        chunk_tokens: int = 4096,
        device: torch.device | str | None = None,
    ) -> None:
        if max_rows < 1:
            raise UserError(f"max_rows must be at least 1, not {max_rows}")
        if chunk_tokens < 1:
            raise UserError(f"chunk_tokens must be at least 1, not {chunk_tokens}")
        self.model = model if device is None else model.to(device)
        weight = model.embed.weight
        self.device = weight.device
        block_bytes = BLOCK * token_bytes(model.config, weight.dtype)
        self.n_blocks = max(1, max_cache_bytes // block_bytes)
        self._admission = Admission(model.config, self.n_blocks, vocabulary, encode)
        self.blocks = Blocks(self.n_blocks)
        cache = PagedCache(model.config, self.n_blocks, max_rows, weight.dtype, self.device)
        self.scheduler = Scheduler(cache, self.blocks, max_rows, chunk_tokens)
        self._tickets = 0
        self._sampler: tuple[list[Drawing], Sampler] | None = None
        # Requests of which the best are chosen: what is drawn already.
        self._contests: dict[int, list[tuple[int, Generation]]] = {}

    # ------------------------------------------------------------------ all at once

    def generate(
        self,
        requests: Sequence[Request],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Generation]]:
        """For each request, in order, the list of its ``params.samples`` generations.

        ``progress(finished, total)`` is called with numbers of samples whenever some finish.
        A generation, its prompt included, never exceeds the context (``config.max_tokens``).

        Raises ``UserError``, before any work, for a prompt that is empty, leaves no room in the
        context, or holds an id outside the vocabulary. The engine must not be busy with requests
        that were submitted one by one.
        """
        if self.busy:
            raise RuntimeError("the engine is busy: generate would lose the others' events")
        for number, request in enumerate(requests):
            self._admission.check(request, f"prompt {number}")
        first = self._tickets
        for request in requests:
            self.submit(request)
        results: list[dict[int, Generation]] = [{} for _ in requests]
        total, finished = sum(request.params.samples for request in requests), 0
        try:
            with self._as_it_generates():
                while finished < total:
                    before = finished
                    for event in self._step(told=False):
                        assert event.done is not None
                        results[event.ticket - first][event.sample] = event.done
                        finished += 1
                    if progress is not None and finished > before:
                        progress(finished, total)
        except BaseException:
            for ticket in range(first, self._tickets):
                self.cancel(ticket)
            raise
        return [[done[number] for number in sorted(done)] for done in results]

    # ------------------------------------------------------------------ one by one

    def submit(self, request: Request) -> int:
        """Queue a request; its ticket.

        Raises ``UserError`` as ``generate`` does, and if the request needs what the engine was not
        given, or a longer context than its cache holds.
        """
        self._admission.check(request, "the prompt")
        params, ticket = request.params, self._tickets
        self._tickets += 1
        samples = self._admission.samples(ticket, request)
        samples[0].twins = samples[1:]
        if params.drawn_samples > params.samples:
            self._contests[ticket] = []
        self.scheduler.waiting.append(samples[0])
        return ticket

    def cancel(self, ticket: int) -> None:
        """Drop a request and free what it holds; no event of it follows. Unknown ones are none."""
        self.scheduler.cancel(ticket)
        self._contests.pop(ticket, None)

    @property
    def busy(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.scheduler.running or self.scheduler.waiting)

    @property
    def n_running(self) -> int:
        """Samples that are being worked on."""
        return len(self.scheduler.running)

    @property
    def n_waiting(self) -> int:
        """Samples that are not."""
        return sum(1 + len(sample.twins) for sample in self.scheduler.waiting)

    @property
    def n_free_blocks(self) -> int:
        """Blocks of the cache that nobody uses."""
        return self.blocks.n_free

    def step(self) -> list[Event]:
        """One pass through the model; what came of it, oldest sample first."""
        with self._as_it_generates():
            return self._step(told=True)

    # ------------------------------------------------------------------ one step

    def _step(self, told: bool) -> list[Event]:
        work = self.scheduler.plan()
        if not work:
            return []
        hidden_TD = self._forward(work)
        self._score(work, hidden_TD)
        for sample, count in work:
            sample.computed += count - len(sample.guesses)  # whether those stand is not known yet
            self.scheduler.remember(sample)
        self._draw(work, hidden_TD)
        events = [self._event(sample) for sample in self.scheduler.running] if told else []
        done = [sample for sample in self.scheduler.running if sample.complete]
        self.scheduler.remove_all(done)
        ends = [end for sample in done for end in self._ends(sample)]
        return [event for event in events if event.token_ids] + ends

    @contextlib.contextmanager
    def _as_it_generates(self) -> Iterator[None]:
        training = self.model.training
        if training:
            self.model.eval()
        try:
            # What a trainer compiled for its one batch shape must not be recompiled for ours.
            with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
                yield
        finally:
            if training:
                self.model.train()

    def _forward(self, work: Work) -> Tensor:
        """The final hidden states of the pass's tokens (T, D), sample after sample."""
        ids: list[int] = []
        rows: list[int] = []
        positions: list[int] = []
        for sample, count in work:
            at = sample.computed
            ids += sample.tokens[at : at + count]
            ids += sample.guesses
            positions += range(at, at + count)
            rows += [sample.row] * count
        cache, device = self.scheduler.cache, self.device
        positions_T = torch.tensor(positions, device=device)
        cache.expect(torch.tensor(rows, device=device), positions_T)
        ids_1T = torch.tensor([ids], device=device)
        return self.model.hidden(ids_1T, positions=positions_T, cache=cache)[0]

    def _score(self, work: Work, hidden_TD: Tensor) -> None:
        """Give every token that is known and was predicted in this pass its log-probability."""
        places: list[int] = []
        targets: list[int] = []
        owners: list[Sample] = []
        start = 0
        for sample, count in work:
            first = max(sample.unscored, sample.computed + 1)
            last = min(sample.computed + count + 1, len(sample.tokens))
            for at in range(first, last):
                places.append(start + at - 1 - sample.computed)
                targets.append(sample.tokens[at])
                owners.append(sample)
            start += count
        for first in range(0, len(places), SCORED_AT_ONCE):
            chunk = slice(first, first + SCORED_AT_ONCE)
            logprobs_RV = self.model.logits(hidden_TD[places[chunk]]).float().log_softmax(1)
            wanted = max(owner.request.params.top_logprobs for owner in owners[chunk])
            top = logprobs_RV.topk(min(wanted, logprobs_RV.shape[1])) if wanted else None
            target = torch.tensor(targets[chunk], device=self.device)
            values = logprobs_RV.gather(1, target[:, None])[:, 0].tolist()
            tops = None if top is None else (top.indices.tolist(), top.values.tolist())
            for row, (owner, value) in enumerate(zip(owners[chunk], values, strict=True)):
                owner.score(value, _top_of(owner, tops, row))

    def _draw(self, work: Work, hidden_TD: Tensor) -> None:
        """The next token of every sample that has none left to read; twins start here.

        A sample with guesses draws in the place of each, too, and keeps what the guesses that came
        true lead to.
        """
        drawing: list[Drawing] = []
        places: list[int] = []
        allowed: dict[int, Tensor] = {}
        start = 0
        for sample, count in work:
            start += count
            if sample.due or sample.finish is not None:
                continue
            last = start - 1 - len(sample.guesses)  # where its last known token stands
            for one in (sample, *(self.scheduler.fork(sample) if sample.twins else ())):
                mask = self._allowed(one) if one.companions else None
                if mask is not None:
                    if not mask.any():  # its constraint has come to an end, or to a dead one
                        one.finish = "stop"
                        continue
                    allowed[len(drawing)] = mask
                for ahead in range(len(one.guesses) + 1):
                    drawing.append((one, ahead))
                    places.append(last + ahead)
        if not drawing:
            return
        unique = sorted(set(places))
        logits_RV = self.model.logits(hidden_TD[unique])
        if len(unique) < len(places):
            row_of = {place: row for row, place in enumerate(unique)}
            logits_RV = logits_RV[[row_of[place] for place in places]]
        drawn = self._drawn(drawing, logits_RV, allowed)
        if not torch.isfinite(drawn.logprobs_R).all():
            raise UserError(
                "the model's logits are not numbers (NaN): its weights are damaged, or training "
                "diverged; use an earlier checkpoint"
            )
        tops = None if drawn.top is None else (drawn.top[0].tolist(), drawn.top[1].tolist())
        tokens, logprobs = drawn.tokens_R.tolist(), drawn.logprobs_R.tolist()
        for row, (sample, ahead) in enumerate(drawing):
            if ahead:
                if sample.finish is not None or not sample.came_true(ahead):
                    continue
                sample.computed += 1
            sample.append(tokens[row])
            sample.score(logprobs[row], _top_of(sample, tops, row))

    def _drawn(
        self, drawing: list[Drawing], logits_RV: Tensor, allowed: dict[int, Tensor]
    ) -> Drawn:
        if self._sampler is None or self._sampler[0] != drawing:
            params = [sample.request.params for sample, _ in drawing]
            numbers = [sample.number for sample, _ in drawing]
            self._sampler = (drawing, Sampler(params, numbers, self.device))
        sampler = self._sampler[1]
        steps = torch.tensor([one.n_new + ahead for one, ahead in drawing], device=self.device)
        histories = None
        if sampler.needs_history:
            histories = []
            for one, ahead in (drawing[row] for row in sampler.needs_history):
                new = [*one.tokens[one.n_prompt :], *one.guesses[:ahead]]
                histories.append((one.tokens[: one.n_prompt], new))
        return sampler.draw(logits_RV, steps, histories, allowed)

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
        return F.pad(together, (0, self.model.config.vocab_size - len(together)))

    # ------------------------------------------------------------------ what came of it

    def _event(self, sample: Sample) -> Event:
        """What is new and scored; nothing of a request whose best samples are still unknown."""
        if sample.ticket in self._contests:
            return Event(sample.ticket, sample.number)
        first, last = sample.told, sample.unscored
        sample.told = max(first, last)
        scores = slice(first - sample.first_scored, last - sample.first_scored)
        return Event(
            sample.ticket,
            sample.number,
            tuple(sample.tokens[first:last]),
            tuple(sample.logprobs[scores]),
            tuple(at in sample.forced for at in range(first, last)),
            tuple(sample.top_logprobs[scores]),
        )

    def _ends(self, sample: Sample) -> list[Event]:
        """The events that a complete sample's end allows."""
        generation, ticket = sample.generation(), sample.ticket
        if ticket not in self._contests:
            return [Event(ticket, sample.number, done=generation)]
        contest, params = self._contests[ticket], sample.request.params
        contest.append((sample.number, generation))
        if len(contest) < params.drawn_samples:
            return []
        del self._contests[ticket]
        # Best first; of equals the one drawn first.
        contest.sort(key=lambda entry: (-_mean(entry[1].logprobs), entry[0]))
        best = contest[: params.samples]
        return [Event(ticket, number, done=done) for number, (_, done) in enumerate(best)]


def _top_of(
    sample: Sample, tops: tuple[list[list[int]], list[list[float]]] | None, row: int
) -> TopLogprobs | None:
    wanted = sample.request.params.top_logprobs
    if not wanted or tops is None:
        return None
    return tuple(zip(tops[0][row][:wanted], tops[1][row][:wanted], strict=True))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / max(1, len(numbers))
