"""A preference: a prompt with an answer that is preferred, one that is not, or both."""

from __future__ import annotations

from dataclasses import dataclass

from glassmind.tokenize.chat_template.template import Message


@dataclass(frozen=True)
class Preference:
    """A prompt and answers to it: ``chosen`` is the better one, ``rejected`` the worse.

    One of them is ``None`` in an unpaired preference, a single answer that was found good or bad
    (for example by a thumb up or down). ``where`` is its place in a file, for messages.
    """

    prompt: tuple[Message, ...]
    chosen: str | None
    rejected: str | None
    where: str = ""

    def __post_init__(self) -> None:
        if self.chosen is None and self.rejected is None:
            raise ValueError("a preference needs an answer that is chosen or one that is rejected")

    @property
    def paired(self) -> bool:
        """Whether two answers are compared."""
        return self.chosen is not None and self.rejected is not None
