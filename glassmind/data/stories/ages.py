"""*Ages*: from person to person, each measured against the one before; now and in some years."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import SILENT, Event, Family, say

_OLDER = say(
    "{q} is {a} years older than {p}.",
    "{q} is older than {p} by {a} years.",
    "{p} is {a} years younger than {q}.",
    held=("{q} was born {a} years before {p}.",),
)

_YOUNGER = say(
    "{q} is {a} years younger than {p}.",
    "{q} is younger than {p} by {a} years.",
    "{p} is {a} years older than {q}.",
    held=("{q} was born {a} years after {p}.",),
)

_TIMES_AS_OLD = say(
    "{q} is {a} times as old as {p}.",
    "{q} is exactly {a} times as old as {p}.",
    "{q}'s age is {a} times that of {p}.",
    held=("The age of {q} is {a} times the age of {p}.",),
)

AGES = Family(
    name="ages",
    about="ages of a chain of people, now and in some years",
    number_cap=30,
    result_cap=98,
    openings=(
        Event(
            "is",
            s.GIVEN,
            (),
            say(
                "{p} is {a} years old.",
                "{p} is {a}.",
                "Today {p} is {a} years old.",
                held=("{p}'s age is {a}.",),
            ),
            to="age",
        ),
        Event(
            "will-be",
            s.SUM,
            ("{p}",),
            say(
                "Exactly {a} years ago {p} was {b} years old.",
                "{p} was {b} years old {a} years ago.",
                "{p} was {b} when {he} came to town {a} years ago.",
                held=("{p} turned {b} exactly {a} years ago.",),
            ),
            to="age",
        ),
    ),
    events={
        "age": (
            Event("older", s.GAIN, ("{q}",), _OLDER, limit=4, introduces=True),
            Event("younger", s.LOSE, ("{q}",), _YOUNGER, limit=4, introduces=True),
            Event("times", s.TIMES_FEW, ("{q}",), _TIMES_AS_OLD, introduces=True),
            Event(
                "part",
                s.TAKE_PART,
                ("{q}",),
                say(
                    "{q} is {part} as old as {p}.",
                    "{q}'s age is {part} of {p}'s age.",
                    "{q} is exactly {part} as old as {p}.",
                    held=("The age of {q} is {part} of the age of {p}.",),
                ),
                introduces=True,
            ),
            Event("future", s.GAIN, ("then",), SILENT, to="future"),
            Event("past", s.LOSE, ("then",), SILENT, to="past"),
            Event("older-both", s.MORE_TOTAL, ("{q}", "sum"), _OLDER, to="both", introduces=True),
            Event(
                "younger-both", s.LESS_TOTAL, ("{q}", "sum"), _YOUNGER, to="both", introduces=True
            ),
            Event(
                "times-both",
                s.TIMES_TOTAL,
                ("{q}", "sum"),
                _TIMES_AS_OLD,
                to="both",
                introduces=True,
            ),
        ),
    },
    questions={
        "age": say(
            "How old is {p}?",
            "How old is {p} now?",
            "What is {p}'s age?",
            held=("How many years old is {p}?",),
        ),
        "future": say(
            "How old will {p} be in {a} years?",
            "How old will {p} be {a} years from now?",
            "What will {p}'s age be in {a} years?",
            held=("In {a} years, how old will {p} be?",),
        ),
        "past": say(
            "How old was {p} {a} years ago?",
            "What was {p}'s age {a} years ago?",
            "How old was {p} {a} years before now?",
            held=("How many years old was {p} {a} years ago?",),
        ),
        "both": say(
            "What is the sum of the ages of {prev} and {p}?",
            "How old are {prev} and {p} together?",
            "What do the ages of {prev} and {p} add up to?",
            held=("What is the total of {prev}'s and {p}'s ages?",),
        ),
    },
)
