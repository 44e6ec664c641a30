"""Where does a written solution go wrong first? Exact checks, and a verifier's belief beside them.

Three kinds of evidence, from the surest:

* an equation is false. That is certain, whatever the question;
* a step computes with a number that comes from nowhere (``grade.support``). The rule cannot follow
  sums that somebody does in his head, so this is a suspicion: of 400 labelled solutions of GSM8K
  problems (ProcessBench, Zheng et al. 2024, arXiv 2412.06559) it named 12, of which 9 were wrong
  at or before that step;
* the verifier believes that the chain has gone wrong. A small verifier knows the questions and the
  way of writing that it was trained on. Of others its belief says nothing, and is not used.

A solution in which nothing is found may still have a wrong plan, which no exact check can see.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from glassmind.grade.arithmetic import WrittenEquation, read_equation
from glassmind.grade.numbers import canonical
from glassmind.grade.support import unsupported_numbers
from glassmind.grade.written_steps import step_equations
from glassmind.llm.local import LocalLLM
from glassmind.reason.verify import verify_function
from glassmind.records import Problem, Trace
from glassmind.tokenize import chain_nodes, encode_completion

ErrorKind = Literal["false equation", "unsupported number", "verifier"]

UNSUPPORTED = 0.7
"""The confidence that a step with a number from nowhere is wrong, as measured (see above)."""

DOUBT = 0.5
"""A step that the verifier gives less than this is taken to be wrong."""

# A step in the form that runs are trained on: perhaps a label, then one operation.
_OWN = re.compile(r"(?:[^\d=:]{1,40}: *)?\d{1,12} *[-+*/] *\d{1,12} *= *\d{1,12}")
_ANSWER = re.compile(r"(?:####|answer\s*[:=])\s*\$?(-?[0-9][0-9,.]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CheckedStep:
    """A step, the equations that could be read in it, and what is wrong with it.

    ``finding`` is a sentence, empty if no exact check found anything; ``kind`` says which check.
    ``belief`` is the verifier's probability that everything up to here is right.
    """

    text: str
    equations: tuple[str, ...] = ()
    kind: ErrorKind | None = None
    finding: str = ""
    belief: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """The verdict on a solution.

    ``first_wrong`` is the number of the first wrong step, from 0, ``None`` if none was found;
    ``kind`` and ``reason`` say why. ``confidence`` is the probability of the verdict: that an error
    has been made by that step, or, if none was found and a verifier read it, that the solution is
    right. It is ``None`` if nothing can be said. ``warnings`` say what the check could not do.
    """

    question: str
    steps: tuple[CheckedStep, ...]
    first_wrong: int | None
    kind: ErrorKind | None
    reason: str
    confidence: float | None
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(line for line, _ in check_lines(self))


def exact_findings(question: str, steps: Sequence[str]) -> tuple[CheckedStep, ...]:
    """The steps with what can be said without a model."""
    checked = []
    for step, unsupported in zip(steps, unsupported_numbers(question, steps), strict=True):
        equations = step_equations(step)
        false = next((e for e in equations if not e.holds), None)
        kind: ErrorKind | None = None
        finding = ""
        if false is not None:
            kind, finding = "false equation", _false(false)
        elif unsupported:
            equation, number = unsupported[0]
            kind = "unsupported number"
            finding = (
                f"{canonical(number)} in {equation.text} is not in the question, is no earlier "
                "result and no common constant"
            )
        checked.append(CheckedStep(step, tuple(e.text for e in equations), kind, finding))
    return tuple(checked)


def _false(equation: WrittenEquation) -> str:
    left, _, claimed = equation.text.rpartition("=")
    return f"{left.strip()} is {canonical(equation.value)}, not {claimed.strip()}"


def beliefs(
    llm: LocalLLM, problems: Sequence[Problem], solutions: Sequence[Sequence[str]]
) -> list[tuple[tuple[float, ...], float]]:
    """What the verifier of ``llm`` believes of every step of some solutions, and of their ends."""
    scorer, tokenizer = llm.scorer, llm.tokenizer
    assert scorer is not None
    traces = []
    for problem, steps in zip(problems, solutions, strict=True):
        ids = encode_completion(tokenizer, steps, problem.answer, "chain")
        nodes = chain_nodes(tokenizer, ids, "chain", finish="stop")
        traces.append(Trace.of_chains(problem.id, [nodes]))
    judged = verify_function(llm)(scorer, tokenizer, problems, traces)
    chains = [trace.completions[0] for trace in judged]
    return [(chain.step_scores, chain.score or 0.0) for chain in chains]


def check_solutions(
    questions: Sequence[str], solutions: Sequence[Sequence[str]], llm: LocalLLM | None = None
) -> list[Check]:
    """The verdict on every solution; without a model, by the exact checks alone."""
    found = [exact_findings(q, steps) for q, steps in zip(questions, solutions, strict=True)]
    refusals = [
        _refusal(question, steps, llm) for question, steps in zip(questions, solutions, strict=True)
    ]
    read = [number for number, why in enumerate(refusals) if why is None]
    believed: dict[int, tuple[tuple[float, ...], float]] = {}
    if llm is not None and read:
        problems = [Problem(str(n), questions[n], _answer(solutions[n])) for n in read]
        told = beliefs(llm, problems, [[*_own_steps(solutions[n]).values()] for n in read])
        believed = dict(zip(read, told, strict=True))
    return [
        _verdict(questions[n], found[n], believed.get(n), refusals[n]) for n in range(len(found))
    ]


def _refusal(question: str, steps: Sequence[str], llm: LocalLLM | None) -> str | None:
    """Why the verifier is not asked; ``None`` if it can be."""
    only = "only the exact checks were made"
    if llm is None:
        return f"no verifier was asked: {only}, and they do not see a wrong plan"
    if llm.scorer is None or llm.format != "question":
        return f"{llm.name} has no verifier for solutions: {only}"
    strange = llm.warning(question)
    if strange is not None:
        return f"{strange.removesuffix('; expect a guess')}; the verifier was not asked, {only}"
    own = [*_own_steps(steps).values()]
    if not all(map(_is_own, own)):
        return (
            "the verifier was not asked: it reads steps with one operation each, such as "
            f"'pencils: 3*12=36'; {only}"
        )
    n_ids = len(encode_completion(llm.tokenizer, own, _answer(steps), "chain"))
    if len(llm.prompt(question, "chain")) + n_ids > llm.context:
        return f"the solution is longer than {llm.name} can read: {only}"
    return None


def _own_steps(steps: Sequence[str]) -> dict[int, str]:
    """The steps by their numbers, without lines that only state the answer."""
    kept = {
        number: "\n".join(x for x in step.splitlines() if not _ANSWER.match(x.strip())).strip()
        for number, step in enumerate(steps)
    }
    return {number: step for number, step in kept.items() if step}


def _is_own(step: str) -> bool:
    return _OWN.fullmatch(step) is not None


def _answer(steps: Sequence[str]) -> str:
    """The answer that the solution states, or else the result of its last equation."""
    stated = _ANSWER.findall("\n".join(steps[-2:]))
    if stated:
        return str(stated[-1]).rstrip(".,")
    equation = read_equation(steps[-1])
    return "" if equation is None else str(equation.result)


def _verdict(
    question: str,
    steps: Sequence[CheckedStep],
    believed: tuple[tuple[float, ...], float] | None,
    refusal: str | None,
) -> Check:
    warnings = () if refusal is None else (refusal,)
    told: dict[int, float] = {}
    if believed is not None:
        told = dict(zip(_own_steps([step.text for step in steps]), believed[0], strict=True))
    checked = tuple(replace(step, belief=told.get(n)) for n, step in enumerate(steps))
    for number, step in enumerate(checked):
        confidence = _error(step)
        if confidence is not None:
            kind = step.kind or "verifier"
            reason = step.finding or f"the verifier gives it {step.belief:.0%}"
            return Check(question, checked, number, kind, reason, confidence, warnings)
    reason = "no error was found"
    if believed is None:
        return Check(question, checked, None, None, reason, None, warnings)
    if believed[1] < DOUBT:  # every step seems right, the whole does not: something is missing
        reason = f"the verifier gives the whole solution {believed[1]:.0%}"
        last = len(checked) - 1
        return Check(question, checked, last, "verifier", reason, 1 - believed[1], warnings)
    return Check(question, checked, None, None, reason, believed[1], warnings)


def _error(step: CheckedStep) -> float | None:
    """The probability that an error has been made by the end of a step, if it is taken for one."""
    if step.kind == "false equation":
        return 1.0
    doubt = None if step.belief is None or step.belief >= DOUBT else 1 - step.belief
    if step.kind == "unsupported number" and (step.belief is None or doubt is not None):
        return max(UNSUPPORTED, doubt or 0.0)
    return doubt


def check_lines(check: Check) -> list[tuple[str, str]]:
    """The verdict as lines of text, each with its style in a terminal (``""`` is plain)."""
    lines = [(check.question.strip(), "bold")]
    for number, step in enumerate(check.steps):
        belief = "" if step.belief is None else f"   {step.belief:.0%}"
        first = number == check.first_wrong
        mark = "   ✗ first wrong step" if first else "   ✗" if step.kind == "false equation" else ""
        text = " ".join(step.text.split())
        lines.append((f"  {number + 1}. {text}{belief}{mark}", "red" if mark else ""))
    if check.first_wrong is None:
        lines.append((f"  verdict     {check.reason}", "bold green"))
    else:
        kind = {"verifier": "by the verifier"}.get(str(check.kind), str(check.kind))
        said = f"  verdict     step {check.first_wrong + 1} is wrong ({kind}): {check.reason}"
        lines.append((said, "bold red"))
    if check.confidence is not None:
        lines.append((f"  confidence  {check.confidence:.0%}", ""))
    lines += [(f"  warning: {warning}", "yellow") for warning in check.warnings]
    return lines
