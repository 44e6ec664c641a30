"""*Rates*: machines and workers that make so many things an hour."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import MADE

RATES = Family(
    name="rates",
    about="machines that make so many things an hour",
    nouns=MADE,
    openings=(
        Event(
            "runs",
            s.RATE_TIME,
            ("made",),
            say(
                "A machine makes {a} {items} an hour and runs for {b} hours.",
                "A machine runs for {b} hours and makes {a} {items} an hour.",
                "In each of {b} hours a machine makes {a} {items}.",
                held=("For {b} hours a machine makes {a} {items} an hour.",),
            ),
            to="made",
        ),
        Event(
            "team",
            s.PRODUCT,
            ("made",),
            say(
                "A team of {a} people works, and each makes {b} {items}.",
                "Each of {a} workers makes {b} {items}.",
                "There are {a} machines, and each makes {b} {items}.",
                held=("There are {a} workers who make {b} {items} each.",),
            ),
            to="made",
        ),
    ),
    events={
        "made": (
            Event(
                "second",
                s.GAIN_RATE,
                ("second", "total"),
                say(
                    "Another machine makes {a} an hour for {b} hours.",
                    "A new machine runs {b} hours and makes {a} {items} an hour.",
                    "Another machine makes {a} {items} in each of {b} hours.",
                    held=("For {b} hours another machine makes {a} {items} an hour.",),
                ),
            ),
            Event(
                "bad",
                s.LOSE,
                ("good",),
                say(
                    "Of the {items}, {a} are bad and thrown away.",
                    "Then {a} of the {items} break.",
                    "Then {a} {items} are thrown away.",
                    held=("Someone throws away {a} of the {items}.",),
                ),
            ),
            Event(
                "hand",
                s.GAIN,
                ("total",),
                say(
                    "Then {a} more are made by hand.",
                    "A helper makes {a} more {items}.",
                    "There are also {a} {items} from before.",
                    held=("Someone makes {a} more {items} by hand.",),
                ),
            ),
            Event(
                "days",
                s.TIMES,
                ("total",),
                say(
                    "The same is done on each of {a} days in all.",
                    "This is done on {a} days in all.",
                    "All this is done {a} times.",
                    held=("There are {a} days like this in all.",),
                ),
                limit=1,
            ),
            Event(
                "sold",
                s.LOSE_PART,
                ("sold", "left"),
                say(
                    "{Part} of the {items} are sold.",
                    "Then {part} of the {items} are sold.",
                    "A shop buys {part} of the {items}.",
                    held=("Someone buys {part} of the {items}.",),
                ),
            ),
            Event(
                "pack",
                s.DIVIDE,
                ("{boxes}",),
                say(
                    "The {items} are packed in {boxes} of {a}.",
                    "All the {items} go into {boxes} that hold {a} each.",
                    "The {items} are put into {boxes} with {a} in each.",
                    held=("Someone packs the {items} in {boxes} of {a}.",),
                ),
                to="boxes",
            ),
            Event(
                "workers",
                s.DIVIDE,
                ("each",),
                say(
                    "The {items} are split equally among {a} shops.",
                    "Then {a} shops get an equal part of the {items}.",
                    "The {items} go in equal parts to {a} shops.",
                    held=("Someone splits the {items} equally among {a} shops.",),
                ),
                to="shop",
            ),
        ),
        "boxes": (
            Event(
                "boxes-out",
                s.LOSE,
                ("{boxes}",),
                say(
                    "Then {a} {boxes} are sent away.",
                    "Then {a} of the {boxes} are lost.",
                    "A helper takes {a} {boxes}.",
                    held=("Someone takes {a} {boxes}.",),
                ),
            ),
            Event(
                "boxes-in",
                s.GAIN,
                ("{boxes}",),
                say(
                    "Then {a} more {boxes} come in.",
                    "Then {a} other {boxes} are added.",
                    "A truck brings {a} more {boxes}.",
                    held=("Someone brings {a} more {boxes}.",),
                ),
            ),
            Event(
                "boxes-price",
                s.TIMES,
                ("dollars",),
                say(
                    "Each {box} is sold for ${a}.",
                    "The {boxes} are sold at ${a} each.",
                    "All the {boxes} are sold for ${a} each.",
                    held=("Someone buys all the {boxes} for ${a} each.",),
                ),
                to="dollars",
            ),
        ),
        "dollars": (
            Event(
                "power",
                s.LOSE,
                ("dollars",),
                say(
                    "From this money ${a} is paid for power.",
                    "Of this money ${a} is paid to a driver.",
                    "From this money ${a} goes to a helper.",
                    held=("Someone takes ${a} of this money.",),
                ),
            ),
            Event(
                "bonus",
                s.GAIN,
                ("dollars",),
                say(
                    "Other sales bring in ${a} more.",
                    "Another sale adds ${a}.",
                    "Selling old parts adds ${a}.",
                    held=("Someone adds another ${a} to it.",),
                ),
            ),
        ),
        "shop": (
            Event(
                "shop-sells",
                s.LOSE,
                ("each",),
                say(
                    "Each shop sells {a} of them.",
                    "Each shop then sells {a} {items}.",
                    "In each shop {a} {items} are sold.",
                    held=("Someone buys {a} {items} in each shop.",),
                ),
            ),
            Event(
                "shop-gets",
                s.GAIN,
                ("each",),
                say(
                    "Each shop gets {a} more.",
                    "Each shop then buys {a} more {items}.",
                    "A truck brings {a} more {items} to each shop.",
                    held=("Each shop is sent {a} more {items}.",),
                ),
            ),
            Event(
                "shop-boxes",
                s.GAIN_GROUPS,
                ("added", "each"),
                say(
                    "Each shop gets {a} {boxes} of {b} more {items}.",
                    "Each shop then buys {a} {boxes} of {b} {items}.",
                    "A truck brings {a} {boxes} of {b} {items} to each shop.",
                    held=("Each shop is sent {a} {boxes} of {b} {items}.",),
                ),
            ),
            Event(
                "shop-part",
                s.LOSE_PART,
                ("sold", "each"),
                say(
                    "Each shop sells {part} of its {items}.",
                    "Each shop then sells {part} of its {items}.",
                    "In each shop {part} of the {items} are sold.",
                    held=("Someone buys {part} of the {items} in each shop.",),
                ),
            ),
        ),
    },
    questions={
        "made": say(
            "How many {items} are there now?",
            "How many {items} is that in the end?",
            "How many {items} are there in the end?",
            held=("What is the number of {items} now?",),
        ),
        "boxes": say(
            "How many {boxes} are there?",
            "How many {boxes} are there now?",
            "How many {boxes} is that in the end?",
            held=("What is the number of {boxes}?",),
        ),
        "dollars": say(
            "How many dollars are there in the end?",
            "How much money is there in dollars?",
            "How many dollars is that in the end?",
            held=("What amount in dollars is that?",),
        ),
        "shop": say(
            "How many {items} does each shop have?",
            "How many {items} does each shop have now?",
            "How many {items} does each shop have in the end?",
            held=("What number of {items} does each shop have?",),
        ),
    },
)
