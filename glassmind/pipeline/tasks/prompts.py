"""Prompts that come with the package: files, so that they can be read, versioned and named.

A prompt is never changed. Other words are a new file with the next number in its name, because a
result is only comparable with one that was made with the same prompt. Results name their prompt and
have a hash of its text; a file of the user's has a hash, too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from glassmind.errors import UserError
from glassmind.llm.prompts import PLACE

_FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The name and text of a prompt file."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of the text."""
        return text_hash(self.text)


def text_hash(text: str) -> str:
    """A short hash that names a text: the first 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def prompt_names() -> tuple[str, ...]:
    """The names of the prompts in the package."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.txt")))


def prompt_name(text: str) -> str:
    """The name of the prompt with this text: ``bare`` for the question alone, ``own`` for one that
    is not in the package."""
    if text == PLACE:
        return "bare"
    return next((name for name in prompt_names() if shipped_prompt(name).text == text), "own")


def shipped_prompt(name: str) -> Prompt:
    """A prompt in the package.

    Raises:
        UserError: there is none of that name.
    """
    if name not in prompt_names():
        raise UserError(
            f"there is no prompt {name[:60]!r}: it is a file with {{question}} in it, or one of "
            f"{', '.join(prompt_names())}"
        )
    return Prompt(name, (_FOLDER / f"{name}.txt").read_text("utf-8").removesuffix("\n"))
