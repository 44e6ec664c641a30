r"""Does the grader know its own answers again, and nothing else?

    GLASSMIND_DATA=... python benchmarks/grading.py

Three tables, each beside Math-Verify (``parse`` and ``verify`` on the same texts, its own time limits
switched on):

* every different right answer of MATH's training split (Hendrycks et al. 2021, arXiv 2103.03874)
  against itself, written by a model in ten notations;
* every right answer of GSM8K's training split (Cobbe et al. 2021, arXiv 2110.14168) in the forms
  people write, and the per cent signs its own solutions have;
* wrong answers: another answer of MATH, the same answer with its last digit changed, and texts meant
  to break a grader. Each acceptance is a false one, and is printed.

Math-Verify is slow beside ours and judges a sample (``--theirs``). The last line is one JSON object;
the exit code is 1 where an own answer of GSM8K is refused, a wrong one accepted, or something hangs.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

import math_verify
from rich.console import Console
from rich.table import Table

from glassmind.data.gsm8k import gsm8k_path
from glassmind.grade import comparisons, extract_answer, grade, parse_number
from glassmind.grade.numbers import read_number
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
    """With a name, where it is a value."""
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
    ("1", "\\boxed{\\binom{1000000000}{500000000}}"), ("x", "\\boxed{" + "\\sqrt{" * 120 + "x" + "}" * 121),
]  # fmt: skip


def ours(pair: Pair) -> bool:
    gold, text = pair
    return grade(gold, extract_answer(text))


def theirs(pair: Pair) -> bool:
    gold, text = pair
    try:
        return bool(math_verify.verify(math_verify.parse(f"${gold}$"), math_verify.parse(text)))
    except Exception:  # it lets a few of its parser's errors through
        return False


def judged(judge: Callable[[Pair], bool], pairs: Iterable[Pair]) -> tuple[list[Pair], int, float]:
    """The accepted pairs, how many there were, and seconds of wall time."""
    pairs = list(pairs)
    started = time.perf_counter()
    accepted = [pair for pair in pairs if judge(pair)]
    return accepted, len(pairs), time.perf_counter() - started


def math_golds(folder: Path) -> list[str]:
    """Every different right answer of MATH's training split: what is in the last box."""
    golds: dict[str, None] = {}
    with (folder / "math" / "train.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            solution = json.loads(line)["solution"]
            start = solution.rfind("\\boxed{") + len("\\boxed{")
            end = closing_brace(solution, start)
            if start >= len("\\boxed{") and end > start:
                golds[solution[start:end].strip()] = None
    return list(golds)


def gsm8k_golds() -> list[Pair]:
    """(right answer, its solution) of GSM8K's training split."""
    with gsm8k_path("train").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["answer"].rpartition("####")[2].strip(), row["answer"]) for row in rows]


