"""*Rectangles*: the area of yards and gardens, what covers it, what it costs."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.costs import COST_EVENTS, COST_QUESTION, SHARED_COST_QUESTION
from glassmind.data.stories.family import Event, Family, say

# What may happen to a yard, whether or not it has grown.
_POND = Event(
    "pond",
    s.LOSE,
    ("rest",),
    say(
        "A pond covers {a} square meters of it.",
        "A house covers {a} square meters of it.",
        "On {a} square meters of it there is a pond.",
        held=("There is a pond of {a} square meters in it.",),
    ),
    to="rest",
)

_BEDS = Event(
    "beds",
    s.LOSE_GROUPS,
    ("beds", "rest"),
    say(
        "There are {a} ponds of {b} square meters each in it.",
        "There are {a} huts on it that cover {b} square meters each.",
        "It has {a} ponds. Each covers {b} square meters.",
        held=("It holds {a} huts of {b} square meters each.",),
    ),
    to="rest",
)

_PART = Event(
    "part",
    s.LOSE_PART,
    ("grass", "rest"),
    say(
        "Grass covers {part} of it.",
        "A lawn takes up {part} of it.",
        "{Part} of it is covered by grass.",
        held=("A lawn covers {part} of it.",),
    ),
    to="rest",
)


RECTANGLES = Family(
    name="rectangles",
    about="area of yards and gardens, beds, plants, cost",
    openings=(
        Event(
            "area",
            s.AREA,
            ("area",),
            say(
                "A garden is {a} meters long and {b} meters wide.",
                "{N} has a yard {a} meters long and {b} meters wide.",
                "A field is {a} meters by {b} meters.",
                held=("The sides of a garden are {a} meters and {b} meters.",),
            ),
            to="area",
        ),
        Event(
            "narrow",
            s.NARROW_AREA,
            ("wide", "area"),
            say(
                "A garden is {a} meters long. Its width is {b} meters less than that.",
                "{N} has a yard {a} meters long. Its width is {b} meters less.",
                "A field is {a} meters long, which is {b} meters more than its width.",
                held=("A garden is {a} meters long, and its other side is {b} meters shorter.",),
            ),
            to="area",
        ),
    ),
    events={
        "area": (
            _POND,
            _BEDS,
            Event(
                "add",
                s.GAIN,
                ("area",),
                say(
                    "Then {a} square meters are added to it.",
                    "It is made {a} square meters bigger.",
                    "A strip of {a} square meters is added to it.",
                    held=("It grows by {a} square meters.",),
                ),
                to="grown",
            ),
            _PART,
            Event(
                "cost",
                s.TIMES,
                ("dollars",),
                say(
                    "Seeds cost ${a} for each square meter of it.",
                    "Each square meter of it costs ${a} to plant.",
                    "To plant it costs ${a} a square meter.",
                    held=("It costs ${a} to plant each square meter of it.",),
                ),
                to="dollars",
            ),
        ),
        "grown": (
            _POND,
            _BEDS,
            _PART,
            Event(
                "cost",
                s.TIMES,
                ("dollars",),
                say(
                    "Seeds cost ${a} for each square meter of it.",
                    "Each square meter of it costs ${a} to plant.",
                    "To plant it costs ${a} a square meter.",
                    held=("It costs ${a} to plant each square meter of it.",),
                ),
                to="dollars",
            ),
        ),
        "rest": (
            Event(
                "path",
                s.LOSE,
                ("rest",),
                say(
                    "A path takes {a} square meters of the rest.",
                    "A path takes up {a} square meters of the rest.",
                    "A shed covers {a} square meters of the rest.",
                    held=("There is a path on {a} square meters of the rest.",),
                ),
            ),
            Event(
                "tables",
                s.LOSE_GROUPS,
                ("tables", "rest"),
                say(
                    "There are {a} tables of {b} square meters each on the rest.",
                    "There are {a} sheds of {b} square meters each on the rest.",
                    "The rest has {a} tables. Each covers {b} square meters.",
                    held=("The rest holds {a} sheds of {b} square meters each.",),
                ),
                limit=1,
            ),
            Event(
                "buy-land",
                s.GAIN,
                ("rest",),
                say(
                    "Then {a} free square meters are added to the rest.",
                    "A free strip of {a} square meters is added to the rest.",
                    "Then the rest is made {a} square meters bigger.",
                    held=("The rest grows by {a} free square meters.",),
                ),
            ),
            Event(
                "split",
                s.DIVIDE,
                ("each bed",),
                say(
                    "The rest is split equally into {a} beds.",
                    "The rest is cut into {a} equal beds.",
                    "There are {a} equal beds that fill the rest.",
                    held=("The rest is made into {a} equal beds.",),
                ),
                to="bed",
            ),
            Event(
                "rest-cost",
                s.TIMES,
                ("dollars",),
                say(
                    "Each square meter of the rest costs ${a} to plant.",
                    "To plant the rest costs ${a} a square meter.",
                    "Seeds for the rest cost ${a} a square meter.",
                    held=("It costs ${a} to plant each square meter of the rest.",),
                ),
                to="dollars",
            ),
        ),
        "bed": (
            Event(
                "bed-plants",
                s.TIMES,
                ("plants",),
                say(
                    "There grow {a} plants on each square meter of a bed.",
                    "A bed has {a} plants on each square meter.",
                    "In a bed {a} plants grow on each square meter.",
                    held=("Each square meter of a bed holds {a} plants.",),
                ),
                to="plants",
            ),
        ),
        "plants": (
            Event(
                "plants-die",
                s.LOSE,
                ("plants",),
                say(
                    "In each bed {a} plants die.",
                    "Then {a} plants in each bed are eaten.",
                    "From each bed {a} plants are sold.",
                    held=("Each bed loses {a} plants.",),
                ),
            ),
            Event(
                "plants-grow",
                s.GAIN,
                ("plants",),
                say(
                    "In each bed {a} new plants come up.",
                    "Then {a} plants are added to each bed.",
                    "Each bed gets {a} more plants.",
                    held=("Someone puts {a} more plants in each bed.",),
                ),
            ),
        ),
        "dollars": COST_EVENTS,
    },
    questions={
        "area": say(
            "What is the area in square meters?",
            "What is its area in square meters?",
            "How many square meters is its area?",
            held=("How big is it in square meters?",),
        ),
        "rest": say(
            "How many square meters is the rest?",
            "How many square meters are free?",
            "How big is the rest in square meters?",
            held=("What is the free area in square meters?",),
        ),
        "bed": say(
            "How many square meters is each bed?",
            "How big is each bed in square meters?",
            "What is the area of one bed in square meters?",
            held=("What number of square meters does each bed have?",),
        ),
        "plants": say(
            "How many plants are in each bed?",
            "How many plants does each bed have?",
            "How many plants are there in one bed?",
            held=("What number of plants is in each bed?",),
        ),
        "dollars": COST_QUESTION,
        "person": SHARED_COST_QUESTION,
        "grown": say(
            "What is its area now in square meters?",
            "How many square meters is it now?",
            "How many square meters does it cover now?",
            held=("How big is it now in square meters?",),
        ),
    },
)
