"""Special tokens: the punctuation of a reasoning sequence.

A language model sees one flat row of ids. A handful of them stand for structure instead of text,
and divide the row into *question*, *steps* and *answer*::

    <|question|> q <|think|> s1 <|step|> s2 <|step|> <|/think|> <|answer|> 42 <|end|>

They come first in every vocabulary, ids 0 to 6 in the order below, so that they are the same in
every debugger.

User text can never produce one. A tokenizer's ``encode`` goes from text to *bytes* to tokens, and
every token it emits has at least one byte, while a special token has none; there is no table in
which the spelling ``<|end|>`` could be looked up. A user who types ``<|end|>`` gets seven
characters of ordinary text. Only the template in ``reasoning.py`` writes special ids. (Libraries
that search user text for special spellings have had prompt injections this way.)
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
