"""Reading ``tokenizer.json``, the format of Hugging Face's ``tokenizers`` library.

One file has everything: the parts (``components.py``), the model with its vocabulary, the added
tokens. The ids are those of the library. Three settings are not supported on purpose:
``truncation`` and ``padding`` are ignored, because they belong to batching, and ``dropout`` is
refused, because its ids are random. One behaviour differs on purpose: if the model's vocabulary
contains a special token, the library may find it in text that merely spells it, even when asked not
to look for special tokens; here this never happens.

``config_files`` reads what lies next to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

from glassmind.interop.tokenizers.checked import Checked, read_json
from glassmind.interop.tokenizers.components import (
    read_decoder,
    read_normalizer,
    read_pre_tokenizer,
    read_template,
)
from glassmind.interop.tokenizers.config_files import read_facts
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, Model, Template, TokenizerFacts
from glassmind.tokenize.composed.unigram import Unigram
from glassmind.tokenize.composed.wordpiece import WordPiece
from glassmind.tokenize.tokenizer_json import SavedTokenizer, document_of


def read_tokenizer_json(path: str | Path) -> ComposedTokenizer:
    """The tokenizer in a ``tokenizer.json`` file, with the facts of the config next to it.

    Raises ``UserError``, naming the file and the field, for another kind of file, or a part that is
    not supported.
    """
    return tokenizer_of(read_json(Path(path)))


def composed(tokenizer: SavedTokenizer, facts: TokenizerFacts) -> ComposedTokenizer:
    """A tokenizer of this package as a ``ComposedTokenizer`` with the same ids."""
    return tokenizer_of(Checked(Path("tokenizer.json"), "", document_of(tokenizer)), facts)


def tokenizer_of(document: Checked, facts: TokenizerFacts | None = None) -> ComposedTokenizer:
    """The tokenizer in a parsed ``tokenizer.json``; ``facts`` replace those of the config."""
    model, known = _model(document.object("model"), _special_spellings(document))
    normalizer = document.maybe_object("normalizer")
    pre_tokenizer = document.maybe_object("pre_tokenizer")
    decoder = document.maybe_object("decoder")
    template = document.maybe_object("post_processor")
    try:
        return ComposedTokenizer(
            model=model,
            normalizer=read_normalizer(normalizer) if normalizer else None,
            pre_tokenizer=read_pre_tokenizer(pre_tokenizer) if pre_tokenizer else None,
            decoder=read_decoder(decoder) if decoder else None,
            added_tokens=_added_tokens(document, known),
            template=read_template(template) if template else Template(),
            facts=read_facts(document.path.parent) if facts is None else facts,
        )
    except ValueError as error:
        raise document.wrong("model.vocab", f"is not a usable vocabulary: {error}") from None


_MAX_WORD = 1000  # characters; trying every part of a word takes quadratic time
_KnownIds = Mapping[str, int]


def _model(part: Checked, special: frozenset[str]) -> tuple[Model, _KnownIds]:
    """The model, which never produces a ``special`` token, and the ids of all spellings."""
    readers: dict[str, Callable[[Checked, frozenset[str]], tuple[Model, _KnownIds]]] = {
        "BPE": _bpe,
        "Unigram": _unigram,
        "WordPiece": _wordpiece,
    }
    kind = part.maybe("type", str)
    if kind is None:  # files from before 2021 leave it out
        kind = "BPE" if "merges" in part.values else "WordPiece"
    if kind not in readers:
        raise part.wrong("type", f"is {kind[:40]!r}, a model that Glassmind does not have")
    try:
        return readers[kind](part, special)
    except ValueError as error:
        raise part.wrong("vocab", f"is not a usable vocabulary: {error}") from None


def _bpe(part: Checked, special: frozenset[str]) -> tuple[CharacterBPE, _KnownIds]:
    if part.values.get("dropout") not in (None, 0, 0.0):
        raise part.wrong("dropout", "must be null: encoding that is random is not supported")
    vocab = part.vocab("vocab")
    model = CharacterBPE(
        vocab,
        _merges(part),
        unk=part.maybe("unk_token", str),
        fuse_unk=part.get_or("fuse_unk", bool, False),
        byte_fallback=part.get_or("byte_fallback", bool, False),
        ignore_merges=part.get_or("ignore_merges", bool, False),
        continuing_subword_prefix=part.get_or("continuing_subword_prefix", str, ""),
        end_of_word_suffix=part.get_or("end_of_word_suffix", str, ""),
        never=special & vocab.keys(),
    )
    return model, vocab


def _merges(part: Checked) -> list[tuple[str, str]]:
    """Pairs, or (in older files) pairs with a space between."""
    merges: list[tuple[str, str]] = []
    for rank, merge in enumerate(part.get("merges", list)):
        if isinstance(merge, str):
            if merge.startswith("#version"):
                continue
            merge = merge.split(" ")
        if not (isinstance(merge, list) and len(merge) == 2 and all(type(m) is str for m in merge)):
            raise part.wrong(f"merges[{rank}]", "must be a pair of tokens")
        merges.append((merge[0], merge[1]))
    return merges


def _unigram(part: Checked, special: frozenset[str]) -> tuple[Unigram, _KnownIds]:
    scored: list[tuple[str, float]] = []
    for token_id, entry in enumerate(part.get("vocab", list)):
        if not (
            isinstance(entry, list)
            and len(entry) == 2
            and isinstance(entry[0], str)
            and type(entry[1]) in (int, float)
            and math.isfinite(entry[1])
        ):
            raise part.wrong(f"vocab[{token_id}]", "must be a token and its log-probability")
        scored.append((entry[0], float(entry[1])))
    part.check_text("vocab", "".join(token for token, _ in scored))
    model = Unigram(
        scored,
        part.maybe("unk_id", int),
        byte_fallback=part.get_or("byte_fallback", bool, False),
        never=frozenset(i for i, (token, _) in enumerate(scored) if token in special),
    )
    return model, model.vocab


def _wordpiece(part: Checked, special: frozenset[str]) -> tuple[WordPiece, _KnownIds]:
    vocab, unk = part.vocab("vocab"), part.get("unk_token", str)
    longest = part.get_or("max_input_chars_per_word", int, 100)
    if not 0 <= longest <= _MAX_WORD:
        raise part.wrong("max_input_chars_per_word", f"must be from 0 to {_MAX_WORD}")
    model = WordPiece(
        {token: i for token, i in vocab.items() if token not in special or token == unk},
        unk,
        part.get("continuing_subword_prefix", str),
        longest,
    )
    return model, vocab


def _special_spellings(document: Checked) -> frozenset[str]:
    parts = document.objects("added_tokens") if "added_tokens" in document.values else ()
    return frozenset(p.get("content", str) for p in parts if p.get_or("special", bool, False))


def _added_tokens(document: Checked, known: _KnownIds) -> tuple[AddedToken, ...]:
    """The added tokens, whose ids must be what the library would give them: those that are
    ``known`` from the vocabulary, or the next ones after it."""
    tokens: dict[str, AddedToken] = {}
    next_id = len(known)
    if "added_tokens" not in document.values:
        return ()
    for part in document.objects("added_tokens"):
        content, token_id = part.get("content", str), part.get("id", int)
        if not content or content in tokens:
            continue
        if len(content) > _MAX_WORD:
            raise part.wrong("content", f"must be at most {_MAX_WORD} characters")
        expected = known.get(content)
        if expected is None:
            expected, next_id = next_id, next_id + 1
        if token_id != expected:
            raise part.wrong("id", f"must be {expected}, the id that is free for {content[:40]!r}")
        tokens[content] = AddedToken(
            content,
            token_id,
            special=part.get_or("special", bool, False),
            normalized=part.get_or("normalized", bool, True),
            lstrip=part.get_or("lstrip", bool, False),
            rstrip=part.get_or("rstrip", bool, False),
            single_word=part.get_or("single_word", bool, False),
        )
    return tuple(tokens.values())
