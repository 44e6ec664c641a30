"""The reasoning format: writing prompts and completions as ids, and reading them back.

A *direct* answer and a *chain* of thought differ in what is between question and answer::

    <|question|> q <|answer|> 42 <|end|>
    <|question|> q <|think|> s1 <|step|> s2 <|step|> <|/think|> <|answer|> 42 <|end|>
    |------- prompt -------|------------------- completion -------------------|

The special tokens are placed here as ids, never by writing their spelling into text, and each
stretch of text between them is encoded on its own, so that no token straddles a boundary.

A half-trained model can produce anything, so ``parse_completion`` accepts any ids. ``spans.py``
makes them the nodes of a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.special import ANSWER, END, END_THINK, QUESTION, STEP, THINK

Style = Literal["direct", "chain"]


@dataclass(frozen=True, slots=True)
class ParsedCompletion:
    """The steps and the answer of a completion.

    ``steps`` are the texts of the closed steps and ``step_token_positions`` the indices, within
    the completion's ids, of the ``<|step|>`` that closes each (equally many). ``answer`` is
    ``None`` if the completion has no well-formed answer. ``answer_position`` is the index of the
    first ``<|end|>``, or ``None`` if there is none.
    """

    steps: tuple[str, ...]
    answer: str | None
    step_token_positions: tuple[int, ...]
    answer_position: int | None


def encode_prompt(tok: Tokenizer, question: str, style: Style) -> list[int]:
    """Ids of the prompt: up to and including ``<|think|>`` (chain) or ``<|answer|>`` (direct)."""
    special = tok.special
    opening = special[THINK] if _is_chain(style) else special[ANSWER]
    return [special[QUESTION], *tok.encode(question), opening]


def encode_completion(tok: Tokenizer, steps: Sequence[str], answer: str, style: Style) -> list[int]:
    """Ids that a model should produce after the prompt, including ``<|end|>``.

    A direct completion has no ``steps``.
    """
    special = tok.special
    ids: list[int] = []
    if _is_chain(style):
        for step in steps:
            ids += tok.encode(step)
            ids.append(special[STEP])
        ids += (special[END_THINK], special[ANSWER])
    ids += tok.encode(answer)
    ids.append(special[END])
    return ids


def parse_completion(tok: Tokenizer, ids: Iterable[int], style: Style) -> ParsedCompletion:
    """Reads steps and answer from the ids that follow a prompt of this style.

    Everything after the first ``<|end|>`` is ignored. A step ends with ``<|step|>`` and lies before
    ``<|/think|>`` or ``<|answer|>``; an unfinished one does not count. The answer is the text from
    the first ``<|answer|>`` (direct: from the start) to ``<|end|>``, without surrounding space. It
    counts only if ``<|end|>`` was reached and it is not blank and has no special token. Ids outside
    the vocabulary are ignored.
    """
    special = tok.special
    sequence = list(ids)
    stop = _find(sequence, special[END], 0, len(sequence))
    answer_position = stop if stop < len(sequence) else None

    steps: list[str] = []
    positions: list[int] = []
    answer_start = 0
    if _is_chain(style):
        answer_start = _find(sequence, special[ANSWER], 0, stop) + 1
        think_stop = _find(sequence, special[END_THINK], 0, min(answer_start - 1, stop))
        start = 0
        while (at := _find(sequence, special[STEP], start, think_stop)) < think_stop:
            steps.append(_text(tok, sequence[start:at]))
            positions.append(at)
            start = at + 1

    answer = None
    if answer_position is not None and answer_start <= stop:
        answer_ids = sequence[answer_start:stop]
        if set(answer_ids).isdisjoint(special.values()):
            answer = _text(tok, answer_ids).strip() or None
    return ParsedCompletion(tuple(steps), answer, tuple(positions), answer_position)


def _is_chain(style: Style) -> bool:
    if style == "chain":
        return True
    if style == "direct":
        return False
    raise ValueError(f"style must be 'direct' or 'chain', not {style!r}")


def _find(ids: list[int], wanted: int, start: int, stop: int) -> int:
    """Index of ``wanted`` in ``ids[start:stop]``, or ``stop``."""
    try:
        return ids.index(wanted, start, stop)
    except ValueError:
        return stop


def _text(tok: Tokenizer, ids: list[int]) -> str:
    try:
        return tok.decode(ids)
    except ValueError:  # a model may have more outputs than there are tokens
        return tok.decode([token_id for token_id in ids if 0 <= token_id < tok.vocab_size])
