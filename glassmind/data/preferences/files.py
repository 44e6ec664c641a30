"""Reading preferences: rows of these forms, in any kind of file of ``data.rows.files``::

    {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"}       two answers to one prompt
    {"prompt": "Hi", "completion": "Hello!", "label": true}         one answer, found good or bad
    {"chosen": [messages], "rejected": [messages]}                  dialogues that differ at the end
    {"chosen": "\\n\\nHuman: Hi\\n\\nAssistant: Hello!", "rejected": ...}   the same as transcripts

A prompt is a text or a list of messages; ``question``, or ``instruction`` with ``input``, will do,
too. An answer is a text, or a list whose last message is the assistant's. Rows of both kinds may
stand in one file. A row whose answers are equal teaches nothing, and is bad.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from glassmind.data.chats import ASSISTANT
from glassmind.data.preferences.dialogues import dialogue_messages, is_dialogue
from glassmind.data.preferences.records import Preference
from glassmind.data.rows.bad_rows import Checked, OnBadRow, Row, RowFault, check_rows, silence
from glassmind.data.rows.files import file_rows
from glassmind.data.splits import deal
from glassmind.errors import UserError
from glassmind.tokenize.chat_template.template import Message

PROMPTS = ("prompt", "question")
GOOD, BAD = ("true", "1", "good", "chosen", "yes"), ("false", "0", "bad", "rejected", "no", "-1")
"""How a label may be written, in any case."""

_FORMS = (
    'each is {"prompt": ..., "chosen": ..., "rejected": ...} or '
    '{"prompt": ..., "completion": ..., "label": true or false}'
)


@dataclass(frozen=True)
class PreferenceColumns:
    """The names of the columns in the file; those left empty have their usual names."""

    prompt: str = ""
    chosen: str = ""
    rejected: str = ""
    completion: str = ""
    label: str = ""


USUAL = PreferenceColumns()


def load_preferences(
    path: str | Path,
    columns: PreferenceColumns = USUAL,
    *,
    on_bad_row: OnBadRow = "stop",
    say: Callable[[str], object] = silence,
) -> list[Preference]:
    """The preferences in a file.

    ``on_bad_row`` ``"skip"`` leaves out the rows that are none, and tells ``say`` which.

    Raises:
        UserError: the file is missing, empty or cannot be read; or a row has none of the forms, an
            empty answer, or two equal answers.
    """
    found = check_preferences(path, columns).usable(on_bad_row, say)
    if not found:
        raise UserError(f"{path} holds no preference; {_FORMS}")
    return found


def check_preferences(path: str | Path, columns: PreferenceColumns = USUAL) -> Checked[Preference]:
    """The same, with the bad rows beside the others. Raises ``UserError`` for a file that cannot be
    read at all."""
    parse = partial(_preference, columns=columns)
    return check_rows(str(path), file_rows(Path(path)), parse, _size)


def split_preferences(
    rows: Sequence[Preference], seed: int, fraction: float
) -> tuple[list[Preference], list[Preference]]:
    """Training and held-out preferences, split by a hash of the seed and the prompt.

    Preferences about the same prompt stay together.
    """
    training, held_out, _ = deal(rows, _prompt_text, seed, validation=fraction, test=0.0)
    return training, held_out


def _prompt_text(preference: Preference) -> str:
    return "\n".join(str(message["content"]) for message in preference.prompt)


def _size(preference: Preference) -> int:
    """About how many bytes it takes in memory."""
    texts = [str(message["content"]) for message in preference.prompt]
    texts += [preference.chosen or "", preference.rejected or ""]
    return 400 + sum(250 + len(text) for text in texts)


# ---------------------------------------------------------------------------------- one row


def _preference(row: Row, *, columns: PreferenceColumns) -> Preference:
    values = row.values
    if not isinstance(values, dict):
        raise RowFault(f"is no preference: {_FORMS}")
    name, label = columns.completion or "completion", columns.label or "label"
    names = columns.chosen or "chosen", columns.rejected or "rejected"
    # A table has all columns in all rows, and nothing in some.
    compares = any(values.get(one) not in (None, "") for one in names)
    if compares or (any(one in values for one in names) and name not in values):
        pair = [_turns(values, one) for one in names]
        prompt = _prompt(values, columns, pair)
        chosen, rejected = (turns[-1]["content"] for turns in pair)
        if chosen.strip() == rejected.strip():
            raise RowFault("has two equal answers, so there is nothing to prefer")
        return Preference(tuple(prompt), chosen, rejected, row.where)
    if name not in values or label not in values:
        raise RowFault(f"is no preference: {_FORMS}")
    turns = _turns(values, name)
    prompt = _prompt(values, columns, [turns])
    good, answer = _label(values[label], label), turns[-1]["content"]
    return Preference(tuple(prompt), answer if good else None, None if good else answer, row.where)


def _turns(values: Mapping[str, Any], name: str) -> list[dict[str, str]]:
    """The messages of an answer; the last is the answer itself."""
    given = _parsed(values.get(name))
    if isinstance(given, str):
        if is_dialogue(given):
            given = dialogue_messages(given)
        else:
            given = [{"role": ASSISTANT, "content": given}]
    messages = _messages(given, name)
    if messages[-1]["role"] != ASSISTANT:
        raise RowFault(f'has a "{name}" that does not end with a message of the {ASSISTANT}')
    if not messages[-1]["content"].strip():
        raise RowFault(f'has an empty answer in "{name}"')
    return messages


def _prompt(
    values: Mapping[str, Any], columns: PreferenceColumns, answers: Sequence[list[dict[str, str]]]
) -> list[Message]:
    """The messages before the answers: of the row's prompt, and what the answers begin with."""
    begun = [turns[:-1] for turns in answers]
    if any(turns != begun[0] for turns in begun):
        raise RowFault("has dialogues that differ before their last answer: give a common prompt")
    before = _own_prompt(values, columns)
    shared = begun[0][len(before) :] if begun[0][: len(before)] == before else begun[0]
    prompt: list[Message] = [*before, *shared]
    if not any(message["role"] != ASSISTANT for message in prompt):
        names = [columns.prompt] if columns.prompt else [*PROMPTS, "instruction"]
        raise RowFault(f"needs a prompt: {' or '.join(map(repr, names))}")
    return prompt