def last_digit_changed(gold: str) -> str | None:
    found = list(re.finditer(r"(?<!\}\^)\d", gold))  # not cm}^2: units are not read
    if not found:
        return None
    at = found[-1].start()
    return f"{gold[:at]}{(int(gold[at]) + 1) % 10}{gold[at + 1 :]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--theirs", type=int, default=200, help="MATH answers for Math-Verify")
    parser.add_argument("--show", type=int, default=0, help="refused notations to print")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    console = Console(width=110)
    before = comparisons()
    facts: dict[str, object] = {"benchmark": "grading"}

    golds = math_golds(Path(os.environ["GLASSMIND_DATA"]))
    sample = random.Random(0).sample(golds, min(args.theirs, len(golds)))
    table = Table(title=f"MATH: {len(golds)} different right answers against themselves, accepted")
    for column in (
        "notation",
        "glassmind",
        "seconds",
        "glassmind, sample",
        "Math-Verify, sample",
        "seconds",
    ):
        table.add_column(column, justify="left" if column == "notation" else "right")
    notations: dict[str, object] = {}
    for name, write in NOTATIONS.items():
        accepted, n, seconds = judged(ours, ((gold, write(gold)) for gold in golds))
        part = {gold for gold, _ in accepted} & set(sample)
        they, _, their_seconds = judged(theirs, ((gold, write(gold)) for gold in sample))
        table.add_row(
            name,
            f"{len(accepted)} ({len(accepted) / n:.1%})",
            f"{seconds:.0f}",
            f"{len(part)} of {len(sample)}",
            f"{len(they)} of {len(sample)}",
            f"{their_seconds:.0f}",
        )
        notations[name] = {
            "n": n,
            "accepted": len(accepted),
            "seconds": round(seconds, 1),
            "sample": len(sample),
            "sample_accepted": len(part),
            "math_verify": len(they),
            "math_verify_seconds": round(their_seconds, 1),
        }
        refused = [gold for gold in golds if gold not in {gold for gold, _ in accepted}]
        for gold in refused[: args.show]:
            print(
                f"refused ({name}):",
                repr(gold),
                repr(write(gold)),
                repr(extract_answer(write(gold))),
            )
    console.print(table)
    facts["math"] = notations

    rows = gsm8k_golds()
    table = Table(title=f"GSM8K: {len(rows)} right answers in the forms people write, accepted")
    for column in ("form", "glassmind", "seconds", "Math-Verify, every 20th", "seconds"):
        table.add_column(column, justify="left" if column == "form" else "right")
    forms: dict[str, object] = {}
    failed = False
    for name, write in GSM8K_FORMS.items():
        accepted, n, seconds = judged(ours, ((gold, write(gold)) for gold, _ in rows))
        they, their_n, their_seconds = judged(
            theirs, ((gold, write(gold)) for gold, _ in rows[::20])
        )
        failed |= len(accepted) < n
        table.add_row(
            name,
            f"{len(accepted)} of {n}",
            f"{seconds:.1f}",
            f"{len(they)} of {their_n}",
            f"{their_seconds:.1f}",
        )
        forms[name] = {
            "n": n,
            "accepted": len(accepted),
            "math_verify_n": their_n,
            "math_verify": len(they),
        }
    signed = [
        (gold, f"The answer is {gold}%.")
        for gold, solution in rows
        if read_number(gold) and f"{gold}%" in solution.rpartition("####")[0]
    ]
    accepted, n, _ = judged(ours, signed)
    failed |= len(accepted) < n
    table.add_row("% where the solution has it", f"{len(accepted)} of {n}", "", "", "")
    forms["percent in the solution"] = {"n": n, "accepted": len(accepted)}
    console.print(table)
    facts["gsm8k"] = forms

    others = golds[7:] + golds[:7]
    wrong = {
        "another answer of MATH": [
            (g, f"\\boxed{{{o}}}") for g, o in zip(golds, others, strict=True)
        ],
        "the last digit changed": [
            (g, f"\\boxed{{{c}}}") for g in golds if (c := last_digit_changed(g))
        ],
        "hostile": HOSTILE,
    }
    table = Table(title="wrong answers, accepted")
    for column in ("kind", "glassmind", "seconds", "Math-Verify, sample", "seconds"):
        table.add_column(column, justify="left" if column == "kind" else "right")
    false_accepts: dict[str, object] = {}
    for name, pairs in wrong.items():
        accepted, n, seconds = judged(ours, pairs)
        part = pairs if name == "hostile" else pairs[:: max(1, len(pairs) // max(1, args.theirs))]
        they, their_n, their_seconds = judged(theirs, part)
        failed |= bool(accepted)
        table.add_row(
            name,
            f"{len(accepted)} of {n}",
            f"{seconds:.0f}",
            f"{len(they)} of {their_n}",
            f"{their_seconds:.0f}",
        )
        false_accepts[name] = {
            "n": n,
            "accepted": len(accepted),
            "seconds": round(seconds, 1),
            "math_verify_n": their_n,
            "math_verify": len(they),
            "math_verify_seconds": round(their_seconds, 1),
        }
        for gold, text in accepted:
            print("accepted:", repr(gold), repr(text[:80]))
    console.print(table)
    facts["wrong"] = false_accepts

    asked = comparisons() - before
    print(f"formulas compared by the worker: {asked.asked}, cut off: {asked.cut_off}")
    facts |= {
        "compared": asked.asked,
        "cut_off": asked.cut_off,
        "python": platform.python_version(),
        **{package: version(package) for package in ("math-verify", "sympy")},
    }
    print(json.dumps(facts))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
