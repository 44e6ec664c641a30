"""Checks requests and turns them into samples.

Everything that can be wrong with a request is found before any work is done for it, and reported in
one sentence. A correct request becomes samples, each with its own token hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

from glassmind.errors import UserError
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.calculator import Calculator
from glassmind.generate.constraint.vocabulary import Vocabulary
from glassmind.generate.equation_calculator import EquationCalculator, ResultTokens
from glassmind.generate.fair_shares import NOBODY, Owner
from glassmind.generate.least_tokens import LeastTokens
from glassmind.generate.request import Request, SamplingParams
from glassmind.generate.sample import Sample
from glassmind.generate.scheduler import blocks_for
from glassmind.generate.stop_texts import StopTexts
from glassmind.generate.thinking_budget import ThinkingLimit
from glassmind.generate.token_hook import TokenHook
from glassmind.model import ModelConfig
from glassmind.step_structure import read_steps


class Admission:
    """For an engine whose model has ``config`` and whose cache has ``n_blocks`` blocks.

    If there is a draft model, it guesses ``draft_tokens`` tokens at a time and has a context of
    ``draft_context`` tokens. ``vocabulary`` and ``encode`` are needed by some hooks.
    """

    def __init__(
        self,
        config: ModelConfig,
        n_blocks: int,
        vocabulary: Vocabulary | None,
        encode: Callable[[str], Sequence[int]] | None,
        draft_tokens: int = 0,
        draft_context: int = 0,
    ) -> None:
        self._config, self._n_blocks = config, n_blocks
        self._draft_tokens, self._draft_context = draft_tokens, draft_context
        self._vocabulary, self._encode = vocabulary, encode

    def samples(self, ticket: int, request: Request, owner: Owner = NOBODY) -> list[Sample]:
        """The samples to be drawn for a request of ``owner`` that passed ``check``.

        Raises ``UserError`` if it needs what the engine was not given.
        """
        params = request.params
        limit = min(len(request.prompt_ids) + params.max_new_tokens, self._config.max_tokens)
        # No draft where a hook may force tokens or forbid some, or where guesses are looked up.
        guessed = not (params.lookup or self._follows_tokens(params))
        most_drafts = self._draft_tokens if guessed else 0
        # After the guesses one more token is drawn, and the draft never reads its last guess.
        drafts_end = min(limit - 1, self._draft_context + 1)
        samples = [
            Sample(
                ticket,
                number,
                request,
                limit,
                self._hooks(request),
                most_drafts,
                drafts_end,
                owner,
            )
            for number in range(params.drawn_samples)
        ]
        reasoning = self._config.reasoning
        if reasoning.mask != "causal":
            states = read_steps("".join(reasoning.token_kinds[i] for i in request.prompt_ids))
            question = sum(state.segment == 0 for state in states)
            for sample in samples:
                sample.shareable = question
        return samples

    @staticmethod
    def _follows_tokens(params: SamplingParams) -> bool:
        """Whether a hook may force tokens or forbid some."""
        forces = params.calculator_use != "off" or params.thinking is not None
        return forces or params.constraint is not None or params.min_new_tokens > 0

    def _hooks(self, request: Request) -> list[TokenHook]:
        params = request.params
        hooks: list[TokenHook] = []
        if params.constraint is not None:
            hooks.append(params.constraint.begin())
        if params.min_new_tokens and params.stop:
            size = self._config.vocab_size
            hooks.append(LeastTokens(params.min_new_tokens, params.stop, size))
        if params.thinking is not None:
            hooks.append(ThinkingLimit(params.thinking, params.stop, self._config.vocab_size))
        if params.stop_texts or params.calculator_use != "off":
            if self._vocabulary is None:
                raise UserError(
                    "stop texts and the calculator need the bytes of each token: give the engine "
                    "the tokenizer's vocabulary"
                )
            token_bytes = self._vocabulary.token_bytes
            if params.stop_texts:
                hooks.append(StopTexts(params.stop_texts, token_bytes))
            if params.calculator_use != "off":
                if self._encode is None:
                    raise UserError("the calculator needs the tokenizer's encode function")
                hooks.append(
                    Calculator(self._encode, token_bytes)
                    if params.calculator_use == "annotations"
                    else EquationCalculator(self._encode, self._result_tokens)
                )
        return hooks

    @cached_property
    def _result_tokens(self) -> ResultTokens:
        """The part of the vocabulary that matters to an ``EquationCalculator``."""
        assert self._vocabulary is not None
        return ResultTokens(self._vocabulary.token_bytes)

    def check(self, request: Request, what: str) -> None:
        """Raise ``UserError`` if the request cannot be met; ``what`` names the prompt in it."""
        config, prompt, params = self._config, request.prompt_ids, request.params
        if not prompt:
            raise UserError(f"{what} is empty; it needs at least one token")
        if len(prompt) >= config.max_tokens:
            raise UserError(
                f"{what} has {len(prompt)} tokens, but the model's context holds "
                f"{config.max_tokens}, the generated ones included; shorten the prompt"
            )
        longest = min(len(prompt) + params.max_new_tokens, config.max_tokens)
        if blocks_for(longest) > self._n_blocks:
            raise UserError(
                f"{what} and its continuation can take {longest} tokens, but the cache holds "
                f"{self._n_blocks * BLOCK}: raise max_cache_bytes or lower max_new_tokens"
            )
        if params.calculator_use != "off" and params.constraint is not None:
            raise UserError(
                f"{what} asks for the calculator and for constrained output: the calculator may "
                "write tokens that the constraint forbids; leave one of them out"
            )
        if params.thinking is not None and params.constraint is not None:
            raise UserError(
                f"{what} asks for a budget of thinking and for constrained output: the budget may "
                "write tokens that the constraint forbids; leave one of them out"
            )
        if params.lookup:
            refuse_guesses(config, "lookup")
        if params.lookup and self._follows_tokens(params):
            raise UserError(
                f"{what} asks for lookup together with the calculator, a constraint, thinking or "
                "min_new_tokens, which need one token at a time; leave one of them out"
            )
        thinking = params.thinking.ids if params.thinking is not None else ()
        biased = [token for token, _ in params.logit_bias]
        for part, ids in ((what, prompt), (f"the stop set of {what}", params.stop),
                          (f"the thinking of {what}", thinking),
                          (f"the logit bias of {what}", biased)):  # fmt: skip
            if ids and not (min(ids) >= 0 and max(ids) < config.vocab_size):
                raise UserError(
                    f"{part} has a token id outside the model's vocabulary "
                    f"(0 to {config.vocab_size - 1}): tokenizer and model do not belong together"
                )


def refuse_guesses(config: ModelConfig, what: str) -> None:
    """Raise ``UserError`` if the model forgets finished steps: a guess that ends one could not be
    taken back."""
    if config.reasoning.mask != "causal":
        raise UserError(
            f"{what} guesses tokens ahead, which a model with reasoning.mask = "
            f'"{config.reasoning.mask}" cannot take back: leave it out'
        )
