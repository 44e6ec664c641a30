"""Telling: puts a skeleton into words, with people, nouns, and one wording for every sentence.

Training, validation and test use the *usual* wordings, the reworded split only the held-out ones.
An event that occurs twice in one story gets two wordings if it has two.
"""

from __future__ import annotations

from glassmind.data.stories.family import Family, Sentence, say
from glassmind.data.stories.shapes import Uniform
from glassmind.data.stories.skeleton import Skeleton
from glassmind.data.stories.words import (
    CONTAINERS,
    HE,
    MEN,
    PARTS,
    PEOPLE,
    PERCENTS,
    SHE,
    WOMEN,
)
from glassmind.records import Step

_SUBJECTS = say("{N}", "{He}", "{He}", "Then {he}", held=("Next {he}", "Later {he}"))

_DISTRACTORS = say(
    "It is {a} degrees outside.",
    "There are {a} birds in a tree nearby.",
    "The number {a} bus drives by.",
    held=("Outside it is {a} degrees.", "In a tree nearby there are {a} birds."),
)

_EVERYBODY = tuple(name for pair in zip(WOMEN, MEN, strict=True) for name in pair)
# Stepping through a list with a stride coprime to its length visits every element once.
_STRIDES = (1, 5, 7, 11, 13)
_PART_STARTS = {k: part.capitalize() for k, part in PARTS.items()}

Words = dict[str, str | int]


def tell(
    u: Uniform,
    skeleton: Skeleton,
    *,
    reworded: bool,
    distractors: float,
    max_number: int,
    wordings: int = 0,
) -> tuple[str, tuple[Step, ...]]:
    """The question, and its steps with their labels: the canonical solution, in story order.

    ``u`` gives uniform numbers in [0, 1). Only the first ``wordings`` of each sentence's usual
    wordings are used (0: all).
    """
    family = skeleton.family
    words = _cast(u, family)
    nouns, noun_at, noun_stride = family.nouns, int(u() * len(family.nouns)), _stride(u)
    words["item"], words["items"] = nouns[noun_at]
    person_at, person_stride = _EVERYBODY.index(str(words["N"])), _stride(u)
    sentences: list[str] = []
    steps: list[Step] = []
    told: dict[str, int] = {}
    for event, numbers in skeleton.events:
        noun_at = (noun_at + noun_stride) % len(nouns)
        words["other"], words["others"] = nouns[noun_at]
        if event.introduces:
            person_at = (person_at + person_stride) % len(_EVERYBODY)
            words["q"] = _EVERYBODY[person_at]
        _say_numbers(words, numbers)
        texts = _wordings(event.sentence, reworded, wordings)
        pick = int(u() * len(texts))
        if told.get(event.name) == pick:
            pick = (pick + 1) % len(texts)
        told[event.name] = pick
        text = texts[pick]
        if text.startswith("{S}"):
            subjects = _wordings(_SUBJECTS, reworded)
            text = subjects[int(u() * len(subjects))] + text[3:]
        if text:
            sentences.append(text.format_map(words))
        for label in event.labels:
            made = skeleton.steps[len(steps)]
            if "{" in label:
                label = label.format_map(words).lower()
            a, b = made.operands
            steps.append(
                Step(
                    text=f"{label}: {a}{made.operator}{b}={made.value}",
                    operator=made.operator,
                    operands=(str(a), str(b)),
                    value=str(made.value),
                    uses=made.uses,
                    label=label,
                )
            )
        if event.introduces:
            words["prev"], words["p"] = words["p"], words["q"]
    if distractors and u() < distractors:
        texts = _wordings(_DISTRACTORS, reworded)
        text = texts[int(u() * len(texts))]
        sentences.insert(1, text.format(a=2 + int(u() * (max_number - 1))))
    questions = _wordings(family.questions[skeleton.state], reworded, wordings)
    sentences.append(questions[int(u() * len(questions))].format_map(words))
    return " ".join(sentences), tuple(steps)


def _wordings(sentence: Sentence, reworded: bool, most: int = 0) -> tuple[str, ...]:
    if reworded:
        return sentence.held_out
    return sentence.usual[:most] if most else sentence.usual


def _stride(u: Uniform) -> int:
    return _STRIDES[int(u() * len(_STRIDES))]


def _cast(u: Uniform, family: Family) -> Words:
    """The words that are fixed throughout one story."""
    woman, man = WOMEN[int(u() * len(WOMEN))], MEN[int(u() * len(MEN))]
    (name, other, forms) = (woman, man, SHE) if u() < 0.5 else (man, woman, HE)
    box, boxes = CONTAINERS[int(u() * len(CONTAINERS))]
    friend, friends = PEOPLE[int(u() * len(PEOPLE))]
    return {
        "N": name,
        "o": other,
        "p": name,
        "prev": name,
        "he": forms.he,
        "him": forms.him,
        "his": forms.his,
        "He": forms.he.capitalize(),
        "His": forms.his.capitalize(),
        "box": box,
        "boxes": boxes,
        "friend": friend,
        "friends": friends,
    }


def _say_numbers(words: Words, numbers: tuple[int, ...]) -> None:
    """An event's numbers as digits, or as a part ("half") where the sentence asks for one."""
    words["a"] = numbers[0]
    last = numbers[0]
    if len(numbers) > 1:
        words["b"] = last = numbers[1]
    if last in PARTS:
        words["part"], words["Part"] = PARTS[last], _PART_STARTS[last]
    if last in PERCENTS:
        words["percent"] = PERCENTS[last]
