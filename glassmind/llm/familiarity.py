"""Is a question like those that a model was trained on?

A small model answers whatever it is asked. Its answer to a question unlike its training data is a
guess, and the person who asks should be told so. A run keeps in ``familiarity.json`` the words of
its training questions, which word followed which, their largest number, and a few of them as
examples.

Words alone are not enough: *A book costs $12. Tom buys 3 books.* has no new word. Pairs of
neighbouring words are a better sign, as in n-gram language models that back off (Katz 1987). Of a
new question of a known kind, nearly all pairs are known; of the same kind in other words, four of
five; of problems from elsewhere, a third.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from glassmind.errors import UserError
from glassmind.files import write_json
from glassmind.records import Problem
from glassmind.serialization import read_json

WORD = re.compile(r"[^\W\d_]+")
FAMILIAR_SHARE = 0.9
"""The least share of known words in a question that counts as familiar."""

FAMILIAR_PAIRS = 0.6
"""The least share of known pairs of neighbouring words in a question that counts as familiar."""

MAX_PAIRS = 20_000
"""The number of pairs that a run keeps, the most frequent ones."""

MAX_COUNTED = 20_000
"""The number of questions whose pairs are counted; from a larger set, evenly spaced ones."""

MAX_EXAMPLES = 6
_LONGEST_EXAMPLE = 200

_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\s\w]")
_NUMBER, _BEGIN, _END = "#", "^", "/"  # stand for any number, the beginning and the end


@dataclass(frozen=True)
class Familiarity:
    """What the training questions were like, for warnings about questions unlike them.

    ``words`` are all their words in lower case; ``largest`` is their largest number. ``followers``
    maps a token (a word, a punctuation mark, ``#`` for any number, ``^`` for the beginning) to the
    tokens that came right after it (``/`` for the end), and is empty for a run that did not keep
    them. ``examples`` are some of the questions.
    """

    words: frozenset[str]
    largest: int
    followers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    examples: tuple[str, ...] = ()

    def strangeness(self, question: str) -> float | None:
        """The share of ``question``'s pairs of neighbouring tokens that never occurred in training:
        0 for a question of a known kind, near 1 for a text of another kind. ``None`` for a run that
        did not keep its pairs."""
        if not self.followers:
            return None
        pairs = list(_pairs(question))
        new = sum(after not in self.followers.get(before, ()) for before, after in pairs)
        return new / len(pairs)

    def warning(self, question: str) -> str | None:
        """A sentence that says how ``question`` differs from the training problems, if it does."""
        words = list(dict.fromkeys(WORD.findall(question.lower())))
        if not words:
            return "this has no words; the model was trained on short word problems"
        strange = [w for w in words if w not in self.words]
        if len(words) - len(strange) < FAMILIAR_SHARE * len(words):
            shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
            return (
                f"this is far from what the model was trained on: {len(strange)} of its "
                f"{len(words)} different words never occurred there ({shown}); expect a guess"
            )
        new = self.strangeness(question)
        if new is not None and new > 1 - FAMILIAR_PAIRS:
            return (
                "this is far from what the model was trained on: its words are known, but "
                f"{new:.0%} of them never occurred side by side there; expect a guess"
            )
        numbers = [int(n) for n in re.findall(r"\d{1,18}", question.replace(",", ""))]
        if not numbers:
            return "this has no number; the model was trained on problems with numbers"
        if max(numbers) > self.largest:
            return (
                f"this is far from what the model was trained on: its numbers went up to "
                f"{self.largest}, and this has {max(numbers)}; expect a guess"
            )
        return None


def _pairs(question: str) -> Iterator[tuple[str, str]]:
    """Every token of ``question`` with the one after it, including the beginning and the end."""
    before = _BEGIN
    for token in _TOKEN.findall(question.lower()):
        after = _NUMBER if token[0].isdigit() else token
        yield before, after
        before = after
    yield before, _END


def save_familiarity(path: Path, problems: Sequence[Problem]) -> None:
    """Write what ``Familiarity`` needs about the training ``problems``."""
    words = sorted({w for p in problems for w in WORD.findall(p.question.lower())})
    largest = max(
        (int(n) for p in problems for n in re.findall(r"\d{1,18}", p.question)), default=0
    )
    some = problems[:: -(-len(problems) // MAX_COUNTED) or 1]
    counted = Counter(pair for p in some for pair in _pairs(p.question))
    followers: dict[str, list[str]] = {}
    for before, after in sorted(pair for pair, _ in counted.most_common(MAX_PAIRS)):
        followers.setdefault(before, []).append(after)
    found = {
        "largest": largest,
        "words": words,
        "followers": {before: " ".join(after) for before, after in followers.items()},
        "examples": _examples(problems),
    }
    write_json(path, found)


def _examples(problems: Sequence[Problem]) -> list[str]:
    """The shortest question of each source, for the first ``MAX_EXAMPLES`` sources."""
    shortest: dict[str, str] = {}
    for problem in problems:
        question = problem.question
        usual = shortest.get(problem.source, "")
        if len(question) <= _LONGEST_EXAMPLE and (not usual or len(question) < len(usual)):
            shortest[problem.source] = question
    return list(shortest.values())[:MAX_EXAMPLES]


def load_familiarity(path: Path) -> Familiarity | None:
    """Read ``familiarity.json``; ``None`` if a run has none."""
    if not path.is_file():
        return None
    facts = read_json(path)
    followers = facts.get("followers", {}) if isinstance(facts, dict) else None
    if (
        not isinstance(facts, dict)
        or not isinstance(facts.get("words"), list)
        or not isinstance(followers, dict)
    ):
        raise UserError(f"{path} must hold an object with words and largest")
    return Familiarity(
        frozenset(map(str, facts["words"])),
        int(facts.get("largest", 0)),
        {str(before): frozenset(str(after).split()) for before, after in followers.items()},
        tuple(map(str, facts.get("examples", ()))),
    )
