"""The commands and snippets of the documentation, found in its Markdown.

A comment before a block says how it is tested, and is not shown to readers:

    <!-- not run: minutes -->                     its commands are only parsed
    <!-- run without: glassmind train (why) -->   commands that begin so, or have that in them, are
                                                  only parsed
    <!-- run with: OLD -> NEW, ... -->            with short settings
    <!-- run in tests/... -->                     another test runs it
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_COMMENT = re.compile(r"<!--\s*(.*?)\s*-->")
_FENCE = re.compile(r"^```(\w*)\s*$")
_STARTS = ("glassmind ", "make ", "pip ", "torchrun ", "curl ", "python ", "export ")


@dataclass(frozen=True)
class Block:
    """A block of code: where it stands, its language, its lines, and the comment before it."""

    place: str
    language: str
    lines: tuple[str, ...]
    how: str

    @property
    def text(self) -> str:
        """The code, with the short settings where it has some."""
        text = "\n".join(self.lines) + "\n"
        for old, new in self.replacements:
            assert old in text, f"{self.place}: {old!r} is not in the block"
            text = text.replace(old, new)
        return text

    @property
    def replacements(self) -> list[tuple[str, str]]:
        """What ``run with`` says."""
        if not self.how.startswith("run with: "):
            return []
        changes = self.how.removeprefix("run with: ").split("; ")
        return [(old, new) for old, _, new in (change.partition(" -> ") for change in changes)]

    @property
    def commands(self) -> Iterator[str]:
        """One a line; lines that a backslash continues are joined, comments cut."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if line.strip():
                yield line.strip()

    def runs(self, command: str) -> bool:
        """Whether a command of the block is run here."""
        if self.how.startswith(("not run", "run in ")):
            return False
        if self.how.startswith("run without: "):
            parts = re.sub(r"\([^)]*\)", "", self.how.removeprefix("run without: ")).split(",")
            return not any(part.strip() in command for part in parts)
        return True


def blocks(page: Path) -> list[Block]:
    """Fenced blocks of a page, and indented ones that hold commands, Python or TOML."""
    found: list[Block] = []
    how, fence, lines, indented = "", "", list[str](), False
    inside = False
    for number, line in enumerate([*page.read_text("utf-8").splitlines(), ""], 1):
        mark = _FENCE.match(line)
        if inside:
            if mark:
                place = f"{page.name}:{number - len(lines)}"
                found.append(Block(place, fence, tuple(lines), how))
                inside, lines, how = False, [], ""
            else:
                lines.append(line)
        elif mark:
            inside, fence, lines = True, mark[1], []
        elif (
            line.startswith("    ") and line.strip() and (indented or not line.startswith("     "))
        ):
            indented = True
            lines.append(line[4:])
        else:
            if indented and line.strip():
                code = "\n".join(lines)
                language = _language(code)
                if language:
                    place = f"{page.name}:{number - len(lines)}"
                    found.append(Block(place, language, tuple(lines), how))
                indented, lines, how = False, [], ""
            elif indented:
                lines.append("")
            comment = _COMMENT.fullmatch(line.strip())
            if comment:
                how = comment[1]
            elif line.strip() and not indented:
                how = ""
    return found


def _language(code: str) -> str:
    first = code.strip().partition("\n")[0]
    if first.startswith(_STARTS):
        return "sh"
    if first.startswith(("import ", "from ")):
        return "python"
    if re.match(r"\[[\w.]+\]$", first):
        return "toml"
    return ""


def arguments(command: str) -> list[list[str]]:
    """What follows ``glassmind`` in a command line, for each time it stands there."""
    words = shlex.split(re.sub(r"\$\([^)]*\)", "substituted", command), comments=True)
    found = []
    while "glassmind" in words:
        words = words[words.index("glassmind") + 1 :]
        until = next((n for n, word in enumerate(words) if word in ("&&", "|", ">", ">>")), None)
        found.append([word for word in words[:until] if word != "..."])
    return found
