"""*Fences*: the way around a rectangle, panels and wire, what they cost."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.costs import COST_EVENTS, COST_QUESTION, SHARED_COST_QUESTION
from glassmind.data.stories.family import Event, Family, say

FENCES = Family(
    name="fences",
    about="perimeter of yards, panels, wire, cost",
    openings=(
        Event(
            "square",
            s.SQUARE_EDGE,
            ("around",),
            say(
                "A square yard has sides of {a} meters. A fence goes around it.",
                "{N} puts a fence around a square field with sides of {a} meters.",
                "A fence goes around a square garden with sides of {a} meters.",
                held=("A square garden with sides of {a} meters has a fence around it.",),
            ),
            to="fence",
        ),
        Event(
            "fence",
            s.PERIMETER,
            ("sides", "around"),
            say(
                "A yard is {a} meters long and {b} meters wide. A fence goes around it.",
                "{N} puts a fence around a field of {a} meters by {b} meters.",
                "A fence goes around a garden {a} meters long and {b} meters wide.",
                held=("A garden has sides of {a} and {b} meters and a fence around it.",),
            ),
            to="fence",
        ),
    ),
    events={
        "fence": (
            Event(
                "gate",
                s.LOSE,
                ("fence",),
                say(
                    "Then {a} meters of it are taken down.",
                    "Then {a} meters of it fall down.",
                    "A storm breaks {a} meters of it.",
                    held=("A tree breaks {a} meters of it.",),
                ),
                to="rail",
            ),
            Event(
                "wire",
                s.TIMES,
                ("wire",),
                say(
                    "It has {a} wires, each as long as the fence.",
                    "It is made of {a} wires, all as long as the fence.",
                    "It is made of {a} full rows of wire.",
                    held=("There are {a} wires, each as long as the fence.",),
                ),
                to="wire",
            ),
            Event(
                "panels",
                s.DIVIDE,
                ("panels",),
                say(
                    "It is made of panels that are {a} meters long.",
                    "Each panel of it is {a} meters long.",
                    "It is built from panels of {a} meters.",
                    held=("Its panels are {a} meters long.",),
                ),
                to="panels",
            ),
            Event(
                "fence-cost",
                s.TIMES,
                ("dollars",),
                say(
                    "Each meter of it costs ${a}.",
                    "It costs ${a} a meter.",
                    "The price of each meter of it is ${a}.",
                    held=("Someone pays ${a} for each meter of it.",),
                ),
                to="dollars",
            ),
        ),
        "rail": (
            Event(
                "mend",
                s.GAIN,
                ("fence",),
                say(
                    "Then {a} meters of new fence are put up.",
                    "A helper adds {a} meters of fence.",
                    "New parts add {a} meters of fence.",
                    held=("Someone puts up {a} meters of new fence.",),
                ),
            ),
            Event(
                "fall",
                s.LOSE,
                ("fence",),
                say(
                    "Another {a} meters of fence fall down.",
                    "A cow breaks {a} more meters of fence.",
                    "Then {a} more meters of fence are taken down.",
                    held=("Someone takes down {a} more meters of fence.",),
                ),
            ),
            Event(
                "rail-groups",
                s.GAIN_GROUPS,
                ("new", "fence"),
                say(
                    "Then {a} new parts of {b} meters each are put up.",
                    "A helper adds {a} parts of {b} meters each.",
                    "Then {a} parts that are {b} meters long are added.",
                    held=("Someone puts up {a} new parts of {b} meters each.",),
                ),
            ),
        ),
        "panels": (
            Event(
                "panel-cost",
                s.TIMES,
                ("dollars",),
                say(
                    "Each panel costs ${a}.",
                    "A panel costs ${a}.",
                    "The price of each panel is ${a}.",
                    held=("Someone pays ${a} for each panel.",),
                ),
                to="dollars",
            ),
        ),
        "wire": (
            Event(
                "wire-spare",
                s.GAIN,
                ("wire",),
                say(
                    "There are also {a} meters of spare wire.",
                    "Another {a} meters of wire are kept as spare.",
                    "A shed holds {a} more meters of wire.",
                    held=("There are {a} more meters of spare wire.",),
                ),
            ),
        ),
        "dollars": COST_EVENTS,
    },
    questions={
        "fence": say(
            "How many meters long is the fence?",
            "How long is the fence in meters?",
            "How many meters of fence are there?",
            held=("What is the length of the fence in meters?",),
        ),
        "rail": say(
            "How long is the fence now in meters?",
            "How many meters of fence are there now?",
            "How many meters of fence are there in the end?",
            held=("What is the length of the fence now in meters?",),
        ),
        "panels": say(
            "How many panels does the fence have?",
            "How many panels are there?",
            "How many panels make up the fence?",
            held=("What is the number of panels?",),
        ),
        "wire": say(
            "How many meters of wire are there?",
            "How many meters of wire is that in all?",
            "How long is all the wire in meters?",
            held=("What is the length of all the wire in meters?",),
        ),
        "dollars": COST_QUESTION,
        "person": SHARED_COST_QUESTION,
    },
)
