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
            "Transport adds ${a} to the cost.",
            "Another ${a} must be paid for tools.",
            "A worker is paid ${a} on top of that.",
            "On top of that, a permit costs ${a}.",
            "The cost goes up by ${a} because of a helper.",
            "Someone who helps gets ${a} as well.",
            "For delivery ${a} has to be added.",
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
            "A worker is paid ${b} an hour and works {a} hours.",
            "For {a} hours of help, ${b} an hour has to be added.",
            "Each of {a} workers must also be paid ${b}.",
            "On top of that come {a} tools at ${b} apiece.",
            "Someone helps for {a} hours, and each hour of help costs ${b} more.",
            "Also, {a} helpers are needed, and each of them costs ${b}.",
            "There is a tool that costs ${b}, and {a} of them are needed too.",
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
            "The cost is lowered by ${a} with a coupon.",
            "Thanks to a sale, the cost is ${a} less.",
            "A discount of ${a} is given.",
            "The owner of the shop lowers the price by ${a}.",
            "With a coupon, ${a} is saved.",
            "Because of a discount, ${a} does not have to be paid.",
            "Somebody has a coupon that cuts the cost by ${a}.",
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
            "In the end {a} people divide the cost equally.",
            "The cost is split into equal parts for {a} neighbors.",
            "There are {a} neighbors who pay the cost together, each the same amount.",
            "The whole cost is split evenly among {a} people.",
            "Each of {a} neighbors pays an equal part of the cost.",
            "When it is time to pay, {a} people share the whole cost equally.",
            "To pay for it, {a} families split the cost, and all pay the same.",
            held=("The cost is split equally among {a} people.",),
        ),
        to="person",
    ),
)

COST_QUESTION = say(
    "How many dollars does it cost?",
    "What does it cost in dollars?",
    "How many dollars is the cost in all?",
    "What is the total cost in dollars?",
    "Find the cost in dollars.",
    "In the end, how many dollars must be paid?",
    "Altogether, how many dollars does it cost?",
    "How much money does it cost, in dollars?",
    "Can you tell how many dollars all this costs?",
    "What is the price of it all in dollars?",
    held=("What amount in dollars does it cost?",),
)

SHARED_COST_QUESTION = say(
    "How many dollars does each of them pay?",
    "What does each of them pay in dollars?",
    "How much does each of them pay in dollars?",
    "What is the cost for each of them in dollars?",
    "Find how many dollars each of them has to pay.",
    "In the end, how many dollars must each of them pay?",
    "How many dollars is it for each of them?",
    "How much money does it cost each of them, in dollars?",
    "Can you tell how many dollars each of them pays?",
    "What amount in dollars is paid by each of them?",
    held=("What amount in dollars does each of them pay?",),
)
