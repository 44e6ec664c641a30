r"""Does the grader accept every right answer, and no wrong one?

    GLASSMIND_DATA=... python benchmarks/grading.py

Three tables, each compared with Math-Verify (``parse`` and ``verify`` on the same texts, with its
own time limits):

* every distinct right answer of MATH's training split (Hendrycks et al. 2021, arXiv 2103.03874)
  against itself, written in ten notations that models use;
* every right answer of GSM8K's training split (Cobbe et al. 2021, arXiv 2110.14168) in the forms
  people write, and with the per cent signs of its own solutions;
* wrong answers: another answer of MATH, the same answer with its last digit changed, and texts
  meant to break a grader. Every acceptance is wrong, and is printed.

Math-Verify judges a sample (``--theirs``). The last line is one JSON object; the exit code is 1 if
a right answer of GSM8K is refused or a wrong one accepted.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version

import math_verify
from rich.console import Console
from rich.table import Table

from glassmind.data.problems.sets import data_file
from glassmind.grade import comparisons, extract_answer, grade
from glassmind.grade.typesetting import closing_brace

Pair = tuple[str, str]  # the right answer, and the text of a solution

_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_ROOT = re.compile(r"\\sqrt\s*\{([^{}]*)\}")
_POWER = re.compile(r"\^\{([^{}]*)\}")
_UNICODE = {
    "\\pi": "π", "\\infty": "∞", "\\cup": "∪", "\\theta": "θ", "\\cdot": "·", "\\times": "×",
    "\\le ": "≤ ", "\\leq": "≤", "\\ge ": "≥ ", "^\\circ": "°", "-": "−", "\\%": "%",
}  # fmt: skip


def without_spaces(gold: str) -> str:
    """Without the spaces that are not needed; ``81, 256`` needs its own."""
    if "\\text" in gold or "\\mbox" in gold:
        return gold
    needed = re.compile(r"(\\[A-Za-z]+ (?=[A-Za-z])|(?<=\d) (?=\d)|(?<=\d,) (?=\d{3}))|\s")
    return needed.sub(lambda found: found[1] or "", gold)


def with_spaces(gold: str) -> str:
    """With more spaces than the gold answer has."""
    if "\\text" in gold or "\\mbox" in gold:
        return gold
    gold = re.sub(r",(?!\\!|\d\d\d|\})", r",\\, ", gold)
    return re.sub(r"(?<=[\w})])([+=])(?=[\w\\({])", r" \1 ", gold)


def typed(gold: str) -> str:
    """As on a keyboard: ``(1+sqrt(5))/2``."""
    gold = gold.replace("\\left", "").replace("\\right", "")
    gold = re.sub(r"\^\{?\\circ\}?", " degrees", gold)
    for _ in range(6):
        gold = _ROOT.sub(r" sqrt(\1)", _POWER.sub(r"^(\1)", gold))
        gold = _FRACTION.sub(r"((\1)/(\2))", gold)
    for latex, key in (("\\pi", " pi "), ("\\infty", "infinity"), ("\\cdot", "*")):
        gold = gold.replace(latex, key)
    return gold


def named(gold: str) -> str:
    """With a variable's name, if it is a single value."""
    is_value = not re.search(r"=|<|>|\\(?:le|ge|cup|text|mbox)|^[A-Za-z ]+$", gold)
    return f"x = {gold}" if is_value else gold


def in_unicode(gold: str) -> str:
    for latex, sign in _UNICODE.items():
        gold = gold.replace(latex, sign)
    return gold


def large_brackets(gold: str) -> str:
    if "\\left" in gold:
        return gold.replace("\\left", "").replace("\\right", "")
    return re.sub(r"(?<!\\)[(\[]", r"\\left\g<0> ", re.sub(r"(?<!\\)[)\]]", r" \\right\g<0>", gold))


NOTATIONS: dict[str, Callable[[str], str]] = {
    "boxed": lambda gold: f"So we get \\boxed{{{gold}}}.",
    "in a sentence": lambda gold: f"The final answer is ${gold}$.",
    "bold, after thinking": lambda gold: (
        f"<think>is it \\boxed{{0}}?</think>\n**Answer:** ${gold}$"
    ),
    "named": lambda gold: f"\\[\\boxed{{{named(gold)}}}\\]",
    "without spaces": lambda gold: f"\\boxed{{{without_spaces(gold)}}}",
    "with spaces": lambda gold: f"\\boxed{{{with_spaces(gold)}}}",
    "\\dfrac for \\frac": lambda gold: (
        f"\\boxed{{{gold.replace(chr(92) + 'frac', chr(92) + 'dfrac')}}}"
    ),
    "\\left( \\right)": lambda gold: f"\\boxed{{{large_brackets(gold)}}}",
    "typed": lambda gold: f"\\boxed{{{typed(gold)}}}",
    "Unicode": lambda gold: f"\\boxed{{{in_unicode(gold)}}}",
}

