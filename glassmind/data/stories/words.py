"""The words of stories: names, nouns, and the parts of a whole.

Every noun is given as (singular, plural), and every singular begins with a consonant sound, so
"a {item}" is always right. A second person in a story is always of the other gender, so "he"
and "she" are unambiguous.
"""

from __future__ import annotations

from typing import NamedTuple


class Pronouns(NamedTuple):
    """The three forms of a pronoun that stories use."""

    he: str
    him: str
    his: str


SHE = Pronouns("she", "her", "her")
HE = Pronouns("he", "him", "his")


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


WOMEN = _names(
    "Mia Ann Eva Lily Zoe Rosa Nina Ella Sara Amy Ruth Jane Lena Maya Tina Kate Lucy Nora Ida "
    "Vera Emma Olga Dina Cora"
)
MEN = _names(
    "Tom Ben Sam Leo Max Dan Omar Ivan Paul Eric Jack Adam Luis Noah Finn Hugo Karl Ravi Theo "
    "Owen Mark Ali Pete Juan"
)

Noun = tuple[str, str]


def _nouns(text: str) -> tuple[Noun, ...]:
    """Reads ``"pencil box/boxes"``: a plain word takes an s, a slash gives the plural."""
    pairs = []
    for word in text.split():
        one, _, many = word.partition("/")
        pairs.append((one, many or one + "s"))
    return tuple(pairs)


THINGS = _nouns(
    "pencil pen book card marble sticker stamp shell coin bead button balloon toy stone crayon "
    "badge ribbon magnet photo block"
)
FOOD = _nouns(
    "cookie muffin pear plum cherry/cherries nut grape lemon roll bun bagel carrot tomato/tomatoes "
    "fig peach/peaches candy/candies pancake tart pie waffle"
)
GOODS = _nouns(
    "notebook cap shirt mug lamp plate cup candle scarf/scarves kite plant bowl towel "
    "brush/brushes pillow vase ball puzzle game"
)
MADE = _nouns(
    "pencil pen book card button bead toy badge ribbon magnet block cookie muffin roll bun bagel "
    "pie tart cap mug plate cup candle bowl ball puzzle"
)
CONTAINERS = _nouns("box/boxes bag basket jar crate tray tin pack")
PEOPLE = _nouns("friend child/children cousin neighbor classmate/classmates")

PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}
PERCENTS = {2: "50%", 4: "25%", 5: "20%", 10: "10%"}
