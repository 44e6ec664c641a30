"""One continuation while it is being made.

Everything the engine does with a sample follows from three numbers: how many of its tokens are
*known* (``len(tokens)``: the prompt's, those drawn, those forced by a tool), how many of them the
cache holds (``computed``), and how many have their log-probability (``scored``). A pass brings
tokens ``computed`` to some later one; where it reaches the last known token, the next can be
drawn. Reading a prompt in pieces, decoding, a calculator's result and starting over after being put
off are all the same then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from glassmind.generate.cache.blocks import START
from glassmind.generate.companion import Companion
from glassmind.generate.request import Generation, Request, TopLogprobs
from glassmind.generate.speculative.prompt_lookup import PromptLookup
from glassmind.generate.stop_texts import StopTexts

Finish = Literal["stop", "length", "cancelled"]


class Sample:
    """Sample ``number`` of the request that ``ticket`` names.

    ``limit`` is the number of tokens, the prompt's included, at which it ends. ``twins`` are other
    samples of the same prompt that wait for this one to read it. A draft model guesses
    ``most_drafts`` tokens at a time, none of which comes to stand beyond ``drafts_end`` tokens.
    """

    def __init__(
        self,
        ticket: int,
        number: int,
        request: Request,
        limit: int,
        companions: Sequence[Companion] = (),
        most_drafts: int = 0,
        drafts_end: int = 0,
    ) -> None:
        self.ticket, self.number, self.request, self.limit = ticket, number, request, limit
        self.companions = tuple(companions)
        self.twins: list[Sample] = []
        self.tokens = list(request.prompt_ids)
        self.n_prompt = len(self.tokens)
        self.computed = 0
        # The first token of all has nothing that predicts it.
        self.unscored = 1 if request.params.prompt_logprobs and not number else self.n_prompt
        self.first_scored = self.unscored
        self.logprobs: list[float] = []
        self.top_logprobs: list[TopLogprobs] = []
        self.forced: set[int] = set()  # indices into ``tokens``
        self.told = self.n_prompt  # tokens that events have reported
        # What may come after the last known token, to be checked in the next pass; how many of
        # them there are to be; and, for those to be weighed, a draft's probabilities (V,) each.
        self.guesses: list[int] = []
        self.n_guesses = 0
        self.odds: list[Tensor] = []
        self.drafted = 0  # how many of its tokens, guesses included, the draft has read
        self._most_drafts, self._drafts_end = most_drafts, drafts_end
        self._guessed_at = self.n_prompt
        self._lookup = PromptLookup(self.tokens) if request.params.lookup else None
        self.guesses_ahead = self._lookup is not None or most_drafts > 0
        self.finish: Finish | None = None  # set while the last tokens still lack their scores
        # Its place among the running, and its blocks of the cache; ``remembered`` of them are full
        # and can be found by others, the last of them under ``content``.
        self.row = -1
        self.blocks: list[int] = []
        self.remembered, self.content = 0, START

    @property
    def n_new(self) -> int:
        """How many tokens have been drawn or forced."""
        return len(self.tokens) - self.n_prompt

    @property
    def due(self) -> int:
        """How many known tokens the cache does not hold."""
        return len(self.tokens) - self.computed

    @property
    def complete(self) -> bool:
        """Whether it has ended and every token has its log-probability."""
        return self.finish is not None and self.unscored == len(self.tokens)

    @property
    def drafts(self) -> int:
        """How many guesses a draft makes at its next token: a function of the sample alone.

        None at the first token, for there the samples of one prompt part: some are forked from the
        one that read it, and others, for want of room, read it again.
        """
        if not self.n_new or self.finish is not None:
            return 0
        return max(0, min(self._most_drafts, self._drafts_end - len(self.tokens)))

    def guess(self, most: int) -> None:
        """Have guesses checked in the next pass, which reaches the last known token.

        Looked-up ones are at most ``most``, since they change no token; a draft makes ``drafts``.
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
        """Whether the tokens since the guess are its first ``count``."""
        return self.tokens[self._guessed_at :] == self.guesses[:count]

    def settle(self) -> int:
        """How many guesses turned out to stand; they are done with."""
        came = self.tokens[self._guessed_at :]
        stood = 0
        while stood < min(len(came), self.n_guesses) and came[stood] == self.guesses[stood]:
            stood += 1
        self.forget_guesses()
        return stood

    def forget_guesses(self) -> None:
        """Nothing is to be checked."""
        self.guesses, self.odds, self.n_guesses = [], [], 0

    def history(self, n_guesses: int) -> tuple[list[int], list[int]]:
        """The prompt, and what follows it, the first ``n_guesses`` guesses included."""
        prompt, new = self.tokens[: self.n_prompt], self.tokens[self.n_prompt :]
        return prompt, new + self.guesses[:n_guesses]

    def append(self, token: int) -> None:
        """The next token is ``token``; companions may force more, or end the sample."""
        self.tokens.append(token)
        if self._lookup is not None:
            self._lookup.extend((token,))
        forced: list[int] = []
        ended = token in self.request.params.stop
        for companion in self.companions:
            reaction = companion.see(token)
            ended |= reaction.finished
            forced.extend(reaction.forced)
        if ended:
            self.finish = "stop"
        elif len(self.tokens) == self.limit:
            self.finish = "length"
        for later in forced:
            if self.finish is not None:
                break
            self.forced.add(len(self.tokens))
            self.append(later)

    def score(self, logprob: float, top: TopLogprobs | None) -> None:
        """The next unscored token's log-probability, and the likeliest tokens in its place."""
        self.logprobs.append(logprob)
        if top is not None:
            self.top_logprobs.append(top)
        self.unscored += 1

    def generation(self) -> Generation:
        """What came of it."""
        before = self.n_prompt - self.first_scored
        stop_texts = next((c for c in self.companions if isinstance(c, StopTexts)), None)
        new = range(self.n_prompt, len(self.tokens))
        return Generation(
            token_ids=tuple(self.tokens[self.n_prompt :]),
            logprobs=tuple(self.logprobs[before:]),
            finish=self.finish or "cancelled",
            forced=tuple(i in self.forced for i in new) if self.forced else (),
            top_logprobs=tuple(self.top_logprobs[before:]),
            prompt_logprobs=tuple(self.logprobs[:before]),
            prompt_top_logprobs=tuple(self.top_logprobs[:before]),
            stopped_by=None if stop_texts is None else stop_texts.stopped_by,
            text=None if stop_texts is None else stop_texts.text,
        )
