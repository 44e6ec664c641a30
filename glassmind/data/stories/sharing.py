"""*Sharing*: a heap of things that is shared equally among friends."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import FOOD, THINGS

SHARING = Family(
    name="sharing",
    about="a heap that is shared equally among friends",
    nouns=FOOD + THINGS,
    openings=(
        Event(
            "has",
            s.GIVEN,
            (),
            say(
                "{N} has {a} {items}.",
                "{N} brings {a} {items}.",
                "{N} buys {a} {items}.",
                held=("There are {a} {items} on {N}'s table.",),
            ),
            to="heap",
        ),
        Event(
            "boxes",
            s.PRODUCT,
            ("{items}",),
            say(
                "{N} has {a} {boxes} of {b} {items}.",
                "{N} brings {a} {boxes} with {b} {items} in each.",
                "{N} buys {a} {boxes}. Each {box} holds {b} {items}.",
                held=("There are {b} {items} in each of {N}'s {a} {boxes}.",),
            ),
            to="heap",
        ),
        Event(
            "two-heaps",
            s.SUM,
            ("{items}",),
            say(
                "{N} has {a} {items} in one {box} and {b} in another.",
                "{N} buys {a} {items} on Monday and {b} on Friday.",
                "{N} has {a} small {items} and {b} big {items}.",
                held=("{N} has {a} {items} at home and {b} at school.",),
            ),
            to="heap",
        ),
    ),
    events={
        "heap": (
            Event(
                "get",
                s.GAIN,
                ("{items}",),
                say(
                    "{S} gets {a} more {items}.",
                    "{S} buys {a} more {items}.",
                    "A neighbor gives {him} {a} more {items}.",
                    held=("{S} gets {a} more {items} from a neighbor.",),
                ),
            ),
            Event(
                "give",
                s.LOSE,
                ("left",),
                say(
                    "{S} gives {a} {items} to {o}.",
                    "{S} gives {o} {a} {items}.",
                    "{o} takes {a} of the {items}.",
                    held=("{S} hands {a} {items} to {o}.",),
                ),
            ),
            Event(
                "buy-boxes",
                s.GAIN_GROUPS,
                ("added", "{items}"),
                say(
                    "{S} buys {a} more {boxes} of {b} {items}.",
                    "{S} gets {a} more {boxes} with {b} {items} in each.",
                    "{o} brings {him} {a} more {boxes} of {b} {items}.",
                    held=("{o} gives {him} {a} more {boxes} of {b} {items}.",),
                ),
            ),
            Event(
                "share",
                s.DIVIDE,
                ("each",),
                say(
                    "{S} shares the {items} equally among {a} {friends}.",
                    "{S} gives all the {items} to {a} {friends}, the same number to each.",
                    "The {items} are shared equally by {a} {friends}.",
                    held=("{S} splits the {items} equally among {a} {friends}.",),
                ),
                to="each",
            ),
            Event(
                "keep-share",
                s.KEEP_THEN_DIVIDE,
                ("shared", "each"),
                say(
                    "{S} keeps {a} {items} and shares the rest equally among {b} {friends}.",
                    "{S} keeps {a} {items}, and {b} {friends} share the rest equally.",
                    "{S} keeps {a} {items}. The rest is shared equally by {b} {friends}.",
                    held=(
                        "{S} keeps {a} {items} and splits the rest equally among {b} {friends}.",
                    ),
                ),
                to="each",
            ),
        ),
        "each": (
            Event(
                "each-more",
                s.GAIN,
                ("each",),
                say(
                    "Each {friend} then gets {a} more.",
                    "{o} gives each {friend} {a} more.",
                    "Each {friend} finds {a} more {items}.",
                    held=("Each {friend} is given {a} more {items}.",),
                ),
            ),
            Event(
                "each-less",
                s.LOSE,
                ("each",),
                say(
                    "Each {friend} gives {a} of them away.",
                    "Each {friend} then gives {a} back.",
                    "Each {friend} loses {a} of them.",
                    held=("{o} takes {a} {items} from each {friend}.",),
                ),
            ),
            Event(
                "each-boxes",
                s.GAIN_GROUPS,
                ("added", "each"),
                say(
                    "Each {friend} then buys {a} {boxes} of {b} {items}.",
                    "{o} gives each {friend} {a} {boxes} of {b} {items}.",
                    "Each {friend} gets {a} {boxes} with {b} more {items} in each.",
                    held=("Each {friend} is given {a} {boxes} of {b} {items}.",),
                ),
            ),
            Event(
                "each-part",
                s.LOSE_PART,
                ("given", "each"),
                say(
                    "Each {friend} gives {part} of them to a teacher.",
                    "Each {friend} gives {part} of them away.",
                    "Each {friend} then loses {part} of them.",
                    held=("{o} takes {part} of them from each {friend}.",),
                ),
                limit=1,
            ),
        ),
    },
    questions={
        "heap": say(
            "How many {items} does {N} have now?",
            "How many {items} are there now?",
            "How many {items} does {he} have in the end?",
            held=("What number of {items} does {N} have now?",),
        ),
        "each": say(
            "How many {items} does each {friend} have now?",
            "How many {items} does each {friend} have?",
            "How many {items} does each {friend} have in the end?",
            held=("What number of {items} does each {friend} have now?",),
        ),
    },
)
