"""The time of a batch, divided among its traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from glassmind.records import Cost, Trace


def timed(traces: Sequence[Trace], seconds: float) -> list[Trace]:
    """The traces with ``seconds`` divided among their nodes in proportion to the tokens written."""
    written = sum(node.cost.completion_tokens for trace in traces for node in trace.nodes)
    each = seconds / max(1, written)
    return [
        replace(
            trace,
            nodes=tuple(
                replace(node, cost=node.cost + Cost(seconds=each * node.cost.completion_tokens))
                for node in trace.nodes
            ),
        )
        for trace in traces
    ]
