"""*Money*: a pocket that is filled and spent from, change at a counter, jars of savings."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import GOODS

MONEY = Family(
    name="money",
    about="a pocket of dollars: earning, spending, gifts, change, jars",
    nouns=GOODS,
    openings=(
        Event(
            "has",
            s.GIVEN,
            (),
            say(
                "{N} has ${a}.",
                "{N} has saved ${a}.",
                "{N} has ${a} in {his} pocket.",
                held=("There are ${a} in {N}'s pocket.",),
            ),
            to="pocket",
        ),
        Event(
            "earns",
            s.RATE_TIME,
            ("earned",),
            say(
                "{N} earns ${a} a day for {b} days.",
                "{N} works {b} days and earns ${a} a day.",
                "{N} earns ${a} an hour and works {b} hours.",
                held=("For {b} days of work {N} is paid ${a} a day.",),
            ),
            to="pocket",
        ),
        Event(
            "price",
            s.COUNT_EACH,
            ("cost",),
            say(
                "{N} buys {a} {items} at ${b} each.",
                "{N} picks {a} {items} that cost ${b} each.",
                "{N} takes {a} {items}. Each {item} costs ${b}.",
                held=("{N} takes {a} {items} at ${b} each.",),
            ),
            to="counter",
        ),
    ),
    events={
        "pocket": (
            Event(
                "earn",
                s.GAIN,
                ("money",),
                say(
                    "{S} earns ${a} by washing a car.",
                    "{S} gets ${a} for helping a neighbor.",
                    "{S} earns ${a} more.",
                    held=("{S} is paid ${a} for helping at home.",),
                ),
            ),
            Event(
                "gift",
                s.GAIN,
                ("money",),
                say(
                    "{His} aunt gives {him} ${a}.",
                    "{o} gives {him} ${a}.",
                    "{S} gets ${a} from {his} uncle.",
                    held=("{S} gets ${a} from {o}.",),
                ),
                limit=1,
            ),
            Event(
                "spend",
                s.LOSE,
                ("left",),
                say(
                    "{S} spends ${a} on a {other}.",
                    "{S} buys a {other} for ${a}.",
                    "{S} pays ${a} for a {other}.",
                    held=("A {other} costs {him} ${a}.",),
                ),
            ),
            Event(
                "work",
                s.GAIN_GROUPS,
                ("pay", "money"),
                say(
                    "{S} works {a} hours at ${b} an hour.",
                    "{S} works {a} hours and is paid ${b} an hour.",
                    "For {a} hours {he} earns ${b} an hour.",
                    held=("{S} is paid ${b} an hour for {a} hours of work.",),
                ),
            ),
            Event(
                "buy",
                s.LOSE_GROUPS,
                ("{others}", "left"),
                say(
                    "{S} buys {a} {others} at ${b} each.",
                    "{S} buys {a} {others}. Each {other} costs ${b}.",
                    "{S} pays for {a} {others} at ${b} each.",
                    held=("{S} pays ${b} each for {a} {others}.",),
                ),
            ),
            Event(
                "share",
                s.LOSE_PART,
                ("given", "left"),
                say(
                    "{S} gives {part} of {his} money to {o}.",
                    "{S} spends {part} of {his} money on a trip.",
                    "{S} gives {o} {part} of {his} money.",
                    held=("{Part} of {his} money goes to {o}.",),
                ),
                limit=1,
            ),
            Event(
                "grow",
                s.TIMES,
                ("money",),
                say(
                    "After a year of saving {he} has {a} times as much.",
                    "After a summer of work {he} has {a} times as much.",
                    "{S} saves until {he} has {a} times as much.",
                    held=("A year later {he} has {a} times as much.",),
                ),
                limit=1,
            ),
            Event(
                "jars",
                s.DIVIDE,
                ("each jar",),
                say(
                    "{S} puts the money equally into {a} jars.",
                    "{S} splits {his} money equally between {a} jars.",
                    "{S} puts all of it into {a} jars, the same in each.",
                    held=("All the money goes equally into {a} jars.",),
                ),
                to="jar",
            ),
        ),
        "counter": (
            Event(
                "one-more",
                s.GAIN,
                ("cost",),
                say(
                    "{S} also takes a {other} for ${a}.",
                    "{S} adds a {other} that costs ${a}.",
                    "{S} also buys a {other} for ${a}.",
                    held=("{S} also takes a {other} that costs ${a}.",),
                ),
                limit=3,
            ),
            Event(
                "some-more",
                s.GAIN_GROUPS,
                ("{others}", "cost"),
                say(
                    "{S} also takes {a} {others} at ${b} each.",
                    "{S} adds {a} {others} for ${b} each.",
                    "{S} also buys {a} {others} that cost ${b} each.",
                    held=("{S} also picks {a} {others} at ${b} each.",),
                ),
            ),
            Event(
                "rebate",
                s.LOSE,
                ("cost",),
                say(
                    "The shop takes ${a} off.",
                    "A coupon takes ${a} off.",
                    "{S} has a coupon for ${a} off.",
                    held=("With a coupon it costs ${a} less.",),
                ),
            ),
            Event(
                "pays",
                s.FROM_TOTAL,
                ("change",),
                say(
                    "{S} gives the clerk ${a}.",
                    "{S} hands over ${a}.",
                    "{S} pays with ${a} in cash.",
                    held=("The clerk gets ${a} from {him}.",),
                ),
                to="change",
            ),
        ),
        "jar": (
            Event(
                "fill",
                s.GAIN,
                ("each jar",),
                say(
                    "{S} adds ${a} to each jar.",
                    "{S} puts ${a} more into each jar.",
                    "Each jar gets ${a} more.",
                    held=("{S} adds another ${a} to each jar.",),
                ),
            ),
            Event(
                "weekly",
                s.GAIN_GROUPS,
                ("added", "each jar"),
                say(
                    "For {a} months {he} adds ${b} a month to each jar.",
                    "{S} adds ${b} a month to each jar for {a} months.",
                    "Each jar gets ${b} a month for {a} months.",
                    held=("{S} puts ${b} a month into each jar for {a} months.",),
                ),
            ),
            Event(
                "take",
                s.LOSE,
                ("each jar",),
                say(
                    "{S} takes ${a} out of each jar.",
                    "{S} takes ${a} from each jar.",
                    "From each jar {he} takes ${a}.",
                    held=("Each jar then loses ${a}.",),
                ),
            ),
            Event(
                "jar-part",
                s.LOSE_PART,
                ("taken", "each jar"),
                say(
                    "{S} spends {part} of the money in each jar.",
                    "{S} takes {part} of the money out of each jar.",
                    "{Part} of the money in each jar is spent.",
                    held=("{S} spends {part} of what is in each jar.",),
                ),
                limit=1,
            ),
        ),
    },
    questions={
        "pocket": say(
            "How many dollars does {N} have now?",
            "How much money does {N} have now?",
            "How many dollars does {he} have in the end?",
            held=("What amount in dollars does {N} have now?",),
        ),
        "counter": say(
            "How many dollars must {N} pay?",
            "How much must {N} pay?",
            "What does it cost in dollars?",
            held=("What amount in dollars must {N} pay?",),
        ),
        "change": say(
            "How many dollars of change does {N} get?",
            "How much change does {N} get?",
            "What is {his} change in dollars?",
            held=("How many dollars does {N} get back?",),
        ),
        "jar": say(
            "How many dollars are in each jar?",
            "How much money is in each jar?",
            "How many dollars does each jar hold?",
            held=("What amount in dollars is in each jar?",),
        ),
    },
)
