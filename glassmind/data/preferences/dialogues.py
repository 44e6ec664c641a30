"""Transcripts as one text: ``"\\n\\nHuman: Hi\\n\\nAssistant: Hello!"``.

Anthropic's data sets of helpful and harmless answers (Bai et al. 2022, arXiv 2204.05862) have whole
dialogues as texts, which two answers share up to the last turn. Other sets copied the form.
"""

from __future__ import annotations

import re

from glassmind.data.chats import ASSISTANT
from glassmind.tokenize.chat_template.template import Message

_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_ROLES = {"Human": "user", "Assistant": ASSISTANT}


def is_dialogue(text: str) -> bool:
    """Whether a text is such a transcript: it begins with a turn of the human."""
    return text.lstrip("\n").startswith("Human:")


def dialogue_messages(text: str) -> list[Message]:
    """The turns as messages, without white space around them.

    A marker within a line is text. Turns of one speaker that follow each other stay apart.
    """
    parts = _TURN.split(text.strip())[1:]
    roles, contents = parts[::2], parts[1::2]
    return [
        {"role": _ROLES[role], "content": content.strip()}
        for role, content in zip(roles, contents, strict=True)
    ]
