"""Costs: events and questions shared by *rectangles* and *fences*."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, say

COST_EVENTS = (
    Event(
        "work",
        s.GAIN,
        ("dollars",),
        say(
            "A helper costs ${a} more.",
            "Delivery costs ${a} more.",
            "New tools cost ${a} more.",
            held=("Someone pays ${a} more for new tools.",),
        ),
    ),
    Event(
        "help",
        s.GAIN_GROUPS,
        ("help", "dollars"),
        say(
            "A helper works {a} hours for ${b} an hour.",
            "There are also {a} helpers who cost ${b} each.",
            "There are also {a} tools that cost ${b} each.",
            held=("A helper is paid ${b} an hour for {a} hours.",),
        ),
    ),
    Event(
        "discount",
        s.LOSE,
        ("dollars",),
        say(
            "A coupon takes ${a} off.",
            "The seller takes ${a} off.",
            "A sale takes ${a} off.",
            held=("A coupon makes it ${a} cheaper.",),
        ),
    ),
    Event(
        "share",
        s.DIVIDE,
        ("each",),
        say(
            "The cost is shared equally by {a} neighbors.",
            "Then {a} neighbors share the cost equally.",
            "A group of {a} people shares the cost equally.",
            held=("The cost is split equally among {a} people.",),
        ),
        to="person",
    ),
)

COST_QUESTION = say(
    "How many dollars does it cost?",
    "What does it cost in dollars?",
    "How many dollars is the cost in all?",
    held=("What amount in dollars does it cost?",),
)

SHARED_COST_QUESTION = say(
    "How many dollars does each of them pay?",
    "What does each of them pay in dollars?",
    "How much does each of them pay in dollars?",
    held=("What amount in dollars does each of them pay?",),
)
