"""Our side of ``engine_speed.py``: the engine with packed weights, in the benchmark's process."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch
from engine_speed_job import Job, Made

from glassmind.generate import Engine, Request, SamplingParams, derive_seed, pack_model
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.packed.matrix import WeightKind
from glassmind.generate.packed.model import PackedModel
from glassmind.model import ModelConfig, Transformer
from glassmind.model.counting import flops_per_token, kv_bytes

MOST_CACHE = 4 << 30

Text = tuple[Sequence[int], int]
"""Token ids, and the index of the first one that counts; nothing predicts that at 0."""


class Ours:
    """Our side: a model with packed weights. Each job gets a new engine with an empty cache."""

    def __init__(self, model: Transformer, kind: WeightKind) -> None:
        self.config = model.config
        packed = pack_model(model, kind)
        if not isinstance(packed, PackedModel):
            raise SystemExit("packed weights need a C++ compiler: there is none")
        self.packed = packed
        self._cache = torch.float32 if kind == "float32" else torch.bfloat16

    def __call__(self, job: Job) -> Made:
        engine, requests = self._asked(job)
        began = time.perf_counter()
        done = engine.generate(requests)
        seconds = time.perf_counter() - began
        return Made(sum(len(one.token_ids) for row in done for one in row), seconds)

    def _asked(self, job: Job) -> tuple[Engine, list[Request]]:
        pairs = list(zip(job.prompts, job.limits, strict=True))
        tokens = sum(len(p) + job.samples * (n + 2 * BLOCK) for p, n in pairs)
        engine = Engine(
            self.packed,
            cache_dtype=self._cache,
            max_cache_bytes=min(kv_bytes(self.config, tokens, 4), MOST_CACHE),
        )
        stop = frozenset(() if job.stop < 0 else (job.stop,))
        requests = [
            Request(
                tuple(prompt),
                SamplingParams(
                    limit,
                    temperature=job.temperature,
                    samples=job.samples,
                    stop=stop,
                    seed=derive_seed(0, number),
                ),
            )
            for number, (prompt, limit) in enumerate(pairs)
        ]
        return engine, requests

    def inside(self, job: Job) -> tuple[float, float]:
        """Seconds in the model's forward pass, and in total, once the prompts are read.

        The engine runs step by step, as in a server, which gets the result of every step. The time
        of a pass that is started from Python is measured around it, that of a pass within a run of
        several by the run itself.
        """
        engine, requests = self._asked(job)
        spent = 0.0

        def watched(method: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
            def call(*args: Any, **kwargs: Any) -> torch.Tensor:
                nonlocal spent
                began = time.perf_counter()
                try:
                    return method(*args, **kwargs)
                finally:
                    spent += time.perf_counter() - began

            return call

        for request in requests:
            engine.submit(request)
        while engine.n_waiting or engine.n_running < len(requests):
            engine.step()
        model, in_runs = self.packed, engine.seconds_in_runs
        with (
            mock.patch.object(model, "hidden", watched(model.hidden)),
            mock.patch.object(model, "logits", watched(model.logits)),
        ):
            began = time.perf_counter()
            while engine.busy:
                engine.step()
            total = time.perf_counter() - began
        return spent + engine.seconds_in_runs - in_runs, total

    def perplexity(self, texts: Sequence[Text]) -> float:
        """The perplexity of the texts over all tokens that count."""
        engine, _ = self._asked(Job([ids for ids, _ in texts], [1] * len(texts)))
        params = SamplingParams(1, temperature=0, prompt_logprobs=True)
        done = engine.generate([Request(tuple(ids), params) for ids, _ in texts])
        logprobs = [
            value
            for (_, first), row in zip(texts, done, strict=True)
            for value in row[0].prompt_logprobs[first - 1 :]
        ]
        return math.exp(-statistics.fmean(logprobs))


def matrix_flops(config: ModelConfig, prompt_tokens: int, drawn: int) -> int:
    """Two for every weight of the matrices that a token uses; only drawn tokens need the head."""
    head = 2 * config.vocab_size * config.d_model
    each = flops_per_token(config, 0)
    return prompt_tokens * (each - head) + drawn * each