GSM8K_FORMS: dict[str, Callable[[str], str]] = {
    "#### 72": lambda gold: f"48/2=24\n#### {gold}",
    "#### 72 dollars": lambda gold: f"#### {gold} dollars",
    "\\boxed{72}": lambda gold: f"It is \\boxed{{{gold}}}.",
    "\\boxed{72 \\text{ cm}}": lambda gold: f"It is \\boxed{{{gold} \\text{{ cm}}}}.",
    "\\boxed{x = 72}": lambda gold: f"\\boxed{{x = {gold}}}",
    "The answer is 72.": lambda gold: f"So in 3 days, the answer is {gold}.",
    "**Answer:** $72": lambda gold: f"**Answer:** ${gold}",
    "**72**": lambda gold: f"She has **{gold}**",
    "72 m^2": lambda gold: f"The area is {gold} m^2.",
    "$72 \\text{ m}^2$": lambda gold: f"The area is ${gold} \\text{{ m}}^2$.",
    "1{,}872": lambda gold: f"\\boxed{{{gold.replace(',', '{,}')}}}",
    "1 872": lambda gold: f"The answer is {gold.replace(',', ' ')}.",
    "72.00": lambda gold: f"#### {gold if '.' in gold else gold + '.00'}",
    "72%": lambda gold: f"The answer is {gold}%.",
}

HOSTILE: list[Pair] = [
    ("1", "\\boxed{9^9^9^9}"), ("1", "\\boxed{9^{9^{9^{9}}}}"), ("1", "\\boxed{\\frac{1}{0}}"),
    ("0", "\\boxed{\\frac{0}{0}}"), ("5", "{" * 100_000), ("5", "\\boxed{" + "{" * 100_000),
    ("7", "\\boxed{" + "{" * 400 + "5" + "}" * 399 + "}"), ("5", "\\boxed{٥}"),
    ("5", "The answer is ٥."), ("5", "\\boxed{５}"), ("5", "The answer is 5 or 6."),
    ("6", "The answer is 5 or 6."), ("6", "It is 5 or 6."), ("6", "\\boxed{5} or \\boxed{6}"),
    ("5", "#### 5 or 6"), ("5", "\\boxed{5, 6}"), ("3", "The answer is x^2 + 3."),
    ("3", "The answer is (3, 4)."), ("3", "<think>\\boxed{3}"), ("x", "\\boxed{y}"),
    ("x", "\\boxed{|x|}"), ("2^{2008}-2", "\\boxed{2^{2008}}"), ("\\pi", "\\boxed{3.14159265}"),
    ("\\sqrt{2}", "\\boxed{1.41421356}"), ("\\frac{1}{3}", "\\boxed{0.333333}"),
    ("(1,2)", "\\boxed{(2,1)}"), ("(1,2)", "\\boxed{[1,2]}"), ("(1,2)", "\\boxed{\\{1,2\\}}"),
    ("(1,2]", "\\boxed{(1,2)}"), ("\\{1,2\\}", "\\boxed{\\{1,2,2\\}}"), ("x=1", "\\boxed{y=1}"),
    ("2104_5", "\\boxed{2104_6}"), ("2x", "\\boxed{2}"), ("5", "\\boxed{5x}"),
    ("5", "\\boxed{5 \\text{ million}}"), ("odd", "\\boxed{\\text{dod}}"), ("B", "\\boxed{A}"),
    ("8:34 \\text{ p.m.}", "\\boxed{8:34 \\text{ a.m.}}"), ("28", "\\boxed{0.28}"),
    ("1", "\\boxed{\\sum_{n=1}^{10^{9}} \\sin n}"), ("1", "\\boxed{\\int_0^1 x^{x^x} dx}"),
    ("x", "\\boxed{" + "(x+1)^{9999}" * 40 + "}"), ("1", "\\boxed{1000000!}"),
    ("1", "\\boxed{\\binom{1000000000}{500000000}}"),
    ("x", "\\boxed{" + "\\sqrt{" * 120 + "x" + "}" * 121),
]  # fmt: skip


def ours(pair: Pair) -> bool:
    gold, text = pair
    return grade(gold, extract_answer(text))


def theirs(pair: Pair) -> bool:
    gold, text = pair
    try:
        return bool(math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(text)))
    except Exception:  # it does not catch all errors of its parser
        return False


