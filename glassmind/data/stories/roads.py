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
                "From home {N} goes {a} km out on a straight road.",
                "{N} starts at home and rides a bike for {a} km along a straight road.",
                "A straight road takes {N} {a} km away from home.",
                "Leaving home on a straight road, {N} travels {a} km.",
                "{N} sets out from home and drives {a} km down a straight road.",
                "A long straight road starts at {N}'s home. {N} goes {a} km along it.",
                "On a straight road that starts at home {N} walks {a} km.",
                "In the morning {N} leaves home and drives {a} km on a straight road.",
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
                "From home {N} goes out on a straight road for {b} hours at {a} km an hour.",
                "At {a} km an hour {N} travels away from home for {b} hours on a straight road.",
                "For {b} hours {N} drives away from home on a straight road, {a} km every hour.",
                "A straight road starts at {N}'s home. {N} follows it for {b} hours at "
                "{a} km an hour.",
                "{N} sets out from home on a straight road and covers {a} km an hour "
                "for {b} hours.",
                "Leaving home on a straight road, {N} rides for {b} hours at {a} km an hour.",
                "In each of {b} hours {N} gets {a} km farther from home on a straight road.",
                "With a speed of {a} km an hour, {N} leaves home on a straight road "
                "and rides {b} hours.",
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
                    "After a rest {he} goes on for {a} km, away from home.",
                    "{S} drives on and gets {a} km farther from home.",
                    "{S} follows the road away from home for {a} more km.",
                    "Another {a} km are covered, still farther from home.",
                    "Still going away from home, {he} covers {a} km more.",
                    "For {a} km {he} goes on in the direction away from home.",
                    "The distance from home grows by {a} km as {he} goes on.",
                    "A friend takes {N} {a} km farther away from home.",
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
                    "Toward home {he} goes back {a} km.",
                    "After a rest {he} turns around and drives {a} km toward home.",
                    "{S} gets {a} km closer to home.",
                    "For {a} km {he} goes back in the direction of home.",
                    "To find a lost hat, {he} goes {a} km back toward home.",
                    "The distance from home gets {a} km shorter as {he} comes back.",
                    "Coming back, {he} covers {a} km of the way home.",
                    "A friend takes {N} {a} km back toward home.",
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
                    "Of the way back home {he} covers {part}.",
                    "After a rest {he} turns around and drives {part} of the way home.",
                    "{S} does {part} of the way back home on foot.",
                    "For {part} of the way back home {he} takes a bus.",
                    "A friend drives {N} {part} of the way back toward home.",
                    "On the way back home {he} gets {part} of the way and stops.",
                    "Turning around, {he} travels {part} of the way back to {N}'s home.",
                    "{S} turns back and does {part} of the way home.",
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
                    "At {a} km an hour {he} goes on away from home for {b} hours.",
                    "For {b} hours {he} drives on, {a} km farther from home every hour.",
                    "In each of the next {b} hours {he} gets {a} km farther from home.",
                    "After a rest {he} goes farther from home at {a} km an hour for {b} hours.",
                    "Still going away from home, {he} covers {a} km an hour for {b} hours.",
                    "{S} follows the road away from home for {b} more hours, doing {a} km an hour.",
                    "With a speed of {a} km an hour, {he} goes farther away for {b} hours.",
                    "Every hour {he} gets {a} km farther from home, and {he} goes on for "
                    "{b} hours.",
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
                    "At {b} km an hour {he} then goes back toward home for {a} hours.",
                    "For {a} hours {he} drives back, {b} km closer to home every hour.",
                    "In each of the next {a} hours {he} gets {b} km closer to home.",
                    "After a rest {he} turns around and rides toward home for {a} hours at "
                    "{b} km an hour.",
                    "Going back toward home, {he} covers {b} km an hour for {a} hours.",
                    "{S} turns around and spends {a} hours on the way home at {b} km an hour.",
                    "With a speed of {b} km an hour, {he} goes back toward home for {a} hours.",
                    "{S} walks toward home for {a} hours, doing {b} km an hour.",
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
            "What is the distance from {N} to home now, in km?",
            "Find how many km {N} is from home in the end.",
            "How many km away from home is {he} now?",
            "Can you tell how many km from home {N} is now?",
            "In the end, how far from home is {he}?",
            "How many km would it take {N} to get home now?",
            "After all this, how many km lie between {N} and home?",
            "At what distance from home is {N} in the end, in km?",
            held=("What number of km from home is {N} now?",),
        )
    },
)
