"""One continuation while it is being generated.

Everything the engine does with a sample follows from three numbers: how many of its tokens are
*known* (``len(tokens)``: the prompt's, those drawn, those forced by a tool), how many of them the
cache holds (``computed``), and how many have their log-probability (``unscored`` is the first that
does not). A pass reads tokens from ``computed`` on; when it reaches the last known token, the next
one can be drawn. Reading a prompt in pieces, decoding, reading a calculator's result, and starting
over after preemption are then all the same operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from glassmind.generate.cache.blocks import START
from glassmind.generate.fair_shares import NOBODY, Owner
from glassmind.generate.request import Generation, Request, TopLogprobs
from glassmind.generate.sampling.plain_rows import is_plain
from glassmind.generate.speculative.prompt_lookup import PromptLookup
from glassmind.generate.stop_texts import StopTexts
from glassmind.generate.token_hook import TokenHook

Finish = Literal["stop", "length", "cancelled"]


class Sample:
    """Sample ``number`` of the request that ``ticket`` names.

    ``limit`` is the number of tokens, the prompt's included, at which it ends. ``siblings`` are
    other samples of the same prompt that wait for this one to read it. A draft model guesses
    ``most_drafts`` tokens at a time, none at position ``drafts_end`` or later. ``owner`` is whose
    share of a pass it uses.
    """

    def __init__(
        self,
        ticket: int,
        number: int,
        request: Request,
        limit: int,
        hooks: Sequence[TokenHook] = (),
        most_drafts: int = 0,
        drafts_end: int = 0,
        owner: Owner = NOBODY,
    ) -> None:
        self.ticket, self.number, self.request, self.limit = ticket, number, request, limit
        self.owner = owner
        self.hooks = tuple(hooks)
        self.siblings: list[Sample] = []
        self.tokens = list(request.prompt_ids)
        self.n_prompt = len(self.tokens)
        self.computed = 0
        # The first token of a prompt is not predicted by anything.
        self.unscored = 1 if request.params.prompt_logprobs and not number else self.n_prompt
        self.first_scored = self.unscored
        self.logprobs: list[float] = []
        self.sampled_logprobs: list[float] = []  # of the tokens behind the prompt
        self.top_logprobs: list[TopLogprobs] = []
        self.forced: set[int] = set()  # indices into ``tokens``
        self.reported = self.n_prompt  # tokens that events have reported
        # Guesses of what follows the last known token, to be checked in the next pass; how many
        # are to be made; and for each guess of a draft model, the probabilities (V,) it came from.
        self.guesses: list[int] = []
        self.n_guesses = 0
        self.draft_probs: list[Tensor] = []
        self.drafted = 0  # how many of its tokens, guesses included, the draft has read
        self._most_drafts, self._drafts_end = most_drafts, drafts_end
        self._guessed_at = self.n_prompt
        self._lookup = PromptLookup(self.tokens) if request.params.lookup else None
        self.guesses_ahead = self._lookup is not None or most_drafts > 0
        # Whether its tokens are drawn as in ``plain_rows``, unless a hook forbids some; and whether
        # nothing but drawing happens to it, so that it can be in a ``decode_run``.
        self.plain = not most_drafts and is_plain(request.params)
        self.steady = self.plain and not (self.hooks or self.guesses_ahead)
        self.finish: Finish | None = None  # set while the last tokens still lack their scores
        # Its row among the running samples, and its blocks of the cache. The first ``remembered``
        # blocks are full and can be found by other samples; ``content`` names the last of these.
        self.row = -1
        self.blocks: list[int] = []
        self.remembered, self.content = 0, START
        # How many of its tokens the cache has forgotten, and how many of the first it never will:
        # only blocks of those can be shared with other samples (``step_reading``).
        self.forgotten = 0
        self.shareable = limit

    @property
    def n_new(self) -> int:
        """How many tokens have been drawn or forced."""
        return len(self.tokens) - self.n_prompt

    @property
    def due(self) -> int:
        """How many known tokens the cache does not hold yet."""
        return len(self.tokens) - self.computed

    @property
    def complete(self) -> bool:
        """Whether it has ended and every token has its log-probability."""
        return self.finish is not None and self.unscored == len(self.tokens)

    @property
    def drafts(self) -> int:
        """How many guesses a draft model makes next. It depends on this sample alone.

        There are none at the first token: some samples of a prompt are forked there from the one
        that read it, while others may have to read it again for lack of room, and both must get
        the same tokens.
        """
        if not self.n_new or self.finish is not None:
            return 0
        return max(0, min(self._most_drafts, self._drafts_end - len(self.tokens)))

    def guess(self, most: int) -> None:
        """Plan guesses for the next pass, which will reach the last known token.

        Looked-up guesses can be limited to ``most``, since they never change a token; a draft
        model always makes ``drafts``.
        """
        self.forget_guesses()
        self._guessed_at = len(self.tokens)
        if self._lookup is not None and self.due == 1 and self.finish is None:
            left = self.limit - len(self.tokens) - 1  # one token is drawn in any case
            self.guesses = self._lookup.propose(min(most, left, self.request.params.lookup))
            self.n_guesses = len(self.guesses)
        else:
            self.n_guesses = self.drafts

    def ahead(self, count: int) -> list[int]:
        """The next ``count`` tokens to be read, the guesses last."""
        return self.tokens[self.computed : self.computed + count] + self.guesses

    def came_true(self, count: int) -> bool:
        """Whether the tokens since guessing equal the first ``count`` guesses."""
        return self.tokens[self._guessed_at :] == self.guesses[:count]

    def settle(self) -> int:
        """How many guesses turned out right. Forgets all of them."""
        came = self.tokens[self._guessed_at :]
        stood = 0
        while stood < min(len(came), self.n_guesses) and came[stood] == self.guesses[stood]:
            stood += 1
        self.forget_guesses()
        return stood

    def forget_guesses(self) -> None:
        """Drop the guesses unchecked."""
        self.guesses, self.draft_probs, self.n_guesses = [], [], 0

    def history(self, n_guesses: int) -> tuple[list[int], list[int]]:
        """The prompt, and what follows it including the first ``n_guesses`` guesses."""
        prompt, new = self.tokens[: self.n_prompt], self.tokens[self.n_prompt :]
        return prompt, new + self.guesses[:n_guesses]

    def append(self, token: int, sampled_logprob: float) -> None:
        """The next token is ``token``; hooks may force more tokens, or end the sample.

        A forced token has ``sampled_logprob`` 0: it was the only one that could come.
        """
        self.tokens.append(token)
        self.sampled_logprobs.append(sampled_logprob)
        if self._lookup is not None:
            self._lookup.extend((token,))
        reactions = [hook.see(token) for hook in self.hooks] if self.hooks else ()
        finished = any(one.finished for one in reactions) if reactions else False
        if finished or token in self.request.params.stop:
            self.finish = "stop"
        elif len(self.tokens) == self.limit:
            self.finish = "length"
        for reaction in reactions:
            for later in reaction.forced:
                if self.finish is not None:
                    return
                self.forced.add(len(self.tokens))
                self.append(later, 0.0)

    def extend(
        self,
        tokens: Sequence[int],
        logprobs: Sequence[float],
        sampled_logprobs: Sequence[float],
        finish: Finish | None,
    ) -> None:
        """``append`` and ``score`` for several tokens of a sample without hooks, each of them read
        in turn except for the last; ``finish`` is how they ended it."""
        self.tokens += tokens
        self.logprobs += logprobs
        self.sampled_logprobs += sampled_logprobs
        self.computed += len(tokens)
        self.unscored += len(tokens)
        self.finish = finish

    def score(self, logprob: float, top: TopLogprobs | None) -> None:
        """Set the log-probability of the first unscored token, and the likeliest tokens there."""
        self.logprobs.append(logprob)
        if top is not None:
            self.top_logprobs.append(top)
        self.unscored += 1

    def generation(self) -> Generation:
        """The finished (or cancelled) continuation."""
        before = self.n_prompt - self.first_scored
        stop_texts = next((c for c in self.hooks if isinstance(c, StopTexts)), None)
        new = range(self.n_prompt, len(self.tokens))
        return Generation(
            token_ids=tuple(self.tokens[self.n_prompt :]),
            logprobs=tuple(self.logprobs[before:]),
            sampled_logprobs=tuple(self.sampled_logprobs),
            finish=self.finish or "cancelled",
            forced=tuple(i in self.forced for i in new) if self.forced else (),
            top_logprobs=tuple(self.top_logprobs[before:]),
            prompt_logprobs=tuple(self.logprobs[:before]),
            prompt_top_logprobs=tuple(self.top_logprobs[:before]),
            stopped_by=None if stop_texts is None else stop_texts.stopped_by,
            text=None if stop_texts is None else stop_texts.text,
        )