@dataclass(frozen=True)
class Judged:
    """One row of a table: what both graders accepted, and their seconds of wall time."""

    pairs: list[Pair]
    accepted: list[Pair]
    seconds: float
    sample: list[Pair]
    sample_accepted: int  # by ours
    theirs: int
    their_seconds: float

    @classmethod
    def of(cls, pairs: Iterable[Pair], sample: int) -> Judged:
        pairs = list(pairs)
        accepted, seconds = _timed(ours, pairs)
        part = random.Random(0).sample(pairs, min(sample, len(pairs)))
        they, their_seconds = _timed(theirs, part)
        known = set(accepted)
        both = sum(pair in known for pair in part)
        return cls(pairs, accepted, seconds, part, both, len(they), their_seconds)

    @property
    def cells(self) -> list[str]:
        return [
            f"{len(self.accepted)} of {len(self.pairs)}",
            f"{self.seconds:.0f}",
            f"{self.sample_accepted} of {len(self.sample)}",
            f"{self.theirs} of {len(self.sample)}",
            f"{self.their_seconds:.0f}",
        ]

    @property
    def facts(self) -> dict[str, object]:
        return {
            "n": len(self.pairs),
            "accepted": len(self.accepted),
            "seconds": round(self.seconds, 1),
            "sample": len(self.sample),
            "sample_accepted": self.sample_accepted,
            "math_verify": self.theirs,
            "math_verify_seconds": round(self.their_seconds, 1),
        }


def _timed(judge: Callable[[Pair], bool], pairs: list[Pair]) -> tuple[list[Pair], float]:
    started = time.perf_counter()
    accepted = [pair for pair in pairs if judge(pair)]
    return accepted, time.perf_counter() - started


def math_golds() -> list[str]:
    """Every distinct right answer of MATH's training split: the content of the last box."""
    golds: dict[str, None] = {}
    with data_file("math/train.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            solution = json.loads(line)["solution"]
            start = solution.rfind("\\boxed{") + len("\\boxed{")
            end = closing_brace(solution, start)
            if start >= len("\\boxed{") and end > start:
                golds[solution[start:end].strip()] = None
    return list(golds)


def gsm8k_rows() -> list[tuple[str, str]]:
    """(right answer, its solution) of GSM8K's training split."""
    with data_file("gsm8k/train.jsonl").open(encoding="utf-8") as lines:
        solutions = [json.loads(line)["answer"].rpartition("####") for line in lines]
    return [(gold.strip(), worked) for worked, _, gold in solutions]


def last_digit_changed(gold: str) -> str | None:
    """``gold`` with another last digit, but not that of ``cm}^2``, since units are not graded."""
    found = list(re.finditer(r"(?<!\}\^)\d", gold))
    if not found:
        return None
    at = found[-1].start()
    return f"{gold[:at]}{(int(gold[at]) + 1) % 10}{gold[at + 1 :]}"


def table(title: str, rows: dict[str, Judged]) -> Table:
    drawn = Table(title=title)
    drawn.add_column("accepted")
    for column in ("glassmind", "s", "glassmind, sample", "Math-Verify, sample", "s"):
        drawn.add_column(column, justify="right")
    for name, row in rows.items():
        drawn.add_row(name, *row.cells)
    return drawn


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--theirs", type=int, default=200, help="pairs per row for Math-Verify")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # Math-Verify's, of each time-out
    console = Console(width=100)
    before = comparisons()

    golds, rows = math_golds(), gsm8k_rows()
    notations = {
        name: Judged.of([(gold, write(gold)) for gold in golds], args.theirs)
        for name, write in NOTATIONS.items()
    }
    console.print(table(f"MATH: {len(golds)} right answers against themselves", notations))
    for name, row in notations.items():
        for gold, text in set(row.pairs) - set(row.accepted):
            print(f"refused ({name}): {gold!r} {text!r}")

    forms = {
        name: Judged.of([(gold, write(gold)) for gold, _ in rows], args.theirs)
        for name, write in GSM8K_FORMS.items()
    }
    forms["72%, as in its solution"] = Judged.of(
        [(gold, f"#### {gold}%") for gold, worked in rows if f"{gold}%" in worked], args.theirs
    )
    console.print(table(f"GSM8K: {len(rows)} right answers in the forms people write", forms))

    others = zip(golds, golds[7:] + golds[:7], strict=True)
    changed = ((gold, last_digit_changed(gold)) for gold in golds)
    wrong = {
        "another answer of MATH": [(gold, f"\\boxed{{{other}}}") for gold, other in others],
        "the last digit changed": [(gold, f"\\boxed{{{to}}}") for gold, to in changed if to],
        "hostile": HOSTILE,
    }
    false = {name: Judged.of(pairs, args.theirs) for name, pairs in wrong.items()}
    console.print(table("wrong answers", false))
    for row in false.values():
        for gold, text in row.accepted:
            print(f"falsely accepted: {gold!r} {text[:80]!r}")

    count = comparisons() - before
    print(f"formulas compared by the worker: {count.asked}, cut off: {count.cut_off}")
    facts = {
        "benchmark": "grading",
        "math": {name: row.facts for name, row in notations.items()},
        "gsm8k": {name: row.facts for name, row in forms.items()},
        "wrong": {name: row.facts for name, row in false.items()},
        "compared": count.asked,
        "cut_off": count.cut_off,
        "python": platform.python_version(),
        **{package: version(package) for package in ("math-verify", "sympy")},
    }
    print(json.dumps(facts))
    refused = any(len(row.accepted) < len(row.pairs) for row in forms.values())
    return int(refused or any(row.accepted for row in false.values()))


if __name__ == "__main__":
    sys.exit(main())
