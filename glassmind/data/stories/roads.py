"""*Roads*: how far from home, going out and coming back on a straight road."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say

ROADS = Family(
    name="roads",
    about="how far from home on a straight road, out and back",
    openings=(
        Event(
            "leave",
            s.GIVEN,
            (),
            say(
                "{N} drives {a} km away from home on a straight road.",
                "On a straight road {N} rides {a} km away from home.",
                "{N} leaves home and goes {a} km along a straight road.",
                held=("Along a straight road {N} drives {a} km away from home.",),
            ),
            to="away",
        ),
        Event(
            "leave-rate",
            s.RATE_TIME,
            ("away",),
            say(
                "{N} drives away from home on a straight road, {a} km an hour for {b} hours.",
                "{N} leaves home on a straight road at {a} km an hour for {b} hours.",
                "On a straight road {N} rides away from home for {b} hours at {a} km an hour.",
                held=("Along a straight road {N} leaves home for {b} hours at {a} km an hour.",),
            ),
            to="away",
        ),
    ),
    events={
        "away": (
            Event(
                "on",
                s.GAIN,
                ("away",),
                say(
                    "{S} goes {a} km farther from home.",
                    "{S} goes {a} km farther out.",
                    "{S} moves {a} km farther away.",
                    held=("{S} gets {a} km farther from home.",),
                ),
            ),
            Event(
                "turn",
                s.LOSE,
                ("away",),
                say(
                    "{S} turns and goes {a} km back toward home.",
                    "{S} comes {a} km back toward home.",
                    "{S} rides {a} km back toward home.",
                    held=("{S} travels {a} km back toward home.",),
                ),
            ),
            Event(
                "turn-part",
                s.LOSE_PART,
                ("back", "away"),
                say(
                    "{S} goes {part} of the way back toward home.",
                    "{S} comes {part} of the way back toward home.",
                    "{S} rides {part} of the way back toward home.",
                    held=("{S} travels {part} of the way back toward home.",),
                ),
                limit=1,
            ),
            Event(
                "on-rate",
                s.GAIN_RATE,
                ("drive", "away"),
                say(
                    "{S} goes on away from home for {b} hours at {a} km an hour.",
                    "{S} goes farther away for {b} hours at {a} km an hour.",
                    "For {b} more hours {he} goes away from home at {a} km an hour.",
                    held=("{S} travels farther away for {b} hours at {a} km an hour.",),
                ),
            ),
            Event(
                "back-rate",
                s.LOSE_GROUPS,
                ("back", "away"),
                say(
                    "{S} comes back toward home for {a} hours at {b} km an hour.",
                    "{S} goes back toward home for {a} hours at {b} km an hour.",
                    "For {a} hours {he} comes back toward home at {b} km an hour.",
                    held=("{S} travels back toward home for {a} hours at {b} km an hour.",),
                ),
            ),
        )
    },
    questions={
        "away": say(
            "How many km from home is {N} now?",
            "How far from home is {N} now?",
            "How many km from home is {he} in the end?",
            held=("What number of km from home is {N} now?",),
        )
    },
)
