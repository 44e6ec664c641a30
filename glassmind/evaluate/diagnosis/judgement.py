"""The result of a diagnosis, and how it is worded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding: what was ``seen`` and where, what it ``means``, what to ``try_`` (or "").

    ``kind`` is one of a fixed set of names (``healthy`` and ``too short`` among them); ``blocks``
    and ``steps`` (first and last) say where, if it is not everywhere.
    """

    kind: str
    seen: str
    means: str
    try_: str
    blocks: tuple[str, ...] = ()
    steps: tuple[int, int] | None = None

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return self.kind in ("healthy", "too short")


def named_blocks(blocks: Sequence[str]) -> str:
    """``block 3``, ``blocks 0 to 5 and 7``; the numbers are those in the parameters' names."""
    runs: list[list[str]] = []
    for name in (block.rpartition(".")[2] for block in blocks):
        follows = runs and name.isdecimal() and runs[-1][-1].isdecimal()
        if follows and int(name) == int(runs[-1][-1]) + 1:
            runs[-1].append(name)
        else:
            runs.append([name])
    parts = [run[0] if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    listed = parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
    return f"block{'' if len(blocks) == 1 else 's'} {listed}"


def times(events: Sequence[object]) -> str:
    """``once``, or ``3 times``."""
    return "once" if len(events) == 1 else f"{len(events)} times"


def share_of(ratio: float) -> str:
    """``0.12 %``: two significant digits."""
    return f"{100 * ratio:.2g} %" if ratio < 1 else f"{100 * ratio:,.0f} %"


def sentence_of(signs: Sequence[str]) -> str:
    """One sentence from clauses."""
    text = "; ".join(signs)
    return text[0].upper() + text[1:] + "."
