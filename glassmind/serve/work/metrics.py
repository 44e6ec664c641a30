"""What a server counts: for Prometheus, at ``/metrics``.

Names follow Prometheus' rules: seconds and bytes as units, ``_total`` behind what only grows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from glassmind.serve.work.engine_thread import EngineState

# When each counter was made is as many lines again, and nobody asks.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
# A path that a stranger made up is no label: there would be no end to them.
PATHS = (
    "/",
    "/health",
    "/metrics",
    "/tokenize",
    "/tokenizer_info",
    "/detokenize",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/models",
    "/v1/reason",
)


class Metrics:
    """The counters of one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "glassmind_requests", "Requests answered", ("path", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "glassmind_request_seconds",
            "From a request's head to its answer's end",
            ("path",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._first_token = Histogram(
            "glassmind_first_token_seconds",
            "From the engine's taking a request to its first token",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._prompt_tokens = Counter(
            "glassmind_prompt_tokens", "Tokens read", registry=self._registry
        )
        self._tokens = Counter("glassmind_tokens", "Tokens generated", registry=self._registry)
        self._cancelled = Counter(
            "glassmind_cancelled_requests", "Requests given up midway", registry=self._registry
        )

    def watch(self, state: Callable[[], EngineState]) -> None:
        """Show an engine's state whenever somebody looks."""
        self._registry.register(_EngineCounters(state))

    def request_ended(self, path: str, status: int, seconds: float) -> None:
        """A request has been answered with ``status``."""
        known = path if path in PATHS else "/static" if path.startswith("/static/") else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def begun(self, prompt_tokens: int) -> None:
        """A prompt of so many tokens goes to the engine."""
        self._prompt_tokens.inc(prompt_tokens)

    def first_token(self, seconds: float) -> None:
        """A request got its first token."""
        self._first_token.observe(seconds)

    def tokens(self, count: int) -> None:
        """So many tokens have been generated."""
        self._tokens.inc(count)

    def cancelled(self) -> None:
        """A request ended before it was done."""
        self._cancelled.inc()

    def text(self) -> bytes:
        """All of it, in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class _EngineCounters(Collector):
    """What an engine counts itself."""

    state: Callable[[], EngineState]

    def collect(self) -> Iterator[Metric]:
        now = self.state()
        for name, about, value in (
            ("running_sequences", "Samples that are computed", now.running),
            ("waiting_sequences", "Samples that wait for room", now.waiting),
            ("cache_blocks_used", "Blocks of the KV cache in use", now.used_blocks),
            ("cache_blocks", "Blocks of the KV cache", now.blocks),
        ):
            yield GaugeMetricFamily(f"glassmind_{name}", about, value)
        for name, about, value in (
            (
                "preempted_sequences",
                "Samples that gave their room in the cache back and were begun again",
                now.preempted,
            ),
            ("guessed_tokens", "Tokens guessed ahead, by a draft or look-up", now.guessed),
            ("accepted_tokens", "Guesses that stood: each saved a pass", now.accepted),
        ):
            yield CounterMetricFamily(f"glassmind_{name}", about, value)
