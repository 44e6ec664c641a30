"""Writing a ``tokenizer.json`` that the ``tokenizers`` library loads.

The library then gives the same ids, except possibly for a tokenizer read from SentencePiece:
the library has no exact equivalent of SentencePiece's normalization
(``tokenize/composed/charsmap.py``), and finds user-defined symbols before it normalizes. The
closest equivalent is written.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from glassmind.files import write_json
from glassmind.interop.tokenizers.config_files import CONFIG, TOOL_USE
from glassmind.serialization import JsonObject
from glassmind.tokenize.composed import decoders, normalize, pretokenize
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.charsmap import CharsMap, Precompiled, SentencePieceNormalizer
from glassmind.tokenize.composed.patterns import Pattern
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, Model, TokenizerFacts
from glassmind.tokenize.composed.unigram import Unigram
from glassmind.tokenize.composed.wordpiece import WordPiece


def write_tokenizer_json(tokenizer: ComposedTokenizer, path: str | Path) -> None:
    """Write ``tokenizer`` to ``path`` atomically, creating missing folders, and its facts to a
    ``tokenizer_config.json`` next to it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, document(tokenizer))
    config = _config(tokenizer)
    if config:
        write_json(path.parent / CONFIG, config)


def document(tokenizer: ComposedTokenizer) -> JsonObject:
    """The content of the ``tokenizer.json`` of ``tokenizer``."""
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder)
    normalizer, pre_tokenizer, decoder = (None if p is None else _part(p) for p in parts)
    model = tokenizer.model
    added = {token.content: token for token in tokenizer.added_tokens}
    for whole in model.whole if isinstance(model, CharacterBPE) else ():
        # If possible, it is searched for in the normalized text, as in this package.
        steps = tokenizer.normalizer
        normalized = steps is None or steps.normalize(whole) == whole
        token = AddedToken(whole, model.vocab[whole], special=False, normalized=normalized)
        added.setdefault(whole, token)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(token) for token in sorted(added.values(), key=lambda token: token.token_id)
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": _template(tokenizer),
        "decoder": decoder,
        "model": _model(model, _vocab(model.vocab, added)),
    }


def _vocab(vocab: Mapping[str, int], added: Mapping[str, AddedToken]) -> dict[str, int]:
    """``vocab``, with those added tokens to which the library would otherwise give other ids: it
    numbers added tokens that are not in the vocabulary consecutively after it."""
    ids = sorted(token.token_id for spelling, token in added.items() if spelling not in vocab)
    if ids == list(range(len(vocab), len(vocab) + len(ids))):
        return dict(vocab)
    return {**vocab, **{spelling: token.token_id for spelling, token in added.items()}}


def _added(token: AddedToken) -> JsonObject:
    return {
        "id": token.token_id,
        "content": token.content,
        "single_word": token.single_word,
        "lstrip": token.lstrip,
        "rstrip": token.rstrip,
        "normalized": token.normalized,
        "special": token.special,
    }


def _model(model: Model, vocab: dict[str, int]) -> JsonObject:
    if isinstance(model, CharacterBPE):
        return {
            "type": "BPE",
            "dropout": None,
            "unk_token": model.unk,
            "continuing_subword_prefix": model.continuing_subword_prefix or None,
            "end_of_word_suffix": model.end_of_word_suffix or None,
            "fuse_unk": model.fuse_unk,
            "byte_fallback": model.byte_fallback,
            "ignore_merges": model.ignore_merges,
            "vocab": vocab,
            "merges": [list(merge) for merge in model.merges],
        }
    if isinstance(model, Unigram):
        return {
            "type": "Unigram",
            "unk_id": model.unk_id,
            "vocab": [list(entry) for entry in model.scored],
            "byte_fallback": model.byte_fallback,
        }
    if isinstance(model, WordPiece):
        return {
            "type": "WordPiece",
            "unk_token": model.unk,
            "continuing_subword_prefix": model.prefix,
            "max_input_chars_per_word": model.max_chars,
            "vocab": vocab,
        }
    raise TypeError(f"a tokenizer.json cannot hold a {type(model).__name__}")


