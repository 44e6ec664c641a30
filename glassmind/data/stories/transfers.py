"""*Transfers*: two people giving things to and fro."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import THINGS

TRANSFERS = Family(
    name="transfers",
    about="two people giving things to and fro",
    nouns=THINGS,
    openings=(
        Event(
            "has",
            s.GIVEN,
            (),
            say(
                "{N} and {o} collect {items}. {N} has {a}.",
                "{N} has {a} {items} and plays with {o}.",
                "{N} shows {o} {his} {a} {items}.",
                held=("{N} and {o} play together. {N} owns {a} {items}.",),
            ),
            to="one",
        ),
        Event(
            "boxes",
            s.PRODUCT,
            ("{items}",),
            say(
                "{N} and {o} collect {items}. {N} has {a} {boxes} of {b}.",
                "{N} has {a} {boxes} of {b} {items} and plays with {o}.",
                "{N} shows {o} {his} {a} {boxes} of {b} {items}.",
                held=("{N} and {o} play together. {N} owns {a} {boxes} of {b} {items}.",),
            ),
            to="one",
        ),
    ),
    events={
        "one": (
            Event(
                "give",
                s.LOSE,
                ("left",),
                say(
                    "{S} gives {o} {a} {items}.",
                    "{o} takes {a} of {his} {items}.",
                    "{S} loses {a} {items} to {o}.",
                    held=("{S} hands {a} {items} to {o}.",),
                ),
            ),
            Event(
                "receive",
                s.GAIN,
                ("{items}",),
                say(
                    "{o} gives {him} {a} {items}.",
                    "{S} wins {a} {items} from {o}.",
                    "{S} gets {a} {items} from {o}.",
                    held=("{S} is given {a} {items} by {o}.",),
                ),
            ),
            Event(
                "receive-boxes",
                s.GAIN_GROUPS,
                ("added", "{items}"),
                say(
                    "{o} gives {him} {a} {boxes} of {b} {items}.",
                    "{S} gets {a} {boxes} of {b} {items} from {o}.",
                    "{o} hands {him} {a} {boxes} with {b} {items} in each.",
                    held=("{S} is given {a} {boxes} of {b} {items} by {o}.",),
                ),
            ),
            Event(
                "receive-part",
                s.SIDE_PART,
                ("part", "{items}"),
                say(
                    "{o} finds {a} {items} and gives {him} {part} of them.",
                    "{o} buys {a} {items} and {he} gets {part} of them.",
                    "{o} gives {him} {part} of a heap of {a} {items}.",
                    held=("{o} gives {him} {part} of {a} new {items}.",),
                ),
            ),
            Event(
                "give-part",
                s.LOSE_PART,
                ("given", "left"),
                say(
                    "{S} gives {o} {part} of {his} {items}.",
                    "{o} gets {part} of {his} {items}.",
                    "{S} loses {part} of {his} {items} to {o}.",
                    held=("{S} hands {part} of {his} {items} to {o}.",),
                ),
                limit=1,
            ),
            Event(
                "swap",
                s.SWAP,
                ("left", "{items}"),
                say(
                    "{S} trades {a} of {his} {items} for {b} from {o}.",
                    "{S} gives {o} {a} {items} and gets {b} others back.",
                    "{o} takes {a} of {his} {items} and gives {him} {b} others.",
                    held=("{S} gets {b} {items} from {o} for {a} of {his} own.",),
                ),
                limit=1,
            ),
            Event(
                "other-times",
                s.TIMES,
                ("{o}",),
                say(
                    "Now {o} has {a} times as many {items} as {N}.",
                    "In the end {o} has {a} times as many {items} as {N}.",
                    "{o} ends up with {a} times as many {items} as {N}.",
                    held=("This leaves {o} with {a} times as many {items} as {N}.",),
                ),
                to="other",
            ),
            Event(
                "other-more",
                s.GAIN,
                ("{o}",),
                say(
                    "Now {o} has {a} more {items} than {N}.",
                    "In the end {o} has {a} more {items} than {N}.",
                    "{o} ends up with {a} more {items} than {N}.",
                    held=("This leaves {o} with {a} more {items} than {N}.",),
                ),
                to="other",
            ),
            Event(
                "both-more",
                s.MORE_TOTAL,
                ("{o}", "together"),
                say(
                    "Now {o} has {a} more {items} than {N}.",
                    "In the end {o} has {a} more {items} than {N}.",
                    "{o} ends up with {a} more {items} than {N}.",
                    held=("This leaves {o} with {a} more {items} than {N}.",),
                ),
                to="both",
            ),
            Event(
                "both-less",
                s.LESS_TOTAL,
                ("{o}", "together"),
                say(
                    "Now {o} has {a} fewer {items} than {N}.",
                    "In the end {o} has {a} fewer {items} than {N}.",
                    "{o} ends up with {a} fewer {items} than {N}.",
                    held=("This leaves {o} with {a} fewer {items} than {N}.",),
                ),
                to="both",
            ),
        ),
    },
    questions={
        "one": say(
            "How many {items} does {N} have now?",
            "How many {items} does {N} have in the end?",
            "How many {items} does {he} have now?",
            held=("What number of {items} does {N} have now?",),
        ),
        "other": say(
            "How many {items} does {o} have now?",
            "How many {items} does {o} have in the end?",
            "How many {items} does {o} have?",
            held=("What number of {items} does {o} have now?",),
        ),
        "both": say(
            "How many {items} do they have together?",
            "How many {items} do {N} and {o} have together?",
            "How many {items} do {N} and {o} have in all?",
            held=("What number of {items} do the two have together?",),
        ),
    },
)
