"""What can be known exactly about a step of a chain, as a few bits for a verifier.

A small transformer is bad at arithmetic and at counting, and a verifier that has to learn both
learns little else (arXiv 2504.04718 hands arithmetic to a tool). So it is told, at the end of each
step and of the chain, what a program can find out: whether the equation holds, where its operands
come from (``grade.provenance``), and how many numbers are still waiting to be used. It is left to
learn what these facts mean; none of them proves that a chain is right or wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from glassmind.grade.arithmetic import read_equation
from glassmind.grade.chain_checks import MAX_STEPS
from glassmind.grade.numbers import parse_number
from glassmind.grade.provenance import Ledger

FACTS = (
    "end of a step",
    "end of the chain",
    "an equation that can be read",
    "a false equation",
    "a false equation before",
    "an operand from nowhere",
    "an operand from nowhere before",
    "an operand used again",
    "an operand used again before",
    "an operand of general knowledge",
    "an operand from a word of the question",
    "an operand from the step before",
    "at least one number of the question unused",
    "at least two numbers of the question unused",
    "at least three numbers of the question unused",
    "at least one earlier result unused",
    "at least two earlier results unused",
    "the answer is not the last result",
    "the last operation is a sum or difference",
    "two numbers of the question combined",
)
"""The meaning of each bit, from the lowest. A saved verifier has a weight for each
(``reason.weighing``) and refuses another number of them."""

_BIT = {name: 1 << number for number, name in enumerate(FACTS)}


@dataclass
class _Reader:
    """The facts of one chain, step by step."""

    ledger: Ledger
    sticky: int = 0
    last: Fraction | None = None
    found: list[int] = field(default_factory=list)

    def read(self, step: str) -> None:
        bits = _BIT["end of a step"]
        equation = read_equation(step)
        if equation is None or not equation.operator:
            if equation is not None and not equation.holds:
                bits |= _BIT["a false equation"]
            self.last = None
        else:
            bits |= _BIT["an equation that can be read"]
            if not equation.holds:
                bits |= _BIT["a false equation"]
            if equation.operator in "+-":
                bits |= _BIT["the last operation is a sum or difference"]
            origins = []
            for operand in (Fraction(equation.left), Fraction(equation.right)):
                origin = self.ledger.use(operand)
                origins.append(origin)
                if origin == "result" and operand == self.last:
                    bits |= _BIT["an operand from the step before"]
            for origin, name in (
                ("nowhere", "an operand from nowhere"),
                ("again", "an operand used again"),
                ("known", "an operand of general knowledge"),
                ("words", "an operand from a word of the question"),
            ):
                if origin in origins:
                    bits |= _BIT[name]
            if origins == ["question", "question"]:
                bits |= _BIT["two numbers of the question combined"]
        bits |= self.sticky
        for name in ("a false equation", "an operand from nowhere", "an operand used again"):
            if bits & _BIT[name]:
                self.sticky |= _BIT[f"{name} before"]
        bits |= self._waiting()
        if equation is not None and equation.operator:
            self.last = Fraction(equation.result)
            self.ledger.make(self.last)
        self.found.append(bits)

    def end(self, answer: str | None) -> int:
        """The facts at the chain's end."""
        bits = _BIT["end of the chain"] | self.sticky
        given = None if answer is None else parse_number(answer)
        if self.last is not None:
            self.ledger.results[self.last] -= 1  # the answer itself is no result left over
            if given != self.last:
                bits |= _BIT["the answer is not the last result"]
        return bits | self._waiting()

    def _waiting(self) -> int:
        bits = 0
        for many, word in enumerate(("one", "two", "three"), 1):
            if self.ledger.unused >= many:
                numbers = "number" if many == 1 else "numbers"
                bits |= _BIT[f"at least {word} {numbers} of the question unused"]
        for many, word in enumerate(("one", "two"), 1):
            if self.ledger.open >= many:
                bits |= _BIT[f"at least {word} earlier result{'s' * (many > 1)} unused"]
        return bits


def step_facts(question: str, steps: Sequence[str], answer: str | None) -> tuple[list[int], int]:
    """The facts at the end of each step, and at the end of the chain, as bits (``FACTS``).

    Steps beyond ``MAX_STEPS`` have none.
    """
    reader = _Reader(Ledger(question))
    for step in steps[:MAX_STEPS]:
        reader.read(step)
    return reader.found + [0] * (len(steps) - len(reader.found)), reader.end(answer)
