"""Following one output: which tokens may come next, and which must.

A ``Follower`` owns a parser (``LLMatcher``), which takes microseconds per token. A mask takes 10 to
300 microseconds; ``find_masks`` computes those of all samples of a pass in parallel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar_tokenizer import GrammarTokenizer
from glassmind.generate.token_hook import NOTHING, Reaction, TokenHook

if TYPE_CHECKING:
    from llguidance import LLExecutor, LLMatcher

COMPILE_FUEL = 500_000  # work on the regular expressions of a grammar: about a second
MAX_STATES = 50_000  # of a matcher's lexer, 1 to 2 kB each
TRIED_TOKENS = 3  # some hostile grammars become expensive only as tokens are consumed
LONGEST_ERROR = 200  # characters of llguidance's own words

FINISHED = Reaction(finished=True)


class Masks:
    """Makes matchers of grammars, and finds which tokens they allow."""

    def __init__(self, tokenizer: GrammarTokenizer) -> None:
        self.tokenizer = tokenizer
        self.n_tokens = tokenizer.tokens.vocab_size

    def matcher(self, grammar: str, what: str) -> LLMatcher:
        """The parser of a grammar in llguidance's JSON, at its beginning.

        Raises ``UserError`` for a grammar that is malformed or too large; ``what`` is its name.
        """
        from llguidance import LLMatcher, LLParserLimits

        limits = LLParserLimits(
            initial_lexer_fuel=COMPILE_FUEL, max_lexer_states=MAX_STATES, verbose_errors=False
        )
        matcher = LLMatcher(self.tokenizer.tokens, grammar, log_level=0, limits=limits)
        if matcher.is_error():
            raise UserError(f"the {what} cannot be enforced: {_in_one_line(matcher.get_error())}")
        return matcher

    def try_out(self, matcher: LLMatcher, what: str) -> None:
        """Raise ``UserError`` if no token can come first, or the first few exceed the limits."""
        trial = matcher.deep_copy()
        for step in range(TRIED_TOKENS):
            allowed = self.allowed(trial)
            if step == 0 and not _is_work(trial) and not bool(allowed.any()):
                raise UserError(f"nothing that the tokenizer's tokens could spell fits the {what}")
            if trial.is_stopped() or not bool(allowed.any()):
                break
            trial.consume_token(int(allowed.int().argmax()))
        if _is_work(trial):
            raise UserError(
                f"the {what} takes too much work to enforce: {_in_one_line(trial.get_error())}"
            )

    def allowed(self, matcher: LLMatcher) -> Tensor:
        """Which tokens may come next: bool (V,); none at a dead end."""
        return self.allowed_by([matcher])[0]

    def allowed_by(self, matchers: list[LLMatcher]) -> Tensor:
        """The same for several, (R, V)."""
        masks_RW = np.zeros((len(matchers), len(self.tokenizer.writable_W)), np.int32)
        _executor().unsafe_compute_mask_ptr(
            [(matcher, row) for row, matcher in enumerate(matchers)],
            masks_RW.ctypes.data,
            masks_RW.shape[1] * masks_RW.itemsize,
            len(matchers),
        )
        # A matcher in an error state allows the end token.
        masks_RW[[matcher.is_error() for matcher in matchers]] = 0
        masks_RW &= self.tokenizer.writable_W
        bits_RV = np.unpackbits(
            masks_RW.view(np.uint8), axis=1, count=self.n_tokens, bitorder="little"
        )
        return torch.from_numpy(bits_RV.view(np.bool_))


class Follower:
    """Follows one output; a ``TokenHook``."""

    def __init__(self, masks: Masks, matcher: LLMatcher, ends: Collection[int]) -> None:
        self.masks, self.matcher = masks, matcher
        self._ends = ends
        self._forced: deque[int] = deque()  # what was asked for and has not come yet
        self.mask: Tensor | None = None  # of the next token, once it is known

    def allowed(self) -> Tensor:
        """Which tokens may come next: bool (V,), not to be written to. No token at a dead end: the
        vocabulary lacks the bytes to go on, or the grammar exceeded its work limit."""
        if self.mask is None:
            self.mask = self.masks.allowed(self.matcher)
        return self.mask

    def see(self, token_id: int) -> Reaction:
        """Forces the tokens that must come next. Finished after an end token, and as soon as only
        the end can follow.

        Raises ``ValueError`` for a token that was not allowed.
        """
        if self._forced and token_id == self._forced[0]:
            self._forced.popleft()
        elif not self.allowed()[token_id]:
            raise ValueError(f"the token {token_id} was not allowed")
        if token_id in self._ends:
            return FINISHED
        self.mask = None
        self.matcher.consume_token(token_id)
        if self._forced or self.matcher.is_error():
            return NOTHING
        if self.matcher.is_stopped():
            return FINISHED
        self._forced.extend(self.matcher.compute_ff_tokens())
        return Reaction(forced=tuple(self._forced)) if self._forced else NOTHING


def find_masks(hooks: Iterable[TokenHook]) -> None:
    """Compute the masks of all constraints among ``hooks`` in one batch."""
    waiting: dict[GrammarTokenizer, list[Follower]] = {}
    for hook in hooks:
        if isinstance(hook, Follower) and hook.mask is None:
            waiting.setdefault(hook.masks.tokenizer, []).append(hook)
    for followers in waiting.values():
        found_RV = followers[0].masks.allowed_by([one.matcher for one in followers])
        for follower, mask in zip(followers, found_RV, strict=True):
            follower.mask = mask


@cache
def _executor() -> LLExecutor:
    from llguidance import LLExecutor

    return LLExecutor()


def _is_work(matcher: LLMatcher) -> bool:
    """Whether a matcher stopped at a work limit, not because no token fits."""
    return matcher.is_error() and "NoExtension" not in matcher.get_error()


def _in_one_line(error: str) -> str:
    """llguidance's message without its multi-line excerpt of the grammar."""
    told = error.partition("<non-verbose/>")[0]
    told = (told.partition("\nerror: ")[2] or told).partition("\n   ")[0]
    words = " ".join(told.split()).rstrip(".:")
    return words if len(words) <= LONGEST_ERROR else words[:LONGEST_ERROR] + " ..."
