"""MMLU: questions of 57 subjects with four choices, answered by letter (arXiv 2009.03300).

The model reads the question with its choices and the word ``Answer:``; the likeliest of `` A``,
`` B``, `` C`` and `` D`` is its answer. The prompt is the one of the paper and of lm-eval.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.data.problems.multiple_choice import LETTERS, load_choices
from glassmind.pipeline.tasks.prompts import shipped_prompt
from glassmind.pipeline.tasks.task import ChoiceItem, ChoiceTask, Wanted


def _load(wanted: Wanted) -> list[ChoiceItem]:
    words = shipped_prompt("mmlu-1").text
    items = []
    for asked in load_choices(Path(wanted.argument), on_bad_row=wanted.on_bad_row, say=wanted.say):
        listed = zip(LETTERS, asked.choices, strict=False)
        shown = "\n".join(f"{letter}. {choice}" for letter, choice in listed)
        text = words.replace("{choices}", shown).replace("{question}", asked.question)
        subject = asked.subject.replace("_", " ")
        about = f" about {subject}" if subject else ""
        letters = tuple(f" {letter}" for letter in LETTERS[: len(asked.choices)])
        items.append(ChoiceItem(asked.id, text.replace("{about}", about), letters, asked.right))
    return items


TASK = ChoiceTask(
    "mmlu",
    "multiple choice by letter, from a file in MMLU's format (CSV or JSON)",
    _load,
    argument="FILE",
    prompt="mmlu-1",
)
