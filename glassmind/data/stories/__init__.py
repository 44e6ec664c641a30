"""Stories: the families of word problems that the generator can write.

Read ``shapes`` (what an event does to the numbers), ``words`` (names, nouns, parts), ``family``
(how openings, events, states and questions make a story), then any family, each in its own file;
``costs`` has what two of them share. ``skeleton`` draws a story's events and numbers, ``telling``
puts them into words. ``FAMILIES`` maps each name to its family; add one by adding a row.
"""

from __future__ import annotations

from glassmind.data.stories.ages import AGES
from glassmind.data.stories.buying import BUYING
from glassmind.data.stories.comparisons import COMPARISONS
from glassmind.data.stories.containers import CONTAINERS
from glassmind.data.stories.distance import DISTANCE
from glassmind.data.stories.family import Event, Family, Sentence, say
from glassmind.data.stories.fences import FENCES
from glassmind.data.stories.fractions import FRACTIONS
from glassmind.data.stories.money import MONEY
from glassmind.data.stories.rates import RATES
from glassmind.data.stories.reading import READING
from glassmind.data.stories.rectangles import RECTANGLES
from glassmind.data.stories.roads import ROADS
from glassmind.data.stories.scheduling import SCHEDULING
from glassmind.data.stories.sharing import SHARING
from glassmind.data.stories.transfers import TRANSFERS

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        BUYING,
        MONEY,
        SHARING,
        TRANSFERS,
        AGES,
        COMPARISONS,
        FRACTIONS,
        CONTAINERS,
        RATES,
        READING,
        SCHEDULING,
        DISTANCE,
        ROADS,
        RECTANGLES,
        FENCES,
    )
}

__all__ = ["FAMILIES", "Event", "Family", "Sentence", "say"]
