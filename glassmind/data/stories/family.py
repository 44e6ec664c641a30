"""Family: the grammar of one kind of story.

A story is an opening, some events and a question. A family defines its openings and events, the
*state* in which each may happen (counting cookies, or, after they are shared, cookies per friend),
and the question for each state in which a story may end. Every sentence has several wordings; some
are never used in training, so that the *reworded* test split consists of sentences the model has
never seen.

Wordings are format strings. They may name ``{N}`` the person, ``{S}`` the person as a sentence's
subject (``Mia``, ``She``, ``Then she``), ``{he} {him} {his} {His}``, ``{o}`` a second person,
``{item} {items}`` and ``{other} {others}`` two nouns, ``{box} {boxes}`` a container, ``{friend}
{friends}`` a kind of people, ``{p}`` and ``{q}`` the person introduced last and the one
introduced now, ``{prev}`` the one before, ``{a} {b}`` the event's numbers, and ``{part} {Part}
{percent}`` the number ``a`` (for a side part: ``b``) said as a part.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from glassmind.data.stories.shapes import Shape
from glassmind.data.stories.words import THINGS, Noun


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence: wordings for training and testing, and wordings reserved for *reworded*."""

    usual: tuple[str, ...]
    held_out: tuple[str, ...]


def say(*usual: str, held: tuple[str, ...]) -> Sentence:
    """A sentence with its wordings; some must be held out, and none of those be usual."""
    if not held or set(held) & set(usual):
        raise ValueError(f"the sentence {usual[0]!r} needs held-out wordings of its own")
    return Sentence(usual, held)


SILENT = Sentence(("",), ("",))  # an event that only the question mentions


@dataclass(frozen=True, slots=True)
class Event:
    """One event: a shape, its sentence, a label for each step, and the next state.

    ``to`` is the state after the event (empty: unchanged), ``limit`` how often a story may use it,
    ``introduces`` says that it adds a new person ``{q}``, who is ``{p}`` from then on.
    """

    name: str
    shape: Shape
    labels: tuple[str, ...]
    sentence: Sentence
    to: str = ""
    limit: int = 2
    introduces: bool = False

    def __post_init__(self) -> None:
        if len(self.labels) != len(self.shape.program):
            raise ValueError(f"event {self.name!r} needs one label for each step")

    @property
    def cost(self) -> int:
        """Number of steps the event adds."""
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of story: openings, events by state, a question for each state to stop in.

    ``number_cap`` and ``result_cap`` lower the dial's limits to realistic numbers (a person is not
    300 years old); 0 means no cap. A story cannot end in a state without a question, and always
    ends in a state without events.
    """

    name: str
    about: str
    openings: tuple[Event, ...]
    events: dict[str, tuple[Event, ...]]
    questions: dict[str, Sentence]
    nouns: tuple[Noun, ...] = field(default=THINGS)
    number_cap: int = 0
    result_cap: int = 0
    _next: dict[tuple[str, int], tuple[Event, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        for event in (*self.openings, *(e for group in self.events.values() for e in group)):
            if event.to and event.to not in self.questions and event.to not in self.events:
                raise ValueError(f"{self.name}: event {event.name!r} leads nowhere: {event.to!r}")

    def next_events(self, state: str, left: int) -> tuple[Event, ...]:
        """Events that may follow in ``state`` (openings for ``""``) with ``left`` steps to fill.

        An event that fills the story must lead to a state with a question, any other to a state
        with events.
        """
        known = self._next.get((state, left))
        if known is None:
            group = self.events.get(state, ()) if state else self.openings
            known = tuple(
                event
                for event in group
                if (event.to or state) in (self.questions if event.cost == left else self.events)
                and event.cost <= left
            )
            self._next[state, left] = known
        return known
