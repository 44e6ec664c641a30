"""Special tokens: the punctuation of a reasoning sequence.

A language model sees one flat row of ids. What makes a *question*, a *step* or an *answer* out of
that row is a handful of ids that mean structure instead of text::

    <|question|> q <|think|> s1 <|step|> s2 <|step|> <|/think|> <|answer|> 42 <|end|>

They stand first in every vocabulary, ids 0 to 6 in the order below, so that a person who reads
ids in a debugger learns them once.

User text can never produce one. A tokenizer's ``encode`` goes from text to *bytes* to tokens, and
every token it may emit stands for at least one byte, while a special token stands for none; there
is no table in which the spelling ``<|end|>`` could be looked up. Somebody who types
``<|end|>`` gets the seven characters back as ordinary text tokens. The only code that writes
special ids is the template in ``reasoning.py``. (Libraries that search user text for special
spellings have had prompt injections this way.)
"""

from __future__ import annotations

from types import MappingProxyType

PAD = "<|pad|>"
QUESTION = "<|question|>"
THINK = "<|think|>"
STEP = "<|step|>"
END_THINK = "<|/think|>"
ANSWER = "<|answer|>"
END = "<|end|>"

SPECIAL_TOKENS: tuple[str, ...] = (PAD, QUESTION, THINK, STEP, END_THINK, ANSWER, END)
"""Every special token's spelling; the position is the id."""

SPECIAL_IDS = MappingProxyType({name: token_id for token_id, name in enumerate(SPECIAL_TOKENS)})
"""Spelling to id."""

N_SPECIAL = len(SPECIAL_TOKENS)
