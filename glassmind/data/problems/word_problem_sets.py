"""MAWPS, ASDiv and SVAMP: short word problems with the formula that solves them.

Each set has its own names for the same things, a question in one or two parts, a formula and an
answer:

    MAWPS      sQuestion, lEquations ["X=((27.0-6.0)/7.0)"], lSolutions [3.0]     (MultiArith, too)
    ASDiv      Body + Question, Formula "5+7=12", Answer "12 (marbles)"
    SVAMP      Body + Question, Equation "( 8.0 - 4.0 )", Answer 4.0

(Koncel-Kedziorski et al. 2016, N16-1136; Miao et al. 2020, arXiv 2106.15772; Patel et al. 2021,
arXiv 2103.07191; MultiArith is Roy and Roth 2015, arXiv 1608.01413.) The formula becomes the steps
of the solution, one operation each, with what they use, so that they can be checked. A formula that
cannot be read, or does not give the answer, is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from glassmind.data.rows.bad_rows import Row, RowFault, check_rows
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import content_key
from glassmind.errors import UserError
from glassmind.grade.arithmetic import read_operations
from glassmind.grade.numbers import canonical, parse_number
from glassmind.records import Problem, Step

LONGEST = 2_000  # characters of a formula


def load_word_problems(path: Path, split: str = "valid") -> list[Problem]:
    """The problems of a file of one of these sets.

    Raises:
        UserError: it cannot be read, or a row has none of the three formats.
    """

    def parse(row: Row) -> Problem:
        return _problem(row, path.parent.name.lower(), split)

    problems = check_rows(str(path), file_rows(path), parse, lambda p: 500 + len(p.question))
    found = problems.usable("stop", lambda _: None)
    if not found:
        raise UserError(f"{path} holds no problems")
    return found


def _problem(row: Row, source: str, split: str) -> Problem:
    if not isinstance(row.values, dict):
        raise RowFault("is not a JSON object with a question and an answer")
    values = row.values
    if "sQuestion" in values:
        parts = [values["sQuestion"]]
        answer, formula = _only(values, "lSolutions"), _only(values, "lEquations")
    elif "Body" in values and "Question" in values:
        body = values["Body"]
        joint = (
            " " if isinstance(body, str) and body.strip().endswith((".", "?", "!", ",")) else ", "
        )
        parts = [f"{str(body).strip()}{joint}{str(values['Question']).strip()}"]
        answer = values.get("Answer")
        formula = values.get("Formula", values.get("Equation"))
    else:
        raise RowFault("has neither sQuestion (MAWPS) nor Body and Question (ASDiv, SVAMP)")
    if not isinstance(parts[0], str) or not parts[0].strip():
        raise RowFault("has an empty question")
    number = _number(answer)
    if number is None:
        raise RowFault(f"has an answer that is not a number: {str(answer)[:40]!r}")
    question = " ".join(parts[0].split())
    return Problem(
        id=f"{source}-{split}-{row.name.rpartition('-')[2]}",
        question=question,
        answer=canonical(number),
        steps=formula_steps(str(formula or ""), number),
        source=source,
        split=split,
        key=content_key(question),
    )


def _only(values: Mapping[str, object], name: str) -> object:
    """The one entry of a list."""
    found = values.get(name)
    if not isinstance(found, list) or len(found) != 1:
        raise RowFault(f"needs {name} with exactly one entry")
    return found[0]


def _number(answer: object) -> Fraction | None:
    """``12 (marbles)``, ``4.0`` or ``0.8333333333333334``; the last is read as five sixths."""
    if isinstance(answer, bool) or not isinstance(answer, (str, int, float)):
        return None
    number = parse_number(str(answer).partition("(")[0].strip())
    if number is not None and number.denominator > 10**9:
        return number.limit_denominator(10_000)
    return number


def formula_steps(formula: str, answer: Fraction) -> tuple[Step, ...]:
    """The formula as one step for each operation; empty if it does not give ``answer``."""
    if len(formula) > LONGEST:
        return ()
    sides = [side for side in formula.split("=") if side.strip() not in ("X", "x", "")]
    operations = read_operations(sides[0]) if sides else None
    if not operations or operations[-1].value != answer:
        return ()
    steps = []
    for made in operations:
        left, right = map(canonical, made.operands)
        value = canonical(made.value)
        steps.append(
            Step(
                text=f"{left}{made.operator}{right}={value}",
                operator=made.operator,
                operands=(left, right),
                value=value,
                uses=made.uses,
            )
        )
    return tuple(steps)
