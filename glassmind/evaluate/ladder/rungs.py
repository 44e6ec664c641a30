"""The rungs of the ladder: what each method is called and what it does, in one place.

The terminal's table, the report's pictures and its sentences all take names and order from here,
so that one method has one name and one colour everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rung:
    """One method: its title for people and one sentence that says what it does."""

    title: str
    explanation: str


RUNGS = {
    "base": Rung("base", "The model answers at once, without writing steps."),
    "chain-of-thought": Rung(
        "chain of thought",
        "The model writes its steps first and always takes the likeliest token.",
    ),
    "single-sample": Rung(
        "single sample", "One chain of thought drawn at random from the model's own probabilities."
    ),
    "self-consistency": Rung(
        "self-consistency", "Many sampled chains vote; the most frequent answer wins."
    ),
    "log-probability-vote": Rung(
        "log-probability vote",
        "The same chains vote, each weighted by how likely the model finds it.",
    ),
    "verifier-vote": Rung(
        "verifier vote", "The same chains vote, each weighted by the verifier's score."
    ),
    "verifier-best-of-n": Rung(
        "verifier best-of-n", "The answer of the one chain that the verifier scores highest."
    ),
    "any-of-k": Rung(
        "any of k",
        "Right if any sampled chain is right: a ceiling for every way of choosing, not a method.",
    ),
}
"""The ladder from the ground up."""

SLICES = {
    "test": "like the training problems",
    "longer": "more steps than ever trained on",
    "reworded": "wordings never trained on",
}
"""The three sets of held-out problems, and what is particular about each."""


def rung_title(name: str) -> str:
    """The title of a rung; a rung this table does not know goes by its own name."""
    return RUNGS[name].title if name in RUNGS else name


def rung_order(name: str) -> int:
    """Position on the ladder; unknown rungs come last."""
    return list(RUNGS).index(name) if name in RUNGS else len(RUNGS)


def slice_order(name: str) -> int:
    """Position of a slice in tables and pictures; unknown slices come last."""
    return list(SLICES).index(name) if name in SLICES else len(SLICES)
