"""The engine: many prompts × many samples in, their continuations out.

Everything that samples goes through here: evaluation, voting, the verifier's training data, a
question asked at the command line. The engine checks the requests, cuts them into waves, runs the
waves, and puts the generations back into the order they were asked in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from glassmind.errors import UserError
from glassmind.generate.decode import decode_wave
from glassmind.generate.request import Generation, Request
from glassmind.generate.waves import cut_into_waves
from glassmind.model import Transformer

CACHE_BYTES = 1 << 30


class Engine:
    """Samples from ``model``, which it neither copies nor changes.

    ``pad_id`` fills up short prompts in a batch (any id will do: nothing attends to it).
    ``max_rows`` and ``max_cache_bytes`` bound a wave; see ``waves`` for the rule. ``device``, where
    given, is where the model is moved first.
    """

    def __init__(
        self,
        model: Transformer,
        *,
        pad_id: int,
        max_rows: int = 2048,
        max_cache_bytes: int = CACHE_BYTES,
        device: torch.device | str | None = None,
    ) -> None:
        if max_rows < 1:
            raise UserError(f"max_rows must be at least 1, not {max_rows}")
        self.model = model if device is None else model.to(device)
        self.pad_id = pad_id
        self.max_rows = max_rows
        weight = next(model.parameters())
        config = model.config
        token_bytes = config.n_layers * config.cached_heads * sum(config.cached_widths)
        self.max_cached_tokens = max_cache_bytes // (token_bytes * weight.element_size())

    def generate(
        self,
        requests: Sequence[Request],
        progress: Callable[[int, int], None] | None = None,
    ) -> list[list[Generation]]:
        """For each request, in order, the list of its ``params.samples`` generations.

        ``progress(finished, total)`` is called with numbers of samples whenever some finish.
        A generation, its prompt included, never exceeds the context (``config.max_tokens``).

        Raises ``UserError``, before any work, for a prompt that is empty, leaves no room in the
        context, or holds an id outside the vocabulary.
        """
        for number, request in enumerate(requests):
            self._check(request, number)
        total = sum(request.params.samples for request in requests)
        finished = 0

        def on_finished(count: int) -> None:
            nonlocal finished
            finished += count
            if progress is not None:
                progress(finished, total)

        results: list[list[Generation]] = [[] for _ in requests]
        was_training = self.model.training
        self.model.eval()
        try:
            # What a trainer compiled for its one batch shape must not be recompiled for ours.
            with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
                for wave in cut_into_waves(requests, self.max_rows, self.max_cached_tokens):
                    shares = decode_wave(
                        self.model,
                        requests,
                        wave,
                        pad_id=self.pad_id,
                        device=next(self.model.parameters()).device,
                        on_finished=on_finished,
                    )
                    # Shares of one request come in order, so appending keeps samples in order.
                    for share, generations in zip(wave, shares, strict=True):
                        results[share.request].extend(generations)
        finally:
            self.model.train(was_training)
        return results

    def _check(self, request: Request, number: int) -> None:
        config, prompt = self.model.config, request.prompt_ids
        if not prompt:
            raise UserError(f"prompt {number} is empty; it needs at least one token")
        if len(prompt) >= config.max_tokens:
            raise UserError(
                f"prompt {number} has {len(prompt)} tokens, but the model's context holds "
                f"{config.max_tokens}, the generated ones included; shorten the prompt"
            )
        for what, ids in (("prompt", prompt), ("stop set of prompt", request.params.stop)):
            if ids and not (min(ids) >= 0 and max(ids) < config.vocab_size):
                raise UserError(
                    f"{what} {number} has a token id outside the model's vocabulary "
                    f"(0 to {config.vocab_size - 1}): tokenizer and model do not belong together"
                )
