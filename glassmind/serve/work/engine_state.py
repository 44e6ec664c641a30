"""What an engine reports about itself, for the counters at ``/metrics``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineState:
    """The engine after its last step: its current state, and its counters since the start.

    ``blocks`` are the blocks of the KV cache. ``preempted`` counts samples that gave up their cache
    and started again, ``guessed`` counts draft tokens, and ``accepted`` those that were kept.
    """

    waiting: int = 0
    running: int = 0
    used_blocks: int = 0
    blocks: int = 0
    preempted: int = 0
    guessed: int = 0
    accepted: int = 0
