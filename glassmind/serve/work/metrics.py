"""The server's metrics for Prometheus, at ``/metrics``.

Names follow Prometheus' rules: seconds and bytes as units, the suffix ``_total`` for counters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

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

from glassmind.serve.work.engine_state import EngineState

# The creation times of counters would double the output.
disable_created_metrics()  # type: ignore[no-untyped-call]

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
# Unknown paths get no label of their own: clients could create any number of them.
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
            "From a request's headers to the end of its response",
            ("path",),
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._first_token = Histogram(
            "glassmind_first_token_seconds",
            "From submitting a request to its first token",
            registry=self._registry,
            buckets=_SECONDS,
        )
        self._prompt_tokens = Counter(
            "glassmind_prompt_tokens", "Tokens read", registry=self._registry
        )
        self._tokens = Counter("glassmind_tokens", "Tokens generated", registry=self._registry)
        self._cancelled = Counter(
            "glassmind_cancelled_requests",
            "Requests cancelled",
            registry=self._registry,
        )

    def watch(self, state: Callable[[], EngineState]) -> None:
        """Include an engine's state in every scrape."""
        self._registry.register(_EngineCounters(state))

    def request_ended(self, path: str, status: int, seconds: float) -> None:
        """Count a request that was answered with ``status``."""
        known = path if path in PATHS else "/static" if path.startswith("/static/") else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def begun(self, prompt_tokens: int) -> None:
        """Count the tokens of a prompt."""
        self._prompt_tokens.inc(prompt_tokens)

    def first_token(self, seconds: float) -> None:
        """Record the time to a request's first token."""
        self._first_token.observe(seconds)

    def tokens(self, count: int) -> None:
        """Count generated tokens."""
        self._tokens.inc(count)

    def cancelled(self) -> None:
        """Count a cancelled request."""
        self._cancelled.inc()

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass(frozen=True)
class _EngineCounters(Collector):
    """The counters of the engine."""

    state: Callable[[], EngineState]

    def collect(self) -> Iterator[Metric]:
        now = self.state()
        for name, about, value in (
            ("running_sequences", "Samples running", now.running),
            ("waiting_sequences", "Samples waiting for cache blocks", now.waiting),
            ("cache_blocks_used", "Blocks of the KV cache in use", now.used_blocks),
            ("cache_blocks", "Blocks of the KV cache", now.blocks),
        ):
            yield GaugeMetricFamily(f"glassmind_{name}", about, value)
        for name, about, value in (
            (
                "preempted_sequences",
                "Samples that gave up their cache and were started again",
                now.preempted,
            ),
            ("guessed_tokens", "Draft tokens, from a draft model or prompt lookup", now.guessed),
            ("accepted_tokens", "Draft tokens that were accepted", now.accepted),
        ):
            yield CounterMetricFamily(f"glassmind_{name}", about, value)
