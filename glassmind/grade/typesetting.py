r"""Removes LaTeX that changes only how an answer looks.

``\left( \dfrac12,\, 3 \right)``, ``(\frac{1}{2},3)`` and ``(1/2, 3)`` are one answer. ``unwrap``
removes delimiters around an answer (``$...$``, ``\boxed{...}``, ``**...**``, a closing full stop);
``plain`` rewrites the answer itself, so that every command has one spelling, arguments have braces,
and plain-text notation (``sqrt(2)``, ``2*x``, ``π``, ``≤``) becomes LaTeX.
"""

from __future__ import annotations

import re

_PAIRS = (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("**", "**"), ("`", "`"))
_BOXES = ("\\boxed{", "\\fbox{", "\\text{", "\\mbox{", "\\textbf{", "\\mathbf{", "\\mathrm{")

_SPELLED = {
    "\u2212": "-", "–": "-", "π": "\\pi ", "θ": "\\theta ", "∞": "\\infty ", "∪": "\\cup ",
    "×": "\\times ", "·": "\\cdot ", "÷": "\\div ", "≤": "\\le ", "≥": "\\ge ", "≠": "\\ne ",
    "±": "\\pm ", "√": "\\sqrt ", "∈": "\\in ", "²": "^2", "³": "^3", "⟨": "(", "⟩": ")",
    "≈": "\\approx ", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "**": "^",
}  # fmt: skip
_ANOTHER_NAME = {
    "dfrac": "frac", "tfrac": "frac", "cfrac": "frac", "leq": "le", "leqslant": "le", "geq": "ge",
    "geqslant": "ge", "neq": "ne", "lt": "<", "gt": ">", "langle": "(", "rangle": ")",
    "lbrace": "\\{", "rbrace": "\\}", "ast": "*", "emptyset": "varnothing", "lvert": "|",
    "rvert": "|", "vert": "|", "mid": "|", "dots": "ldots", "cdots": "ldots",
}  # fmt: skip
_NOTHING = {
    "left", "right", "big", "Big", "bigl", "bigr", "Bigl", "Bigr", "bigg", "Bigg", "displaystyle",
    "textstyle", "limits", "!", ",", ";", ":", " ", "quad", "qquad", "hspace", "phantom",
}  # fmt: skip
FUNCTIONS = (
    "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "sin", "cos", "tan", "cot", "sec", "csc",
    "log", "ln", "exp", "min", "max", "gcd", "lcm",
)  # fmt: skip
"""Words in formulas that LaTeX writes with a backslash, and people often without."""

_COMMAND = re.compile(r"\\(\\|[A-Za-z]+|[!,;: ])\s*")
_TYPED = "|".join(map(re.escape, sorted(_SPELLED, key=len, reverse=True)))
_TYPED_SIGNS = re.compile(_TYPED)
_TYPED_WORDS = re.compile(
    rf"(?<![\\A-Za-z])({'|'.join(FUNCTIONS)}|sqrt|pi|theta|infinity|infty|inf|oo)(?![A-Za-z])"
)
_TYPED_NAMES = {"infinity": "infty", "inf": "infty", "oo": "infty"}
_TYPED_ROOT = re.compile(r"√\s*([0-9]+)")
_DEGREES = re.compile(r"\^\s*\{?\s*\\(?:circ|degree)\s*\}?|\\degree| ?\bdegrees?\b")
_THOUSANDS = re.compile(r"(?<=[0-9])(?:\{,\}|,\\!)(?=[0-9]{3})")
_POWER_OF_BRACKETS = re.compile(r"\^\s*\(([^()]*)\)")
_ROOT_OF_BRACKETS = re.compile(r"\\sqrt\s*\(([^()]*)\)")
_SPACES = re.compile(r"\s+")
_TOKENS = re.compile(r"\\[A-Za-z]+|\\.|.", re.DOTALL)
_ARGUMENTS = {"\\frac": 2, "\\binom": 2, "\\sqrt": 1}
_MAX_DEPTH = 40


