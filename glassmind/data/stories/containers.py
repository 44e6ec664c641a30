"""*Containers*: boxes with things in them, repacked, weighed and sold."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import FOOD, THINGS

CONTAINERS = Family(
    name="containers",
    about="boxes of things: filled, emptied, repacked, weighed, sold",
    nouns=FOOD + THINGS,
    openings=(
        Event(
            "boxes",
            s.PRODUCT,
            ("{items}",),
            say(
                "A shop gets {a} {boxes} of {b} {items}.",
                "There are {a} {boxes} with {b} {items} in each.",
                "{N} fills {a} {boxes}. Each {box} holds {b} {items}.",
                held=("Each of {a} {boxes} has {b} {items} in it.",),
            ),
            to="items",
        ),
        Event(
            "heap",
            s.GIVEN,
            (),
            say(
                "A shop gets {a} {items}.",
                "There are {a} {items} in a big {box}.",
                "{N} has {a} {items} to pack.",
                held=("A big {box} has {a} {items} in it.",),
            ),
            to="items",
        ),
    ),
    events={
        "items": (
            Event(
                "out",
                s.LOSE,
                ("left",),
                say(
                    "Then {a} {items} are thrown away.",
                    "Then {a} {items} are taken out.",
                    "Of the {items}, {a} are given away.",
                    held=("Someone takes out {a} {items}.",),
                ),
            ),
            Event(
                "in",
                s.GAIN,
                ("{items}",),
                say(
                    "Then {a} more {items} are added.",
                    "A truck brings {a} more {items}.",
                    "Another {a} {items} are put in.",
                    held=("Someone puts in {a} more {items}.",),
                ),
            ),
            Event(
                "more-boxes",
                s.GAIN_GROUPS,
                ("added", "{items}"),
                say(
                    "Another {a} {boxes} of {b} {items} come in.",
                    "Then {a} more {boxes} with {b} {items} each are added.",
                    "A truck brings {a} more {boxes} of {b} {items}.",
                    held=("Someone brings {a} more {boxes} of {b} {items}.",),
                ),
            ),
            Event(
                "lost-boxes",
                s.LOSE_GROUPS,
                ("sold", "left"),
                say(
                    "Then {a} sets of {b} {items} are sold.",
                    "Then {a} people take {b} {items} each.",
                    "Each of {a} people buys {b} of the {items}.",
                    held=("Someone sells {b} {items} to each of {a} people.",),
                ),
            ),
            Event(
                "pack",
                s.DIVIDE,
                ("packets",),
                say(
                    "All the {items} are packed in packets of {a}.",
                    "The {items} are put into packets that hold {a} each.",
                    "The {items} now go into packets with {a} in each.",
                    held=("Someone packs all the {items} in packets of {a}.",),
                ),
                to="packets",
            ),
            Event(
                "shelves",
                s.DIVIDE,
                ("each shelf",),
                say(
                    "All the {items} are put equally on {a} shelves.",
                    "The {items} are spread equally over {a} shelves.",
                    "The {items} go on {a} shelves, the same number on each.",
                    held=("Someone puts the {items} equally on {a} shelves.",),
                ),
                to="shelf",
            ),
        ),
        "packets": (
            Event(
                "packets-out",
                s.LOSE,
                ("packets",),
                say(
                    "Then {a} packets are given to a school.",
                    "Then {a} of the packets are lost.",
                    "A neighbor takes {a} packets.",
                    held=("Someone takes {a} packets.",),
                ),
            ),
            Event(
                "packets-in",
                s.GAIN,
                ("packets",),
                say(
                    "Then {a} more packets come in.",
                    "A truck brings {a} more packets.",
                    "Then {a} other packets are added.",
                    held=("Someone brings {a} more packets.",),
                ),
            ),
            Event(
                "weigh",
                s.TIMES,
                ("kilograms",),
                say(
                    "Each packet weighs {a} kilograms.",
                    "A packet weighs {a} kilograms.",
                    "The weight of a packet is {a} kilograms.",
                    held=("One packet has a weight of {a} kilograms.",),
                ),
                to="kilograms",
            ),
            Event(
                "price",
                s.TIMES,
                ("dollars",),
                say(
                    "Each packet is sold for ${a}.",
                    "The packets are sold at ${a} each.",
                    "All the packets are sold for ${a} each.",
                    held=("Someone buys all the packets for ${a} each.",),
                ),
                to="dollars",
            ),
        ),
        "kilograms": (
            Event(
                "load",
                s.GAIN,
                ("kilograms",),
                say(
                    "They lie on a cart that weighs {a} kilograms.",
                    "They are in a cart that weighs {a} kilograms.",
                    "The cart under them weighs {a} kilograms.",
                    held=("The weight of the cart under them is {a} kilograms.",),
                ),
                to="cart",
            ),
        ),
        "dollars": (
            Event(
                "cost",
                s.LOSE,
                ("dollars",),
                say(
                    "From this money ${a} goes to a helper.",
                    "A helper is paid ${a} from this money.",
                    "Of this money ${a} is paid as rent.",
                    held=("Someone takes ${a} of this money.",),
                ),
            ),
            Event(
                "extra",
                s.GAIN,
                ("dollars",),
                say(
                    "Other sales bring in ${a} more.",
                    "Another sale adds ${a}.",
                    "Selling the {boxes} adds ${a}.",
                    held=("Someone adds another ${a} to it.",),
                ),
            ),
            Event(
                "split",
                s.DIVIDE,
                ("each",),
                say(
                    "The money is shared equally by {a} people.",
                    "Then {a} people share the money equally.",
                    "A team of {a} people shares the money equally.",
                    held=("The money is split equally among {a} people.",),
                ),
                to="person",
            ),
        ),
        "shelf": (
            Event(
                "shelf-out",
                s.LOSE,
                ("each shelf",),
                say(
                    "Then {a} are taken from each shelf.",
                    "Each shelf loses {a} {items}.",
                    "From each shelf {a} {items} are sold.",
                    held=("Someone takes {a} {items} from each shelf.",),
                ),
            ),
            Event(
                "shelf-in",
                s.GAIN,
                ("each shelf",),
                say(
                    "Then {a} more are put on each shelf.",
                    "Each shelf gets {a} more {items}.",
                    "On each shelf {a} more {items} are put.",
                    held=("Someone puts {a} more {items} on each shelf.",),
                ),
            ),
            Event(
                "shelf-boxes",
                s.GAIN_GROUPS,
                ("added", "each shelf"),
                say(
                    "Each shelf gets {a} more {boxes} of {b} {items}.",
                    "Then {a} {boxes} of {b} {items} are put on each shelf.",
                    "On each shelf {a} more {boxes} of {b} {items} are put.",
                    held=("Someone puts {a} {boxes} of {b} {items} on each shelf.",),
                ),
            ),
            Event(
                "shelf-part",
                s.LOSE_PART,
                ("sold", "each shelf"),
                say(
                    "Then {part} of the {items} on each shelf are sold.",
                    "From each shelf {part} of the {items} are sold.",
                    "{Part} of the {items} on each shelf are sold.",
                    held=("Someone buys {part} of the {items} on each shelf.",),
                ),
            ),
        ),
    },
    questions={
        "items": say(
            "How many {items} are there now?",
            "How many {items} are there in all?",
            "How many {items} are there in the end?",
            held=("What is the number of {items} now?",),
        ),
        "packets": say(
            "How many packets are there?",
            "How many packets are there now?",
            "How many packets are there in the end?",
            held=("What is the number of packets?",),
        ),
        "kilograms": say(
            "How many kilograms do the packets weigh in all?",
            "What do all the packets weigh in kilograms?",
            "How many kilograms do the packets weigh together?",
            held=("What is the weight of the packets in kilograms?",),
        ),
        "cart": say(
            "How many kilograms do the cart and packets weigh together?",
            "What do the packets and the cart weigh in kilograms?",
            "How many kilograms do the packets and the cart weigh in all?",
            held=("What is the weight of cart and packets in kilograms?",),
        ),
        "dollars": say(
            "How many dollars are there in the end?",
            "How much money is there in dollars?",
            "How many dollars is that in the end?",
            held=("What amount in dollars is that?",),
        ),
        "person": say(
            "How many dollars does each person get?",
            "How much does each person get in dollars?",
            "How many dollars go to each person?",
            held=("What amount in dollars does each person get?",),
        ),
        "shelf": say(
            "How many {items} are on each shelf now?",
            "How many {items} are on each shelf?",
            "How many {items} are on each shelf in the end?",
            held=("What number of {items} is on each shelf?",),
        ),
    },
)
