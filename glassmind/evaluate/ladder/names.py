"""The names and order of methods and slices in tables, charts and sentences.

Methods come from the registry; a file may name one that this version does not have.
"""

from __future__ import annotations

from glassmind.reason import registry

SLICES = {
    "test": "like the training problems",
    "longer": "more steps than ever trained on",
    "reworded": "wordings never trained on",
}
"""The three sets of held-out problems, and how each differs from the training problems."""


def title(name: str) -> str:
    """A method's title; its name if it is not registered."""
    method = registry.find(name)
    return name if method is None else method.title


def order(name: str) -> int:
    """Position on the ladder; unknown methods come last."""
    known = [method.name for method in registry.methods()]
    return known.index(name) if name in known else len(known)


def is_ceiling(name: str) -> bool:
    """Whether a row shows an upper bound instead of a method."""
    method = registry.find(name)
    return method is not None and method.ceiling


def in_summary(name: str) -> bool:
    """Whether a method is shown if there is room for a few only."""
    method = registry.find(name)
    return method is not None and method.in_summary


def slice_order(name: str) -> int:
    """Position of a slice in tables and pictures; unknown slices come last."""
    return list(SLICES).index(name) if name in SLICES else len(SLICES)
