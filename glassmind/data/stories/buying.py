"""*Buying*: a bill that grows, shrinks, is ordered again or split."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import GOODS

BUYING = Family(
    name="buying",
    about="a bill: items at a price, extras, coupons, splitting it",
    nouns=GOODS,
    openings=(
        Event(
            "each",
            s.PRODUCT,
            ("cost",),
            say(
                "{N} buys {a} {items} for ${b} each.",
                "{N} buys {a} {items}. Each {item} costs ${b}.",
                "{N} orders {a} {items} at ${b} each.",
                held=("{N} pays ${b} each for {a} {items}.",),
            ),
            to="bill",
        ),
        Event(
            "pair",
            s.SUM,
            ("cost",),
            say(
                "{N} buys a {item} for ${a} and a {other} for ${b}.",
                "{N} gets a {item} that costs ${a} and a {other} that costs ${b}.",
                "{N} orders a {item} for ${a} and a {other} for ${b}.",
                held=("{N} pays ${a} for a {item} and ${b} for a {other}.",),
            ),
            to="bill",
        ),
        Event(
            "one",
            s.GIVEN,
            (),
            say(
                "{N} buys a {item} for ${a}.",
                "{N} orders a {item} that costs ${a}.",
                "{N} gets a {item} for ${a}.",
                held=("{N} pays ${a} for a {item}.",),
            ),
            to="bill",
        ),
    ),
    events={
        "bill": (
            Event(
                "more-each",
                s.GAIN_GROUPS,
                ("{others}", "total"),
                say(
                    "{S} also buys {a} {others} at ${b} each.",
                    "{S} adds {a} {others} for ${b} each.",
                    "{S} also gets {a} {others}. Each {other} costs ${b}.",
                    held=("{S} also orders {a} {others} that cost ${b} each.",),
                ),
            ),
            Event(
                "more-one",
                s.GAIN,
                ("total",),
                say(
                    "{S} also buys a {other} for ${a}.",
                    "{S} adds a {other} that costs ${a}.",
                    "{S} also gets a {other} for ${a}.",
                    held=("{S} also pays ${a} for a {other}.",),
                ),
                limit=3,
            ),
            Event(
                "delivery",
                s.GAIN,
                ("total",),
                say(
                    "Delivery costs ${a}.",
                    "{S} pays ${a} for delivery.",
                    "The shop charges ${a} for delivery.",
                    held=("It costs ${a} more to have it delivered.",),
                ),
                limit=1,
            ),
            Event(
                "coupon",
                s.LOSE,
                ("total",),
                say(
                    "A coupon takes ${a} off the bill.",
                    "{S} uses a coupon for ${a} off.",
                    "The shop takes ${a} off the bill.",
                    held=("With a coupon the bill is ${a} lower.",),
                ),
            ),
            Event(
                "sale",
                s.LOSE_PART,
                ("off", "total"),
                say(
                    "The shop takes {part} off the bill so far.",
                    "A sale takes {part} off the bill so far.",
                    "{S} gets {part} off the bill so far.",
                    held=("The bill so far is cut by {part}.",),
                ),
                limit=1,
            ),
            Event(
                "again",
                s.TIMES,
                ("orders",),
                say(
                    "In all {he} makes this same order {a} times.",
                    "In all {he} makes this same order in {a} months.",
                    "In all {he} places {a} orders just like this.",
                    held=("The same order is placed {a} times in all.",),
                ),
                to="orders",
            ),
            Event(
                "split",
                s.DIVIDE,
                ("each",),
                say(
                    "The bill is split equally among {a} people.",
                    "A group of {a} people shares the bill equally.",
                    "The cost is shared equally by {a} people.",
                    held=("There are {a} people, and each pays an equal part of the bill.",),
                ),
                to="share",
            ),
        ),
        "share": (
            Event(
                "drink",
                s.GAIN,
                ("each",),
                say(
                    "Each person also pays ${a} for lunch.",
                    "Each of them pays ${a} more for lunch.",
                    "Lunch costs each person ${a} more.",
                    held=("Each of them also has lunch for ${a}.",),
                ),
                limit=1,
            ),
            Event(
                "taxi",
                s.GAIN,
                ("each",),
                say(
                    "Each person also pays ${a} for a taxi.",
                    "Each of them pays ${a} more for the bus home.",
                    "A train ride costs each person ${a} more.",
                    held=("Each of them also takes a bus for ${a}.",),
                ),
            ),
            Event(
                "cups",
                s.GAIN_GROUPS,
                ("drinks", "each"),
                say(
                    "Each person also buys {a} drinks at ${b} each.",
                    "Each of them also gets {a} drinks for ${b} each.",
                    "Each person adds {a} drinks. A drink costs ${b}.",
                    held=("Each of them also has {a} drinks that cost ${b} each.",),
                ),
                limit=1,
            ),
            Event(
                "back",
                s.LOSE,
                ("each",),
                say(
                    "Each person gets ${a} back.",
                    "Each of them is paid back ${a}.",
                    "Each person saves ${a} with a coupon.",
                    held=("The shop pays ${a} back to each of them.",),
                ),
            ),
            Event(
                "visits",
                s.TIMES,
                ("each",),
                say(
                    "Each person pays this in each of {a} months.",
                    "Each of them pays the same amount {a} times in all.",
                    "Each person pays this amount {a} times in all.",
                    held=("In all, each of them pays this amount {a} times.",),
                ),
                to="months",
            ),
        ),
    },
    questions={
        "bill": say(
            "How many dollars does {N} pay in all?",
            "How much does {N} pay in all?",
            "What is the final bill in dollars?",
            held=("How many dollars does it all cost {N}?",),
        ),
        "orders": say(
            "How many dollars does {N} pay for all the orders?",
            "How much does {N} pay for all the orders?",
            "What do all the orders cost in dollars?",
            held=("How many dollars must {N} pay for all the orders?",),
        ),
        "months": say(
            "How many dollars does each person pay in all?",
            "How much does each person pay in all?",
            "What does each person pay in all, in dollars?",
            held=("How many dollars must each of them pay in all?",),
        ),
        "share": say(
            "How many dollars does each person pay?",
            "How much does each person pay in the end?",
            "What does each person pay in dollars?",
            held=("How many dollars must each of them pay?",),
        ),
    },
)
