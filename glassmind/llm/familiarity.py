"""Is a question like those that a model was trained on?

A small model answers whatever it is asked. What is unlike its training is answered by a guess, and
the person who asks should be told. The words and the largest number of the training questions are
kept in a run as ``familiarity.json``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.records import Problem
from glassmind.serialization import read_json

WORD = re.compile(r"[^\W\d_]+")
FAMILIAR_SHARE = 0.9


@dataclass(frozen=True)
class Familiarity:
    """What the training questions were like; the yardstick for warnings.

    ``words`` are all their words in lower case; ``largest`` is their largest number.
    """

    words: frozenset[str]
    largest: int

    def warning(self, question: str) -> str | None:
        """A sentence that says how ``question`` differs from the training problems, if it does."""
        words = list(dict.fromkeys(WORD.findall(question.lower())))
        if not words:
            return "this holds no words; the model was trained on short word problems"
        strange = [w for w in words if w not in self.words]
        if len(words) - len(strange) < FAMILIAR_SHARE * len(words):
            shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
            return (
                f"this is far from what the model was trained on: {len(strange)} of its "
                f"{len(words)} different words never occurred there ({shown}); expect a guess"
            )
        numbers = [int(n) for n in re.findall(r"\d{1,18}", question.replace(",", ""))]
        if not numbers:
            return "this holds no number; the model was trained on problems that do"
        if max(numbers) > self.largest:
            return (
                f"this is far from what the model was trained on: its numbers went up to "
                f"{self.largest}, this one holds {max(numbers)}; expect a guess"
            )
        return None


def save_familiarity(path: Path, problems: Sequence[Problem]) -> None:
    """Write what ``Familiarity`` needs about the training ``problems``."""
    words = sorted({w for p in problems for w in WORD.findall(p.question.lower())})
    largest = max(
        (int(n) for p in problems for n in re.findall(r"\d{1,18}", p.question)), default=0
    )
    write_json(path, {"largest": largest, "words": words})


def load_familiarity(path: Path) -> Familiarity | None:
    """Read it back; ``None`` where a run has none."""
    if not path.is_file():
        return None
    facts = read_json(path)
    if not isinstance(facts, dict) or not isinstance(facts.get("words"), list):
        raise UserError(f"{path} must hold an object with words and largest")
    return Familiarity(frozenset(map(str, facts["words"])), int(facts.get("largest", 0)))