def unwrap(text: str) -> str:
    """``text`` without delimiters, emphasis, box and closing punctuation around it."""
    for _ in range(8):
        before = text
        text = text.strip().removesuffix(",").strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1].strip()
        for opening, closing in _PAIRS:
            if (
                len(text) > len(opening) + len(closing)
                and text.startswith(opening)
                and text.endswith(closing)
                and not text.endswith("\\" + closing)
                and opening not in text[len(opening) : -len(closing)].replace("\\$", "")
            ):
                text = text[len(opening) : -len(closing)]
                break
        for box in _BOXES:
            if text.startswith(box) and closing_brace(text, len(box)) == len(text) - 1:
                text = text[len(box) : -1]
                break
        if text == before:
            break
    return text


def plain(text: str) -> str:
    """``text`` with one spelling for each command, argument and sign, and single spaces."""
    text = _THOUSANDS.sub("", text).replace("\\$", "$").replace("\\%", "%")
    text = _DEGREES.sub("°", text)
    text = _TYPED_ROOT.sub(r"\\sqrt{\1}", text)
    text = _TYPED_SIGNS.sub(lambda found: _SPELLED[found[0]], text)
    text = _TYPED_WORDS.sub(lambda found: f"\\{_TYPED_NAMES.get(found[1], found[1])} ", text)
    text = _COMMAND.sub(_command, text)
    text = _ROOT_OF_BRACKETS.sub(r"\\sqrt{\1}", text)
    text = _POWER_OF_BRACKETS.sub(r"^{\1}", text)
    tokens = _TOKENS.findall(_SPACES.sub(" ", text).strip())
    braced: list[str] = []
    position = 0
    while position < len(tokens):
        position = _copy(tokens, position, braced, 0)
    return _joined(braced)


def compact(formula: str) -> str:
    """A formula that ``plain`` has written, without the spaces and braces that change nothing.

    A space stays where it separates a command from a letter, or two numbers; degrees are dropped.
    """
    tokens = _TOKENS.findall(formula.replace("°", ""))
    kept: list[str] = []
    for number, token in enumerate(tokens):
        if token == " ":
            between_digits = (
                0 < number < len(tokens) - 1
                and tokens[number - 1].isdigit()
                and tokens[number + 1].isdigit()
            )
            if not between_digits:
                continue
        # after ^ and _, {x} is the same as x
        if token == "}" and kept[-3:-1] in (["^", "{"], ["_", "{"]):
            kept[-2:] = kept[-1:]
            continue
        kept.append(token)
    return _joined(kept)


def _command(found: re.Match[str]) -> str:
    name = found[1]
    if name == "\\":  # the end of a row
        return "\\\\"
    if name in _NOTHING:
        return " " if name in ("quad", "qquad", ",", ";", ":", " ") else ""
    name = _ANOTHER_NAME.get(name, name)
    return name if not name[0].isalpha() else f"\\{name} "


def _copy(tokens: list[str], at: int, out: list[str], depth: int) -> int:
    """Copy the element at ``at`` with braces around its arguments; returns where it ends."""
    token = tokens[at]
    at += 1
    out.append(token)
    if depth >= _MAX_DEPTH:
        return at
    if token == "{":
        while at < len(tokens) and tokens[at] != "}":
            at = _copy(tokens, at, out, depth + 1)
        if at < len(tokens):
            out.append("}")
        return at + 1
    for argument in range(_ARGUMENTS.get(token, 0)):
        at = _skip_spaces(tokens, at)
        if argument == 0 and token == "\\sqrt" and at < len(tokens) and tokens[at] == "[":
            end = at + 1
            while end < len(tokens) and tokens[end - 1] != "]":
                end += 1
            out.extend(tokens[at:end])
            at = _skip_spaces(tokens, end)
        if at >= len(tokens) or tokens[at] == "}":
            break
        if tokens[at] == "{":
            at = _copy(tokens, at, out, depth + 1)
        else:
            out.append("{")
            at = _copy(tokens, at, out, depth + 1)
            out.append("}")
    return at


def _skip_spaces(tokens: list[str], at: int) -> int:
    while at < len(tokens) and tokens[at] == " ":
        at += 1
    return at


def _joined(tokens: list[str]) -> str:
    """The text of ``tokens``, with a space between a command and a letter."""
    text: list[str] = []
    for token in tokens:
        if text and token[0].isalpha() and text[-1][0] == "\\" and text[-1][-1].isalpha():
            text.append(" ")
        text.append(token)
    return "".join(text)


def closing_brace(text: str, start: int) -> int:
    """Where the brace that opens at ``start`` is closed; -1 if nowhere."""
    depth = 1
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return -1
