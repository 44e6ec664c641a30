"""*Scheduling*: minutes and hours of lessons, breaks and free time."""

from __future__ import annotations

from glassmind.data.stories import shapes as s
from glassmind.data.stories.family import Event, Family, say

SCHEDULING = Family(
    name="scheduling",
    about="minutes and hours: lessons, breaks, time left",
    openings=(
        Event(
            "lessons",
            s.COUNT_EACH,
            ("lessons",),
            say(
                "{N} has {a} lessons of {b} minutes each.",
                "{N} has {a} lessons. Each takes {b} minutes.",
                "{N} plans {a} lessons of {b} minutes each.",
                held=("{N} takes {a} lessons that last {b} minutes each.",),
            ),
            to="minutes",
        ),
        Event(
            "task",
            s.GIVEN,
            (),
            say(
                "{N} works for {a} minutes.",
                "{N} cooks for {a} minutes.",
                "{N} cleans the house for {a} minutes.",
                held=("For {a} minutes {N} works at home.",),
            ),
            to="minutes",
        ),
        Event(
            "hours",
            s.HOURS,
            ("minutes",),
            say(
                "{N} works for {a} hours.",
                "{N} walks for {a} hours.",
                "{N} sees a show that takes {a} hours.",
                held=("For {a} hours {N} works at home.",),
            ),
            to="minutes",
        ),
    ),
    events={
        "minutes": (
            Event(
                "break",
                s.GAIN,
                ("minutes",),
                say(
                    "{S} takes a break of {a} minutes.",
                    "A break takes {a} minutes.",
                    "{S} rests for {a} minutes.",
                    held=("There is a break of {a} minutes.",),
                ),
            ),
            Event(
                "then",
                s.GAIN,
                ("minutes",),
                say(
                    "{S} plays for {a} minutes.",
                    "{S} paints for {a} minutes.",
                    "A walk takes {a} minutes.",
                    held=("{S} plays music for {a} minutes.",),
                ),
            ),
            Event(
                "calls",
                s.GAIN_GROUPS,
                ("calls", "minutes"),
                say(
                    "{S} makes {a} calls of {b} minutes each.",
                    "{S} makes {a} calls. Each call takes {b} minutes.",
                    "There are {a} calls that take {b} minutes each.",
                    held=("{S} makes {a} calls that last {b} minutes each.",),
                ),
            ),
            Event(
                "early",
                s.LOSE,
                ("minutes",),
                say(
                    "With a trick all this takes {a} minutes less.",
                    "With help all this takes {a} minutes less.",
                    "A friend helps, and all this takes {a} minutes less.",
                    held=("Someone helps, and all this takes {a} minutes less.",),
                ),
                limit=1,
            ),
            Event(
                "days",
                s.TIMES,
                ("minutes",),
                say(
                    "All this is done on each of {a} days.",
                    "All this is done on {a} days in all.",
                    "In all {he} does all this on {a} days.",
                    held=("There are {a} days like this in all.",),
                ),
                to="all days",
            ),
            Event(
                "week",
                s.times_constant(7),
                ("week",),
                say(
                    "All this is done every day for a week.",
                    "In all {he} does this every day for a week.",
                    "This is the plan for every day of a week.",
                    held=("For a week every day is just like this.",),
                ),
                to="all days",
            ),
            Event(
                "from-hours",
                s.FROM_HOURS,
                ("minutes", "left"),
                say(
                    "For all this {he} has {a} hours.",
                    "{His} free time before all this was {a} hours.",
                    "Before all this {he} had {a} free hours.",
                    held=("{N} had {a} hours to do all this.",),
                ),
                to="left",
            ),
            Event(
                "split",
                s.DIVIDE,
                ("each",),
                say(
                    "The time is split equally over {a} days.",
                    "{S} splits all this time equally over {a} days.",
                    "All this is spread equally over {a} days.",
                    held=("{N} does an equal part of all this on each of {a} days.",),
                ),
                to="day",
            ),
        ),
        "all days": (
            Event(
                "one-more",
                s.GAIN,
                ("minutes",),
                say(
                    "On one more day {he} works for {a} minutes.",
                    "On another day {he} works for only {a} minutes.",
                    "On one other day {he} needs {a} minutes.",
                    held=("There is one more day, with {a} minutes of work.",),
                ),
                limit=1,
            ),
            Event(
                "people",
                s.DIVIDE,
                ("each",),
                say(
                    "All this time is split equally between {a} people.",
                    "A team of {a} people shares all this work equally.",
                    "All the work is shared equally by {a} people.",
                    held=("There are {a} people who share all this work equally.",),
                ),
                to="person",
            ),
        ),
        "left": (
            Event(
                "left-less",
                s.LOSE,
                ("left",),
                say(
                    "Of the time left {he} sleeps {a} minutes.",
                    "{S} uses {a} minutes of the time left to eat.",
                    "Of the time left a bath takes {a} minutes.",
                    held=("{S} spends {a} minutes of the time left on a meal.",),
                ),
            ),
            Event(
                "left-split",
                s.DIVIDE,
                ("each",),
                say(
                    "The time left is split equally among {a} games.",
                    "In the time left {he} plays {a} games, all equally long.",
                    "In the time left there are {a} games, all equally long.",
                    held=("The time left is filled by {a} games of equal length.",),
                ),
                to="game",
            ),
        ),
        "day": (
            Event(
                "day-more",
                s.GAIN,
                ("each day",),
                say(
                    "Each day {he} also runs for {a} minutes.",
                    "Each day {he} adds {a} minutes.",
                    "Each day a walk takes {a} minutes more.",
                    held=("Each day {he} spends {a} minutes more on a run.",),
                ),
            ),
            Event(
                "day-less",
                s.LOSE,
                ("each day",),
                say(
                    "Each day {he} saves {a} minutes by working faster.",
                    "Each day a helper saves {him} {a} minutes.",
                    "Each day {he} is {a} minutes faster than planned.",
                    held=("Each day it takes {a} minutes less with help.",),
                ),
            ),
            Event(
                "day-calls",
                s.GAIN_GROUPS,
                ("calls", "each day"),
                say(
                    "Each day {he} also makes {a} calls of {b} minutes.",
                    "Each day there are also {a} calls of {b} minutes.",
                    "Each day {a} calls take {b} minutes each.",
                    held=("Each day there are {a} more calls that last {b} minutes each.",),
                ),
            ),
        ),
    },
    questions={
        "minutes": say(
            "How many minutes does all this take?",
            "How many minutes is that in all?",
            "How many minutes does it all take?",
            held=("What number of minutes does all this take?",),
        ),
        "all days": say(
            "How many minutes is that in all?",
            "How many minutes is that for all these days?",
            "How many minutes do all these days take?",
            held=("What number of minutes do all these days take?",),
        ),
        "person": say(
            "How many minutes does each person work?",
            "How many minutes is that for each person?",
            "How many minutes must each person work?",
            held=("What number of minutes does each person work?",),
        ),
        "left": say(
            "How many minutes are left?",
            "How many free minutes are left?",
            "How many minutes does {N} have left?",
            held=("What number of minutes is left?",),
        ),
        "game": say(
            "How many minutes does each game take?",
            "How many minutes long is each game?",
            "How many minutes is one game?",
            held=("What number of minutes does each game take?",),
        ),
        "day": say(
            "How many minutes is that each day?",
            "How many minutes does it take each day?",
            "How many minutes a day is that?",
            held=("What number of minutes is that each day?",),
        ),
    },
)
