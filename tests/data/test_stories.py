"""The story grammar: enough wordings, grammar that holds, nothing held out that is also trained."""

from __future__ import annotations

import re
import string

import pytest

from glassmind.data import FAMILIES, ProblemDial, generate
from glassmind.data.stories.family import SILENT, Event, Family, Sentence, say
from glassmind.data.stories.words import (
    CONTAINERS,
    FOOD,
    GOODS,
    MADE,
    MEN,
    PEOPLE,
    THINGS,
    WOMEN,
)


def events_of(family: Family) -> list[Event]:
    return [*family.openings, *(e for group in family.events.values() for e in group)]


def sentences_of(family: Family) -> list[Sentence]:
    told = [e.sentence for e in events_of(family) if e.sentence is not SILENT]
    return told + list(family.questions.values())


def test_there_are_enough_families_names_and_nouns() -> None:
    assert len(FAMILIES) >= 12
    assert len(set(WOMEN) | set(MEN)) >= 40
    assert not set(WOMEN) & set(MEN)
    assert len(set(THINGS + FOOD + GOODS)) >= 40


def test_a_before_every_noun_is_right() -> None:
    for one, many in THINGS + FOOD + GOODS + MADE + CONTAINERS + PEOPLE:
        assert one[0] not in "aeiou"
        assert one != many


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_held_out_wordings(family: Family) -> None:
    usual = {text for s in sentences_of(family) for text in s.usual}
    for sentence in sentences_of(family):
        assert len(sentence.usual) >= 8
        assert sentence.held_out
        assert not usual & set(sentence.held_out)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_wordings_tell_every_number(family: Family) -> None:
    spoken = {"a", "b", "part", "Part", "percent"}
    for event in events_of(family):
        if event.sentence is SILENT:
            continue
        told = {
            tuple(sorted({n for _, n, _, _ in string.Formatter().parse(text) if n in spoken}))
            for text in event.sentence.usual + event.sentence.held_out
        }
        told = {tuple(sorted({w.lower() for w in words})) for words in told}
        assert len(told) == 1, (event.name, told)  # all wordings say the same numbers


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_event_names_are_unique(family: Family) -> None:
    names = {e.name: e.shape for e in events_of(family)}
    assert all(names[e.name] is e.shape for e in events_of(family))


@pytest.mark.parametrize("held", [(), ("b", "e")])
def test_held_out_wordings_are_never_usual(held: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="held-out"):
        say("a", "b", "c", "d", held=held)


@pytest.mark.parametrize("split", ["train", "reworded"])
def test_the_text_is_clean(split: str) -> None:
    dial = ProblemDial(1, 6, distractors=0.3, wordings=0)
    for problem in generate(dial, 1500, split=split, seed=11):  # type: ignore[arg-type]
        text = problem.question
        assert text[-1] in "?."  # a question, or "Find ..."
        assert not re.search(r"[{}<>|]|  | \.|\.\.|\?\?| ,", text), text
        for sentence in re.split(r"(?<=[.?]) ", text):
            assert re.match(r"[A-Z$]|\d+%", sentence), text
        assert not re.search(r"\b(\w+) \1\b", text.lower()), text
        assert not re.search(r"\ba [aeiou]", text), text
        assert not re.search(r"\b[01] [a-z]", text), text  # never "1 pencils"


@pytest.mark.parametrize("name", FAMILIES)
def test_stories_are_short_and_of_any_length(name: str) -> None:
    three = generate(ProblemDial(3, 3, families=(name,)), 100, split="train", seed=0)
    assert 15 < sum(len(p.question.split()) for p in three) / 100 < 45
    for steps in (1, 2, 5, 8):
        dial = ProblemDial(steps, steps, families=(name,))
        assert all(len(p.steps) == steps for p in generate(dial, 15, split="train", seed=0))
    longest = generate(ProblemDial(8, 8, families=(name,)), 10, split="longer", seed=0)
    assert {len(p.steps) for p in longest} <= {9, 10}
