"""*Comparisons*: from person to person, who has how many more, fewer or times as many."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import FOOD, GOODS, THINGS

_MORE = say(
    "{q} has {a} more {items} than {p}.",
    "{q} owns {a} more {items} than {p}.",
    "{p} has {a} fewer {items} than {q}.",
    held=("{q} has more {items} than {p}, by {a}.",),
)

_FEWER = say(
    "{q} has {a} fewer {items} than {p}.",
    "{q} owns {a} fewer {items} than {p}.",
    "{p} has {a} more {items} than {q}.",
    held=("{q} has fewer {items} than {p}, by {a}.",),
)

_TIMES_AS_MANY = say(
    "{q} has {a} times as many {items} as {p}.",
    "{q} owns {a} times as many {items} as {p}.",
    "{q} has exactly {a} times as many {items} as {p}.",
    held=("The number of {items} {q} has is {a} times that of {p}.",),
)

COMPARISONS = Family(
    name="comparisons",
    about="who has how many more, fewer, or times as many",
    nouns=THINGS + FOOD + GOODS,
    openings=(
        Event(
            "has",
            s.GIVEN,
            (),
            say(
                "{p} has {a} {items}.",
                "{p} owns {a} {items}.",
                "{p} counts {a} {items}.",
                held=("{p} is the owner of {a} {items}.",),
            ),
            to="count",
        ),
        Event(
            "boxes",
            s.PRODUCT,
            ("{p}",),
            say(
                "{p} has {a} {boxes} of {b} {items}.",
                "{p} owns {a} {boxes} with {b} {items} in each.",
                "There are {b} {items} in each of {p}'s {a} {boxes}.",
                held=("{p} counts {a} {boxes}, each with {b} {items}.",),
            ),
            to="count",
        ),
    ),
    events={
        "count": (
            Event("more", s.GAIN, ("{q}",), _MORE, limit=4, introduces=True),
            Event("fewer", s.LOSE, ("{q}",), _FEWER, limit=4, introduces=True),
            Event("times", s.TIMES, ("{q}",), _TIMES_AS_MANY, introduces=True),
            Event(
                "part",
                s.TAKE_PART,
                ("{q}",),
                say(
                    "{q} has {part} as many {items} as {p}.",
                    "{q} owns {part} as many {items} as {p}.",
                    "{q} has exactly {part} as many {items} as {p}.",
                    held=("The number of {items} {q} has is {part} of that of {p}.",),
                ),
                introduces=True,
            ),
            Event(
                "more-both", s.MORE_TOTAL, ("{q}", "together"), _MORE, to="both", introduces=True
            ),
            Event(
                "fewer-both", s.LESS_TOTAL, ("{q}", "together"), _FEWER, to="both", introduces=True
            ),
            Event(
                "times-both",
                s.TIMES_TOTAL,
                ("{q}", "together"),
                _TIMES_AS_MANY,
                to="both",
                introduces=True,
            ),
            Event(
                "times-gap",
                s.TIMES_DIFFERENCE,
                ("{q}", "more"),
                _TIMES_AS_MANY,
                to="gap",
                introduces=True,
            ),
        ),
    },
    questions={
        "count": say(
            "How many {items} does {p} have?",
            "How many {items} does {p} have in all?",
            "How many {items} does {p} own?",
            held=("What number of {items} does {p} have?",),
        ),
        "both": say(
            "How many {items} do {prev} and {p} have together?",
            "How many {items} do {prev} and {p} own in all?",
            "How many {items} do {prev} and {p} have in all?",
            held=("What number of {items} do {prev} and {p} have together?",),
        ),
        "gap": say(
            "How many more {items} does {p} have than {prev}?",
            "How many {items} more does {p} have than {prev}?",
            "By how many {items} is {p} ahead of {prev}?",
            held=("How many fewer {items} does {prev} have than {p}?",),
        ),
    },
)
