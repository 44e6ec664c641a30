"""*Distance*: kilometers travelled and left to go, the fuel they take, what it costs."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say

_FUEL = Event(
    "fuel",
    s.DIVIDE,
    ("liters",),
    say(
        "For every {a} km one liter of fuel is used.",
        "One liter of fuel is used every {a} km.",
        "Every {a} km takes one liter of fuel.",
        held=("One liter of fuel is enough for {a} km.",),
    ),
    to="liters",
)

_IN_ALL = say(
    "How many km does {N} go in all?",
    "How many km is that in all?",
    "How far does {N} go in all?",
    held=("What number of km does {N} go in all?",),
)

DISTANCE = Family(
    name="distance",
    about="kilometers travelled and left to go, fuel and its price",
    openings=(
        Event(
            "drive",
            s.RATE_TIME,
            ("drive",),
            say(
                "{N} drives {a} km an hour for {b} hours.",
                "{N} drives for {b} hours at {a} km an hour.",
                "{N} goes by car for {b} hours at {a} km an hour.",
                held=("For {b} hours {N} drives {a} km an hour.",),
            ),
            to="gone",
        ),
        Event(
            "ride",
            s.GIVEN,
            (),
            say(
                "{N} drives {a} km.",
                "{N} goes {a} km by car.",
                "On Monday {N} drives {a} km.",
                held=("{N} travels {a} km by car.",),
            ),
            to="gone",
        ),
    ),
    events={
        "gone": (
            Event(
                "more",
                s.GAIN,
                ("total",),
                say(
                    "{S} drives {a} km more.",
                    "{S} drives another {a} km.",
                    "{S} goes {a} km more by car.",
                    held=("{S} travels another {a} km.",),
                ),
            ),
            Event(
                "drive-on",
                s.GAIN_RATE,
                ("drive", "total"),
                say(
                    "{S} drives {a} km an hour for {b} hours.",
                    "{S} drives for {b} hours at {a} km an hour.",
                    "Next {he} drives {b} hours at {a} km an hour.",
                    held=("For {b} hours {he} drives at {a} km an hour.",),
                ),
            ),
            Event(
                "laps",
                s.GAIN_GROUPS,
                ("laps", "total"),
                say(
                    "{S} drives {a} laps of {b} km each.",
                    "{S} drives {a} laps. Each lap is {b} km.",
                    "{S} does {a} laps that are {b} km long.",
                    held=("{S} drives {a} laps that are {b} km each.",),
                ),
            ),
            Event(
                "back",
                s.times_constant(2),
                ("total",),
                say(
                    "{S} goes back home the same way.",
                    "{S} comes back the same way.",
                    "{S} goes back by the same way.",
                    held=("{S} returns the same way.",),
                ),
                limit=1,
            ),
            Event(
                "trips",
                s.TIMES,
                ("total",),
                say(
                    "In all there are {a} such trips.",
                    "In all {he} makes this whole trip {a} times.",
                    "The whole trip is made {a} times.",
                    held=("There are {a} whole trips like this in all.",),
                ),
                to="trips",
            ),
            Event(
                "route",
                s.FROM_TOTAL,
                ("left",),
                say(
                    "The whole way is {a} km.",
                    "The way is {a} km long in all.",
                    "{His} goal is to go {a} km in all.",
                    held=("The full way is {a} km.",),
                ),
                to="left",
            ),
            _FUEL,
            Event(
                "days",
                s.DIVIDE,
                ("each day",),
                say(
                    "Next year {he} splits the same distance equally over {a} days.",
                    "Next time {he} goes just as far in {a} days, equally far each day.",
                    "Later {he} goes as far again in {a} days, equally far each day.",
                    held=("Next month {he} splits the same distance equally over {a} days.",),
                ),
                to="day",
            ),
        ),
        "trips": (
            Event(
                "after",
                s.GAIN,
                ("total",),
                say(
                    "After all these trips {he} drives {a} km.",
                    "After these trips {he} goes {a} km more.",
                    "After these trips {he} also drives {a} km.",
                    held=("When these trips are over {he} drives {a} km.",),
                ),
                limit=1,
            ),
            _FUEL,
        ),
        "left": (
            Event(
                "left-less",
                s.LOSE,
                ("left",),
                say(
                    "{S} walks {a} km of the way left.",
                    "A friend takes {him} {a} km of the way left.",
                    "{S} runs {a} km of the way left.",
                    held=("A taxi takes {him} {a} km of the way left.",),
                ),
            ),
            Event(
                "left-part",
                s.LOSE_PART,
                ("walked", "left"),
                say(
                    "{S} walks {part} of the way left.",
                    "{S} runs {part} of the way left.",
                    "A bus takes {him} {part} of the way left.",
                    held=("A taxi takes {him} {part} of the way left.",),
                ),
            ),
            Event(
                "left-hours",
                s.DIVIDE,
                ("hours",),
                say(
                    "{S} goes the rest at {a} km an hour.",
                    "On the rest {his} speed is {a} km an hour.",
                    "{S} does the rest at {a} km an hour.",
                    held=("The rest is done at {a} km an hour.",),
                ),
                to="hours",
            ),
        ),
        "liters": (
            Event(
                "spill",
                s.GAIN,
                ("liters",),
                say(
                    "A cold engine uses {a} liters more.",
                    "Strong wind adds {a} liters.",
                    "Heavy bags add {a} liters.",
                    held=("Because of strong wind {a} liters are added.",),
                ),
                limit=1,
            ),
            Event(
                "fuel-price",
                s.TIMES,
                ("dollars",),
                say(
                    "A liter costs ${a}.",
                    "Each liter of fuel costs ${a}.",
                    "{S} pays ${a} for each liter.",
                    held=("For each liter {he} pays ${a}.",),
                ),
                to="dollars",
            ),
        ),
        "dollars": (
            Event(
                "toll",
                s.GAIN,
                ("dollars",),
                say(
                    "{S} also pays ${a} for the road.",
                    "A bridge costs {him} ${a} more.",
                    "{S} also pays ${a} for parking.",
                    held=("For parking {he} also pays ${a}.",),
                ),
            ),
            Event(
                "rider",
                s.LOSE,
                ("dollars",),
                say(
                    "{o} pays ${a} of this.",
                    "A friend pays ${a} of this.",
                    "{S} gets ${a} of this back.",
                    held=("{S} is paid back ${a} of this.",),
                ),
            ),
        ),
        "day": (
            Event(
                "day-more",
                s.GAIN,
                ("each day",),
                say(
                    "Each day {he} also walks {a} km.",
                    "Each day {he} walks {a} km more.",
                    "Each day a walk adds {a} km.",
                    held=("Each day {he} runs {a} km more.",),
                ),
            ),
        ),
    },
    questions={
        "gone": _IN_ALL,
        "left": say(
            "How many km are left?",
            "How many km must {N} still go?",
            "How far must {N} still go?",
            held=("What number of km is left?",),
        ),
        "hours": say(
            "How many hours does the rest take?",
            "How many hours does {he} need for the rest?",
            "How many hours long is the rest of the way?",
            held=("What number of hours does the rest take?",),
        ),
        "liters": say(
            "How many liters are used?",
            "How many liters of fuel are used?",
            "How many liters of fuel is that?",
            held=("What number of liters is used?",),
        ),
        "dollars": say(
            "How many dollars does {N} pay?",
            "How many dollars does {N} pay in the end?",
            "What does {N} pay in dollars?",
            held=("What amount in dollars does {N} pay?",),
        ),
        "day": say(
            "How many km is that for each day?",
            "How many km does {N} go each day?",
            "How far does {N} go each day?",
            held=("What number of km is that each day?",),
        ),
        "trips": _IN_ALL,
    },
)
