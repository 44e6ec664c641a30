"""The typed records that pass between folders: Problem → Completion → Verdict.

Every stage of the pipeline reads one of these and hands on the next, so a reader who knows this
file can follow a question from the generator to the report. They are frozen: a stage that wants
to say something new makes a new record with ``dataclasses.replace``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a worked solution, for example ``pencils: 3*12=36``.

    ``text`` is what a chain of thought shows. The other fields are filled where the step is a
    single binary operation, which makes it checkable: ``operator`` is one of ``+ - * /``,
    ``operands`` the two numbers as written, ``value`` the result in canonical form, and ``uses``
    stands beside ``operands``: the index (from 0) of the earlier step an operand came from, or
    ``None`` where it came from the question or general knowledge.
    """

    text: str
    operator: str = ""
    operands: tuple[str, ...] = ()
    value: str = ""
    uses: tuple[int | None, ...] = ()
    label: str = ""

    @property
    def checkable(self) -> bool:
        """True where the step is one binary operation with a known result."""
        return bool(self.operator and len(self.operands) == 2 and self.value)


@dataclass(frozen=True, slots=True)
class Problem:
    """A question with its known answer and, where there is one, a worked solution.

    ``answer`` is the number in canonical form (``grade.numbers.canonical``); ``source`` names
    where it came from (``generated/buying``, ``gsm8k``, a file's name); ``split`` is the slice it
    belongs to; ``key`` identifies its abstract content (the same story told with other names has
    the same key), which is what keeps training and test apart.
    """

    id: str
    question: str
    answer: str
    steps: tuple[Step, ...] = ()
    source: str = ""
    split: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One sampled continuation of one problem's prompt.

    ``token_ids`` are the generated ids (the closing ``<|end|>`` included when it was reached),
    ``logprobs`` the model's own log-probability of each (natural log, temperature 1). ``steps``
    and ``answer`` are what the format parser read out of them; ``answer`` is ``None`` when the
    completion never reached one. ``finish`` is ``"stop"`` or ``"length"``. ``step_scores`` and
    ``score`` are a verifier's probabilities in [0, 1] that each step, and the end, is right.
    """

    problem_id: str
    sample: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    steps: tuple[str, ...] = ()
    answer: str | None = None
    finish: str = "stop"
    step_scores: tuple[float, ...] = ()
    score: float | None = None

    @property
    def logprob(self) -> float:
        """Log-probability of the whole completion under the model (natural log)."""
        return sum(self.logprobs)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a method answered to a problem, and whether that was right.

    ``tokens`` counts every token sampled to reach the answer.
    """

    problem_id: str
    answer: str | None
    correct: bool
    tokens: int
