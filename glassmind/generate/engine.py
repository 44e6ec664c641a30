"""The engine: prompts in, continuations out, many at once.

Everything that samples goes through here: evaluation, voting, the verifier's training data, the
server, a question asked at the command line. One ``step`` is

    plan        which samples are worked on, with how many tokens       scheduler, fair_shares
    guess       what may follow, if a draft model guesses ahead         draft_model
    run         all of those tokens in one pass through the model       model_runner, paged_cache
    score       the log-probability of every token known before         scoring
    sample      the next token of those whose last token was read       token_sampler, sampler
    react       stop strings, constraints, the calculator               token_hook

While every sample only reads the token it drew last and draws the next, several such steps are done
in one compiled call, if there is a packed model (``decode_run``).

A caller that has all its requests at hand calls ``generate``. One that gets them one by one, as a
server does, calls ``submit``, then ``step`` as long as the engine is ``busy``, and ``cancel``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from glassmind.errors import UserError
from glassmind.generate.admission import Admission, refuse_guesses
from glassmind.generate.best_of import BestOf
from glassmind.generate.cache.blocks import Blocks
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.decode_run import DecodeRuns, can_run
from glassmind.generate.fair_shares import NOBODY, Owner
from glassmind.generate.model_runner import LanguageModel, ModelRunner, block_bytes
from glassmind.generate.packed.model import PackedModel
from glassmind.generate.packed.native_calls import calls
from glassmind.generate.request import Generation, Request, TopLogprobs
from glassmind.generate.sample import Sample
from glassmind.generate.scheduler import Scheduler, Work
from glassmind.generate.scoring import score_known
from glassmind.generate.speculative.draft_model import Draft, check_draft
from glassmind.generate.token_sampler import TokenSampler
from glassmind.model import Transformer
from glassmind.model.eager import uncompiled

CACHE_BYTES = 1 << 30

# The longest runs of decode steps (``decode_run``): while a caller waits for each token, or samples
# wait for a place, they are short. No step begins after so many seconds of a run: in ``generate``,
# in a step that reports its tokens, and in one where another owner may be waiting.
SHORT_RUN, LONG_RUN = 16, 64
SECONDS, SECONDS_REPORTED, SECONDS_SHARED = 0.25, 0.02, 0.005


@dataclass(frozen=True, slots=True)
class Event:
    """What a step added to one sample of the request that ``ticket`` names.

    The fields are those of ``Generation``, for the new tokens only. ``done`` is the whole
    continuation, once it is complete. A request with ``best_of`` gets only events with ``done``,
    when all its samples are drawn.
    """

    ticket: int
    sample: int
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    sampled_logprobs: tuple[float, ...] = ()
    forced: tuple[bool, ...] = ()
    top_logprobs: tuple[TopLogprobs, ...] = ()
    done: Generation | None = None


class Engine:
    """Samples from ``model``, which it does not copy.

    At most ``max_rows`` samples are worked on at once. Their keys and values take at most
    ``max_cache_bytes``, stored as ``cache_dtype`` (by default the model's own); a pass reads at
    most ``chunk_tokens`` tokens of prompts. ``vocabulary`` maps tokens to bytes, for stop texts and
    constraints; ``encode`` turns text into tokens, for the calculator. ``device``, if given, is
    where the model is moved first.

    ``draft`` is a small model of the same vocabulary that guesses ``draft_tokens`` tokens at a time
    for every request without look-up, constraint or calculator. Greedy requests give the same
    tokens as without a draft, others tokens of the same distribution (``acceptance``).

    After the model's weights have changed, as in training, ``refresh`` must be called before the
    engine is used again, because its cache holds keys and values of the old weights.
    """

    def __init__(
        self,
        model: LanguageModel,
        *,
        vocabulary: Vocabulary | None = None,
        encode: Callable[[str], Sequence[int]] | None = None,
        max_rows: int = 2048,
        max_cache_bytes: int = CACHE_BYTES,
        chunk_tokens: int = 4096,
        cache_dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        draft: LanguageModel | None = None,
        draft_tokens: int = 4,
    ) -> None:
        if max_rows < 1:
            raise UserError(f"max_rows must be at least 1, not {max_rows}")
        if chunk_tokens < 1:
            raise UserError(f"chunk_tokens must be at least 1, not {chunk_tokens}")
        both = [model] if draft is None else [model, draft]
        if draft is not None:
            check_draft(model, draft, draft_tokens)
            refuse_guesses(model.config, "a draft model")
            refuse_guesses(draft.config, "a draft model")
        for one in both:
            if device is not None and isinstance(one, Transformer):
                one.to(device)
        self.model = model
        self.n_blocks = max(
            1, max_cache_bytes // sum(block_bytes(one, cache_dtype) for one in both)
        )
        guesses = (0, 0) if draft is None else (draft_tokens, draft.config.max_tokens)
        self._admission = Admission(model.config, self.n_blocks, vocabulary, encode, *guesses)
        self.blocks = Blocks(self.n_blocks)
        self._runner = ModelRunner(model, self.n_blocks, max_rows, cache_dtype)
        self.scheduler = Scheduler(self._runner.cache, self.blocks, max_rows, chunk_tokens)
        self._draft: Draft | None = None
        if draft is not None:
            self._draft = Draft(draft, self._runner, self.n_blocks, max_rows, cache_dtype)
            self.scheduler.caches.append(self._draft.runner.cache)
        self._token_sampler = TokenSampler(model, self.scheduler)
        self.step_seconds = 0.0  # spent in steps since the beginning; the rest is the caller's time
        self._runs: DecodeRuns | None = None
        if isinstance(model, PackedModel) and draft is None and calls() is not None:
            self._runs = DecodeRuns(model, self._runner.cache)
        self._tickets = 0
        self._best_of: dict[int, BestOf] = {}  # by ticket

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
            raise RuntimeError("the engine is busy: generate would lose other requests' events")
        for number, request in enumerate(requests):
            self._admission.check(request, f"prompt {number}")
        first = self._tickets
        for request in requests:
            self.submit(request)
        results: list[dict[int, Generation]] = [{} for _ in requests]
        total, finished = sum(request.params.samples for request in requests), 0
        try:
            with self._inference():
                while finished < total:
                    before = finished
                    for event in self._step(report=False):
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

    def submit(self, request: Request, owner: Owner = NOBODY) -> int:
        """Queue a request; its ticket. Different owners share every pass (``fair_shares``); the
        default is one owner for all.

        Raises ``UserError`` as ``generate`` does, and if the request needs what the engine was not
        given, or a longer context than its cache holds.
        """
        self._admission.check(request, "the prompt")
        params, ticket = request.params, self._tickets
        self._tickets += 1
        samples = self._admission.samples(ticket, request, owner)
        samples[0].siblings = samples[1:]
        if params.drawn_samples > params.samples:
            self._best_of[ticket] = BestOf(params)
        self.scheduler.add(samples[0])
        return ticket

    def cancel(self, ticket: int) -> None:
        """Drop a request and free what it holds; no event of it follows. Unknown tickets are
        ignored."""
        self.scheduler.cancel(ticket)
        self._best_of.pop(ticket, None)

    def refresh(self, model: Transformer | None = None) -> None:
        """The weights have changed: use the new ones, and forget what the old ones computed.

        An engine for a ``Transformer`` uses its weights where they are, so ``model`` is not needed.
        If the engine's model is packed, ``model`` holds the new weights and has the same config.
        Keys and values in the cache are dropped, so that no prompt begins with old ones.

        Raises ``RuntimeError`` while the engine is busy, and ``UserError`` for weights that the
        packed model cannot take.
        """
        if self.busy:
            raise RuntimeError("the engine is busy: finish or cancel its requests before a refresh")
        if isinstance(self.model, PackedModel):
            if model is None:
                raise ValueError("a packed model needs the Transformer that holds its new weights")
            self.model.refresh(model)
        elif model is not None and model is not self.model:
            raise ValueError("this engine runs another model; change that model's weights")
        self.blocks.forget_contents()

    @property
    def busy(self) -> bool:
        """Whether any request is unfinished."""
        return bool(self.scheduler.running or self.scheduler.waiting)

    @property
    def n_running(self) -> int:
        """Samples that are being worked on."""
        return len(self.scheduler.running)

    @property
    def n_waiting(self) -> int:
        """Samples that wait for a row or for memory."""
        return self.scheduler.n_waiting

    @property
    def n_free_blocks(self) -> int:
        """Blocks of the cache that no sample uses."""
        return self.blocks.n_free

    @property
    def guessed(self) -> int:
        """How many guesses, a draft's or looked-up ones, were checked since the beginning."""
        return self._token_sampler.guessed

    @property
    def accepted(self) -> int:
        """How many guesses were right; each saved its sample a pass."""
        return self._token_sampler.accepted

    @property
    def seconds_in_runs(self) -> float:
        """The time that the model took within runs of several steps (``decode_run``)."""
        return 0.0 if self._runs is None else self._runs.model_seconds

    def step(self) -> list[Event]:
        """One pass through the model, or some decode steps, and what that added to each sample."""
        with self._inference():
            return self._step(report=True)

    # ------------------------------------------------------------------ one step

    def _step(self, report: bool) -> list[Event]:
        began = time.perf_counter()
        try:
            return self._advance(report)
        finally:
            self.step_seconds += time.perf_counter() - began

    def _advance(self, report: bool) -> list[Event]:
        work = self.scheduler.plan()
        if not work:
            return []
        cost = self.scheduler.cost
        cost.begin(time.perf_counter())
        if self._runs is not None and can_run(self.model, work):
            touched = self._run(self._runs, [sample for sample, _ in work], report)
        else:
            touched = self._pass(work)
        new = [s for s in touched if s.unscored > s.reported] if report else []
        events = [self._event(sample) for sample in new]
        done = [s for s in touched if s.finish is not None and s.complete]
        self.scheduler.end(done)
        if not self.busy:
            cost.pause()
        ends = [end for sample in done for end in self._ends(sample)]
        return [event for event in events if event.token_ids] + ends

    def _run(self, runs: DecodeRuns, samples: list[Sample], report: bool) -> list[Sample]:
        """Several decode steps in one call; the samples."""
        most = LONG_RUN if not (report or self.n_waiting) else SHORT_RUN
        steps = self.scheduler.reserve(samples, most)
        before = [sample.computed for sample in samples]
        seconds = SECONDS_SHARED if self.scheduler.shared else SECONDS_REPORTED
        steps = runs.run(samples, steps, seconds if report else SECONDS)
        for sample in samples:
            if sample.computed >= (sample.remembered + 1) * BLOCK:
                self.scheduler.remember(sample)
        drawn = sum(sample.computed for sample in samples) - sum(before)
        self.scheduler.cost.did(max(1, round(drawn / steps)), 0, steps)
        return samples

    def _pass(self, work: Work) -> list[Sample]:
        """One pass through the model; the samples that it worked on."""
        drawn = 0
        if self._draft is not None:
            self._draft.guess(work)
        steps = self._runner.steps
        if steps is not None:
            for sample, _ in work:
                steps.forgotten[sample.row] = sample.forgotten
        hidden_TD = self._runner.run(
            (sample.row, sample.computed, sample.ahead(count)) for sample, count in work
        )
        if steps is not None:
            for sample, _ in work:
                sample.forgotten = steps.forgotten[sample.row]
        score_known(self.model, work, hidden_TD)
        for sample, count in work:
            sample.computed += count - len(sample.guesses)  # those are not accepted yet
            if sample.computed >= (sample.remembered + 1) * BLOCK:
                self.scheduler.remember(sample)
            if not sample.due:
                drawn += 1 + len(sample.siblings)
        self.scheduler.cost.did(drawn, max(0, len(hidden_TD) - drawn))
        return [sample for sample, _ in work] + self._token_sampler.sample(work, hidden_TD)

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        runners = [self._runner] if self._draft is None else [self._runner, self._draft.runner]
        training = [runner for runner in runners if runner.training]
        for runner in training:
            runner.train(False)
        try:
            # A trainer may have compiled the model for its one batch shape; ours changes each pass.
            with torch.inference_mode(), uncompiled():
                yield
        finally:
            for runner in training:
                runner.train(True)

    # ------------------------------------------------------------------ events

    def _event(self, sample: Sample) -> Event:
        """The tokens that are new and scored; none for a request with ``best_of``."""
        if sample.ticket in self._best_of:
            return Event(sample.ticket, sample.number)
        first, last = sample.reported, sample.unscored
        sample.reported = max(first, last)
        scores = slice(first - sample.first_scored, last - sample.first_scored)
        new = slice(first - sample.n_prompt, last - sample.n_prompt)
        return Event(
            sample.ticket,
            sample.number,
            tuple(sample.tokens[first:last]),
            tuple(sample.logprobs[scores]),
            tuple(sample.sampled_logprobs[new]),
            tuple(at in sample.forced for at in range(first, last)),
            tuple(sample.top_logprobs[scores]),
        )

    def _ends(self, sample: Sample) -> list[Event]:
        """The events with ``done`` that are due now that ``sample`` is complete."""
        generation, ticket = sample.generation(), sample.ticket
        if ticket not in self._best_of:
            return [Event(ticket, sample.number, done=generation)]
        best = self._best_of[ticket].add(sample.number, generation)
        if best:
            del self._best_of[ticket]
        return [Event(ticket, number, done=done) for number, done in enumerate(best)]
