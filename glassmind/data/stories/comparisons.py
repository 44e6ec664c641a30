"""*Comparisons*: from person to person, who has how many more, fewer or times as many."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import FOOD, GOODS, THINGS

_MORE = say(
    "{q} has {a} more {items} than {p}.",
    "{q} owns {a} more {items} than {p}.",
    "{p} has {a} fewer {items} than {q}.",
    "Compared with {p}, {q} has {a} more {items}.",
    "{q} has {a} {items} more than {p} does.",
    "The {items} of {q} outnumber those of {p} by {a}.",
    "{p} would need {a} more {items} to have as many as {q}.",
    "{q} has as many {items} as {p} and then {a} more.",
    "If {p} gets {a} more {items}, {p} has as many as {q}.",
    "{p} is {a} {items} behind {q}.",
    "{p} counts {a} {items} less than {q} does.",
    held=("{q} has more {items} than {p}, by {a}.",),
)

_FEWER = say(
    "{q} has {a} fewer {items} than {p}.",
    "{q} owns {a} fewer {items} than {p}.",
    "{p} has {a} more {items} than {q}.",
    "Compared with {p}, {q} has {a} fewer {items}.",
    "{q} has {a} {items} less than {p} does.",
    "The {items} of {p} outnumber those of {q} by {a}.",
    "{q} would need {a} more {items} to have as many as {p}.",
    "{q} is {a} {items} short of what {p} has.",
    "If {q} gets {a} more {items}, {q} has as many as {p}.",
    "{q} is {a} {items} behind {p}.",
    "{p} counts {a} {items} more than {q} does.",
    held=("{q} has fewer {items} than {p}, by {a}.",),
)

_TIMES_AS_MANY = say(
    "{q} has {a} times as many {items} as {p}.",
    "{q} owns {a} times as many {items} as {p}.",
    "{q} has exactly {a} times as many {items} as {p}.",
    "Compared with {p}, {q} has {a} times as many {items}.",
    "{q} has {a} times the number of {items} that {p} has.",
    "The number of {items} that {q} has is {a} times that of {p}.",
    "For each {item} of {p}, {q} has {a} {items}.",
    "For every {item} that {p} owns, {q} owns {a}.",
    "Multiply {p}'s {items} by {a} to get the number that {q} has.",
    "{q} counts {items} too and finds {a} times as many as {p}.",
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
                "There are {a} {items} that belong to {p}.",
                "At home {p} keeps {a} {items}.",
                "On a table lie {a} {items}, and all of them are {p}'s.",
                "{p} keeps {items} and now has {a} of them.",
                "The number of {items} that {p} has is {a}.",
                "In the room of {p} there are {a} {items}.",
                "A total of {a} {items} belongs to {p}.",
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
                "In each of {a} {boxes} {p} has {b} {items}.",
                "{p} keeps {b} {items} in each of {a} {boxes}.",
                "There are {a} {boxes} that belong to {p}, and each holds {b} {items}.",
                "{p} has {a} {boxes}. Every {box} has {b} {items} in it.",
                "Each {box} of {p}'s holds {b} {items}, and there are {a} {boxes}.",
                "At home {p} has {a} full {boxes}, with {b} {items} to a {box}.",
                "With {b} {items} in every {box}, {p} owns {a} {boxes}.",
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
                    "Compared with {p}, {q} has only {part} as many {items}.",
                    "{q} has just {part} of the number of {items} that {p} has.",
                    "The number of {items} that {q} has is {part} of {p}'s number.",
                    "Take {part} of the number of {p}'s {items} to get {q}'s number.",
                    "{q} counts {items} too, but finds only {part} as many as {p}.",
                    "Only {part} as many {items} as {p} has belong to {q}.",
                    "If {p} had just {part} as many {items}, {p} and {q} would have the same.",
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
            "What is the number of {items} that {p} has?",
            "Find the number of {items} that belong to {p}.",
            "How many {items} belong to {p}?",
            "Can you tell how many {items} {p} has?",
            "How many {items} are {p}'s?",
            "How many {items} does {p} have altogether?",
            "What number of {items} does {p} own?",
            held=("What number of {items} does {p} have?",),
        ),
        "both": say(
            "How many {items} do {prev} and {p} have together?",
            "How many {items} do {prev} and {p} own in all?",
            "How many {items} do {prev} and {p} have in all?",
            "What is the total number of {items} that {prev} and {p} have?",
            "Altogether, how many {items} do {prev} and {p} own?",
            "Find the number of {items} that {prev} and {p} have together.",
            "If {prev} and {p} put their {items} together, how many are there?",
            "How many {items} belong to {prev} or {p} in total?",
            "How many {items} is it when you add those of {prev} and {p}?",
            "Can you tell how many {items} {prev} and {p} have in total?",
            held=("What number of {items} do {prev} and {p} have together?",),
        ),
        "gap": say(
            "How many more {items} does {p} have than {prev}?",
            "How many {items} more does {p} have than {prev}?",
            "By how many {items} is {p} ahead of {prev}?",
            "What is the difference between {p}'s and {prev}'s numbers of {items}?",
            "Find how many more {items} {p} has than {prev}.",
            "By how many do {p}'s {items} outnumber those of {prev}?",
            "How many {items} does {prev} need to have as many as {p}?",
            "How many {items} is {prev} behind {p}?",
            "Compared with {prev}, how many more {items} does {p} have?",
            held=("How many fewer {items} does {prev} have than {p}?",),
        ),
    },
)
