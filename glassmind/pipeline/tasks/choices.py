"""Any file of questions with choices; the likeliest choice, as a text, is the answer.

This suits models that were only pretrained, and is how ARC or HellaSwag are measured. Longer
choices are less probable, so the accuracy by log-likelihood per byte is given, too.
"""

from __future__ import annotations

from pathlib import Path

from glassmind.data.problems.multiple_choice import load_choices
from glassmind.pipeline.tasks.prompts import shipped_prompt
from glassmind.pipeline.tasks.task import ChoiceItem, ChoiceTask, Wanted


def _load(wanted: Wanted) -> list[ChoiceItem]:
    words = shipped_prompt("question-answer-1").text
    asked = load_choices(Path(wanted.argument), on_bad_row=wanted.on_bad_row, say=wanted.say)
    return [
        ChoiceItem(
            one.id,
            words.replace("{question}", one.question),
            tuple(f" {choice}" for choice in one.choices),
            one.right,
        )
        for one in asked
    ]


TASK = ChoiceTask(
    "choices",
    "multiple choice by the likelihood of each choice's text, from a file",
    _load,
    argument="FILE",
    prompt="question-answer-1",
)