def _template(tokenizer: ComposedTokenizer) -> JsonObject | None:
    ids = [*tokenizer.template.before, *tokenizer.template.after]
    if not ids:
        return None
    name = {token_id: tokenizer.token_text(token_id) for token_id in ids}

    def around(sequence: str, type_id: int) -> list[JsonObject]:
        before, after = (
            [{"SpecialToken": {"id": name[i], "type_id": type_id}} for i in part]
            for part in (tokenizer.template.before, tokenizer.template.after)
        )
        return [*before, {"Sequence": {"id": sequence, "type_id": type_id}}, *after]

    return {
        "type": "TemplateProcessing",
        "single": around("A", 0),
        "pair": around("A", 0) + around("B", 1),
        "special_tokens": {
            spelling: {"id": spelling, "ids": [token_id], "tokens": [spelling]}
            for token_id, spelling in name.items()
        },
    }


def _config(tokenizer: ComposedTokenizer) -> JsonObject:
    facts = {name: value for name, value in vars(tokenizer.facts).items() if value is not None}
    tool_template = facts.pop("tool_template", None)
    if tool_template is not None:
        named = {"default": tokenizer.facts.chat_template, TOOL_USE: tool_template}
        facts["chat_template"] = [
            {"name": name, "template": template}
            for name, template in named.items()
            if template is not None
        ]
    if tokenizer.facts != TokenizerFacts():
        facts["tokenizer_class"] = "PreTrainedTokenizerFast"
    return facts


def _pattern(pattern: Pattern) -> JsonObject:
    return {"Regex" if pattern.is_regex else "String": pattern.text}


def _replace(pattern: Pattern, content: str) -> JsonObject:
    return {"type": "Replace", "pattern": _pattern(pattern), "content": content}


def _precompiled(charsmap: CharsMap) -> JsonObject:
    return {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(charsmap.blob).decode("ascii"),
    }


def _sentencepiece(part: SentencePieceNormalizer) -> JsonObject:
    steps: list[JsonObject] = []
    if part.charsmap is not None:
        steps.append(_precompiled(part.charsmap))
    if part.remove_extra_whitespaces:
        steps += (_part(normalize.Strip()), _replace(Pattern(" {2,}"), " "))
    if part.add_dummy_prefix:
        steps.append(_part(normalize.Prepend(" ")))
    return {
        "type": "Sequence",
        "normalizers": [*steps, _replace(Pattern(" ", is_regex=False), "▁")],
    }


def _metaspace(part: pretokenize.Metaspace | decoders.Metaspace) -> JsonObject:
    return {
        "type": "Metaspace",
        "replacement": part.replacement,
        "prepend_scheme": part.prepend_scheme,
        "split": part.split_words,
    }


def _byte_level(part: pretokenize.ByteLevel | decoders.ByteLevel) -> JsonObject:
    # The decoder ignores the settings, which it shares with the pre-tokenizer.
    shared = part if isinstance(part, pretokenize.ByteLevel) else pretokenize.ByteLevel(False)
    return {
        "type": "ByteLevel",
        "add_prefix_space": shared.add_prefix_space,
        "trim_offsets": True,
        "use_regex": shared.use_regex,
    }


# Parts that are not listed here have fields with the same names.
_SPECIAL: Mapping[type, Callable[[Any], JsonObject]] = {
    normalize.UnicodeForm: lambda part: {"type": part.form},
    normalize.Replace: lambda part: _replace(part.pattern, part.content),
    normalize.Sequence: lambda part: _sequence("normalizers", part.normalizers),
    Precompiled: lambda part: _precompiled(part.charsmap),
    SentencePieceNormalizer: _sentencepiece,
    pretokenize.Split: lambda part: {
        "type": "Split",
        "pattern": _pattern(part.pattern),
        "behavior": part.behavior,
        "invert": part.invert,
    },
    pretokenize.ByteLevel: _byte_level,
    pretokenize.Metaspace: _metaspace,
    pretokenize.Sequence: lambda part: _sequence("pretokenizers", part.pretokenizers),
    decoders.ByteLevel: _byte_level,
    decoders.Metaspace: _metaspace,
    decoders.Replace: lambda part: _replace(part.pattern, part.content),
    decoders.Sequence: lambda part: _sequence("decoders", part.decoders),
}


def _sequence(field: str, parts: tuple[object, ...]) -> JsonObject:
    return {"type": "Sequence", field: [_part(part) for part in parts]}


def _part(part: object) -> JsonObject:
    if type(part) in _SPECIAL:
        return _SPECIAL[type(part)](part)
    return {"type": type(part).__name__, **vars(part)}
