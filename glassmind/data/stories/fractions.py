"""*Fractions* and percentages: half is sold, 20% more are made."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say
from glassmind.data.stories.words import FOOD

FRACTIONS = Family(
    name="fractions",
    about="parts and percentages of a number of things",
    nouns=FOOD,
    openings=(
        Event(
            "makes",
            s.GIVEN_ROUND,
            (),
            say(
                "{N} brings {a} {items} to a fair.",
                "{N} has {a} {items} to sell.",
                "A shop has {a} {items}.",
                held=("There are {a} {items} in a shop.",),
            ),
            to="stock",
        ),
        Event(
            "trays",
            s.PRODUCT,
            ("{items}",),
            say(
                "{N} brings {a} {boxes} of {b} {items} to a fair.",
                "{N} has {a} {boxes} with {b} {items} in each.",
                "A shop has {a} {boxes} of {b} {items}.",
                held=("There are {a} {boxes} of {b} {items} in a shop.",),
            ),
            to="stock",
        ),
    ),
    events={
        "stock": (
            Event(
                "sell-part",
                s.LOSE_PART,
                ("sold", "left"),
                say(
                    "{Part} of the {items} are sold.",
                    "People buy {part} of the {items}.",
                    "Then {part} of the {items} are sold.",
                    held=("{Part} of the {items} find a buyer.",),
                ),
            ),
            Event(
                "sell-percent",
                s.LOSE_PERCENT,
                ("sold", "left"),
                say(
                    "On Monday {percent} of the {items} are sold.",
                    "Then {percent} of the {items} are eaten.",
                    "People eat {percent} of the {items}.",
                    held=("A school takes {percent} of the {items}.",),
                ),
            ),
            Event(
                "keep-part",
                s.TAKE_PART,
                ("left",),
                say(
                    "Only {part} of the {items} are good, and the others are thrown away.",
                    "All but {part} of the {items} are sold.",
                    "Soon only {part} of the {items} are left.",
                    held=("Soon all but {part} of the {items} are gone.",),
                ),
            ),
            Event(
                "more-percent",
                s.GAIN_PERCENT,
                ("added", "{items}"),
                say(
                    "Then the number of {items} grows by {percent}.",
                    "The next day there are {percent} more {items}.",
                    "New {items} raise the number by {percent}.",
                    held=("The number of {items} goes up by {percent}.",),
                ),
                limit=1,
            ),
            Event(
                "more",
                s.GAIN,
                ("{items}",),
                say(
                    "Then {a} more {items} are added.",
                    "A helper brings {a} more {items}.",
                    "Another shop sends {a} more {items}.",
                    held=("There come {a} more {items} from a friend.",),
                ),
            ),
            Event(
                "less",
                s.LOSE,
                ("left",),
                say(
                    "Then {a} {items} are sold.",
                    "A friend takes {a} {items}.",
                    "Then {a} {items} are given away.",
                    held=("A school takes {a} of the {items}.",),
                ),
            ),
            Event(
                "plates",
                s.DIVIDE,
                ("each plate",),
                say(
                    "The {items} are put equally on {a} plates.",
                    "All the {items} go on {a} plates, the same number on each.",
                    "Now {a} plates share all the {items} equally.",
                    held=("All the {items} are split equally over {a} plates.",),
                ),
                to="plate",
            ),
        ),
        "plate": (
            Event(
                "plate-part",
                s.LOSE_PART,
                ("eaten", "each plate"),
                say(
                    "Guests eat {part} of the {items} on each plate.",
                    "On each plate {part} of the {items} are eaten.",
                    "{Part} of the {items} on each plate are eaten.",
                    held=("Someone takes {part} of the {items} from each plate.",),
                ),
            ),
            Event(
                "plate-more",
                s.GAIN,
                ("each plate",),
                say(
                    "Then {a} more are put on each plate.",
                    "Each plate gets {a} more {items}.",
                    "A helper adds {a} {items} to each plate.",
                    held=("Someone puts {a} more {items} on each plate.",),
                ),
            ),
            Event(
                "plate-less",
                s.LOSE,
                ("each plate",),
                say(
                    "Then {a} are taken from each plate.",
                    "Guests eat {a} {items} from each plate.",
                    "Each plate loses {a} {items}.",
                    held=("Someone takes {a} {items} from each plate.",),
                ),
            ),
            Event(
                "plate-boxes",
                s.GAIN_GROUPS,
                ("added", "each plate"),
                say(
                    "Each plate gets {a} bags of {b} more {items}.",
                    "A helper puts {a} bags of {b} {items} on each plate.",
                    "Then {a} bags of {b} {items} are put on each plate.",
                    held=("Someone puts {a} bags of {b} {items} on each plate.",),
                ),
            ),
        ),
    },
    questions={
        "stock": say(
            "How many {items} are there now?",
            "How many {items} are there in the end?",
            "How many {items} remain?",
            held=("What is the number of {items} now?",),
        ),
        "plate": say(
            "How many {items} are on each plate now?",
            "How many {items} are on each plate?",
            "How many {items} does each plate hold in the end?",
            held=("What number of {items} is on each plate?",),
        ),
    },
)
