"""*Reading*: pages a day, pages left in a book."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say

READING = Family(
    name="reading",
    about="pages read a day, pages left in a book",
    openings=(
        Event(
            "daily",
            s.RATE_TIME,
            ("pages",),
            say(
                "{N} reads {a} pages a day for {b} days.",
                "For {b} days {N} reads {a} pages a day.",
                "{N} reads {a} pages on each of {b} days.",
                held=("Each day for {b} days {N} reads {a} pages.",),
            ),
            to="pages",
        ),
        Event(
            "first",
            s.GIVEN,
            (),
            say(
                "{N} reads {a} pages on Monday.",
                "On Monday {N} reads {a} pages.",
                "{N} starts a book and reads {a} pages.",
                held=("{N} reads {a} pages of a new book.",),
            ),
            to="pages",
        ),
    ),
    events={
        "pages": (
            Event(
                "more",
                s.GAIN,
                ("pages",),
                say(
                    "{S} reads {a} more pages at night.",
                    "The next day {he} reads {a} more pages.",
                    "{S} reads another {a} pages.",
                    held=("{S} reads {a} further pages.",),
                ),
            ),
            Event(
                "stories",
                s.GAIN_GROUPS,
                ("stories", "pages"),
                say(
                    "{S} also reads {a} stories of {b} pages each.",
                    "{S} reads {a} more stories. Each has {b} pages.",
                    "{S} reads {a} stories with {b} pages each.",
                    held=("{S} also reads {a} stories that have {b} pages each.",),
                ),
            ),
            Event(
                "next",
                s.GAIN_RATE,
                ("next", "pages"),
                say(
                    "Then for {b} days {he} reads {a} pages a day.",
                    "On the next {b} days {he} reads {a} pages a day.",
                    "{S} reads {a} pages on each of the next {b} days.",
                    held=("Each day for {b} more days {he} reads {a} pages.",),
                ),
            ),
            Event(
                "times",
                s.TIMES,
                ("pages",),
                say(
                    "In all {he} reads all of this {a} times.",
                    "All this is read {a} times in all.",
                    "In all {he} reads every one of these pages {a} times.",
                    held=("{S} reads each of these pages {a} times.",),
                ),
                limit=1,
            ),
            Event(
                "book",
                s.FROM_TOTAL,
                ("left",),
                say(
                    "The book has {a} pages in all.",
                    "The whole book has {a} pages.",
                    "{His} goal is {a} pages in all.",
                    held=("There are {a} pages in the book.",),
                ),
                to="left",
            ),
            Event(
                "hours",
                s.DIVIDE,
                ("each hour",),
                say(
                    "All this takes {him} {a} hours.",
                    "In all {he} needs {a} hours for these pages.",
                    "The reading takes {him} {a} hours in all.",
                    held=("{N} takes {a} hours to read all this.",),
                ),
                to="speed",
            ),
        ),
        "left": (
            Event(
                "left-less",
                s.LOSE,
                ("left",),
                say(
                    "On Sunday {he} reads {a} of the other pages.",
                    "{S} reads {a} of the pages that are left.",
                    "At night {he} reads {a} of the pages left.",
                    held=("{S} reads {a} of the pages still left.",),
                ),
            ),
            Event(
                "left-part",
                s.LOSE_PART,
                ("read", "left"),
                say(
                    "{S} reads {part} of the pages that are left.",
                    "On Sunday {he} reads {part} of the pages left.",
                    "At night {he} reads {part} of the pages left.",
                    held=("{S} reads {part} of the pages still left.",),
                ),
            ),
            Event(
                "left-days",
                s.DIVIDE,
                ("each day",),
                say(
                    "{S} reads the rest in {a} days, the same number each day.",
                    "The rest is read equally over {a} days.",
                    "{S} spreads the rest equally over {a} days.",
                    held=("{S} takes {a} days for the rest and reads the same number each day.",),
                ),
                to="daily",
            ),
        ),
    },
    questions={
        "pages": say(
            "How many pages does {N} read?",
            "How many pages does {N} read in all?",
            "How many pages is that in all?",
            held=("What number of pages does {N} read?",),
        ),
        "left": say(
            "How many pages are left?",
            "How many pages are left to read?",
            "How many pages must {N} still read?",
            held=("What number of pages is left?",),
        ),
        "speed": say(
            "How many pages is that an hour?",
            "How many pages does {N} read in one hour?",
            "How many pages an hour does {N} read?",
            held=("What number of pages does {N} read an hour?",),
        ),
        "daily": say(
            "How many of these pages does {N} read each day?",
            "How many pages of the rest does {N} read a day?",
            "How many pages of the rest is that a day?",
            held=("What number of these pages is read each day?",),
        ),
    },
)
