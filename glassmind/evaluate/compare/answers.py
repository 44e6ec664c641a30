"""Two models on the same problems: who solved which, and what each said where they differ.

Made from two files that ``glassmind eval --out`` wrote, so nothing is computed again. Problems are
matched by their question.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from glassmind.errors import UserError
from glassmind.evaluate.graded_problems import GradedProblem, MethodAnswer, read_problems, told
from glassmind.evaluate.ladder.names import is_ceiling, order, title
from glassmind.evaluate.wording import interval, p_phrase, percent, points
from glassmind.quantity import quantity
from glassmind.statistics import mcnemar_exact, wilson_interval


@dataclass(frozen=True, slots=True)
class AnswersCompared:
    """Two models' answers to the same problems, each by one method.

    ``both``, ``first_only``, ``second_only`` and ``neither`` count the problems by who was right;
    ``p_value`` is McNemar's exact test. ``differing`` are the problems that only one solved.
    """

    names: tuple[str, str]
    methods: tuple[str, str]
    n: int
    both: int
    first_only: int
    second_only: int
    neither: int
    p_value: float
    differing: tuple[tuple[GradedProblem, GradedProblem], ...]


def compare_answers(first: Path, second: Path, method: str = "") -> AnswersCompared:
    """The answers in two files of ``glassmind eval --out``.

    ``method`` is compared, by default the highest on the ladder that both have, or where they share
    none, the highest of each.

    Raises:
        UserError: a file is malformed, they have no problem in common, or not that method.
    """
    left, right = read_problems(first), read_problems(second)
    methods = _methods(left[0], right[0], method)
    by_question = {problem.question: problem for problem in right}
    pairs = [(p, by_question[p.question]) for p in left if p.question in by_question]
    if not pairs:
        raise UserError(f"{first} and {second} have no problem in common")
    counts = {(True, True): 0, (True, False): 0, (False, True): 0, (False, False): 0}
    differing = []
    for mine, theirs in pairs:
        solved = _correct(mine.by(methods[0])), _correct(theirs.by(methods[1]))
        counts[solved] += 1
        if solved[0] != solved[1]:
            differing.append((mine, theirs))
    names = left[0].model, right[0].model
    if names[0] == names[1]:  # a model against itself, say at two temperatures: the files tell
        names = f"{names[0]} ({first.name})", f"{names[1]} ({second.name})"
    return AnswersCompared(
        names,
        methods,
        len(pairs),
        counts[True, True],
        counts[True, False],
        counts[False, True],
        counts[False, False],
        mcnemar_exact(counts[False, True], counts[True, False]),
        tuple(differing),
    )


def _methods(left: GradedProblem, right: GradedProblem, wanted: str) -> tuple[str, str]:
    sides = [[a.method for a in p.answers if not is_ceiling(a.method)] for p in (left, right)]
    if wanted:
        if not all(wanted in side for side in sides):
            both = sorted(set(sides[0]) & set(sides[1]), key=order)
            raise UserError(
                f"the files do not both have answers by {wanted!r}; both have "
                f"{', '.join(both) or 'none'}"
            )
        return wanted, wanted
    if not all(sides):
        raise UserError("a file has no answers of a method that can be compared")
    shared = set(sides[0]) & set(sides[1])
    if shared:
        best = max(shared, key=order)
        return best, best
    return max(sides[0], key=order), max(sides[1], key=order)


def _correct(found: MethodAnswer | None) -> bool:
    return found is not None and found.correct


def answers_text(compared: AnswersCompared, show: int, width: int | None = None) -> str:
    """The counts, and up to ``show`` of the problems that only one of them solved, with the two
    answers side by side in ``width`` characters; where there is less room than ``_NARROW``, one
    below the other."""
    (first, second), n = compared.names, compared.n
    a, b = compared.both + compared.first_only, compared.both + compared.second_only
    lines = [
        f"{quantity(n, 'problem')} in both files",
        *(
            f"  {percent(right / n):>8}  ({interval(*wilson_interval(right, n))})  {name}, "
            f"{title(method)}"
            for right, name, method in zip((a, b), compared.names, compared.methods, strict=True)
        ),
        "",
        f"  {compared.both:>6,}  solved by both",
        f"  {compared.first_only:>6,}  only by {first}",
        f"  {compared.second_only:>6,}  only by {second}",
        f"  {compared.neither:>6,}  by neither",
        f"  {points((b - a) / n):>6}  points from {first} to {second}; exact paired test: "
        f"{p_phrase(compared.p_value)}",
    ]
    for mine, theirs in compared.differing[:show]:
        lines += ["", mine.question, f"right: {mine.answer}"]
        said = [
            [f"{name}:", *told(problem, method)]
            for name, problem, method in zip(
                compared.names, (mine, theirs), compared.methods, strict=True
            )
        ]
        lines += side_by_side(said[0], said[1], _WIDTH if width is None else width)
    hidden = len(compared.differing) - show
    if hidden > 0:
        lines += ["", f"and {hidden:,} more that only one solved; --show {show + hidden} has all"]
    return "\n".join(lines)


_WIDTH, _NARROW, _BETWEEN = 100, 70, " | "


def side_by_side(left: Sequence[str], right: Sequence[str], width: int) -> list[str]:
    """Two texts in two columns of equal width, long lines folded; in a narrow window one below the
    other."""
    if width < _NARROW:
        return [*left, *right]
    room = (width - len(_BETWEEN)) // 2
    columns = [
        [
            part
            for line in text
            for part in textwrap.wrap(
                line, room, subsequent_indent="      ", replace_whitespace=False
            )
            or [""]
        ]
        for text in (left, right)
    ]
    return [f"{a:<{room}}{_BETWEEN}{b}".rstrip() for a, b in zip_longest(*columns, fillvalue="")]


def answers_record(compared: AnswersCompared) -> dict[str, object]:
    """The same for machines."""
    sides: Sequence[tuple[str, str]] = list(zip(compared.names, compared.methods, strict=True))
    return {
        "models": [{"name": name, "method": method} for name, method in sides],
        "n": compared.n,
        "both": compared.both,
        "first_only": compared.first_only,
        "second_only": compared.second_only,
        "neither": compared.neither,
        "p_value": compared.p_value,
        "differing": [mine.id for mine, _ in compared.differing],
    }