def _own_prompt(values: Mapping[str, Any], columns: PreferenceColumns) -> list[dict[str, str]]:
    """The messages of the row's own prompt; none if it has no such column."""
    names = (columns.prompt,) if columns.prompt else (*PROMPTS, "instruction")
    name = next((name for name in names if values.get(name) is not None), None)
    if name is None:
        return []
    given = _parsed(values[name])
    if isinstance(given, str):
        if is_dialogue(given):
            turns = [turn for turn in dialogue_messages(given) if str(turn["content"]).strip()]
            return _messages(turns, name)
        more = values.get("input") if name == "instruction" else None
        if more is not None and not isinstance(more, str):
            raise RowFault('needs "input": a text')
        text = f"{given}\n\n{more}" if more and more.strip() else given
        if not text.strip():
            raise RowFault(f'has an empty "{name}"')
        given = [{"role": "user", "content": text}]
    return _messages(given, name)


def _parsed(value: Any) -> Any:
    """A value, also a list of messages that a table has as JSON text."""
    if not isinstance(value, str) or not value.lstrip().startswith('[{"'):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value  # an answer may well begin like that


def _messages(given: Any, name: str) -> list[dict[str, str]]:
    if not isinstance(given, list) or not given:
        raise RowFault(f'needs "{name}": a text, or a list of messages')
    found = []
    for number, message in enumerate(given, 1):
        texts = [message.get(key) for key in ("role", "content")] if _is_object(message) else []
        if len(texts) != 2 or not all(isinstance(text, str) for text in texts):
            raise RowFault(f'has in "{name}" a message {number} without a role and a content')
        found.append({"role": texts[0], "content": texts[1]})
    for message in found:
        try:
            message["content"].encode("utf-8")
        except UnicodeEncodeError:
            raise RowFault(f'has half a character (a lone surrogate) in "{name}"') from None
    return found


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _label(value: Any, name: str) -> bool:
    written = str(value).strip().lower()
    if written in GOOD or value == 1:
        return True
    if written in BAD or value in (0, -1):
        return False
    raise RowFault(f'has the "{name}" {written[:20]!r}: it must be true or false (or 1 or 0)')
