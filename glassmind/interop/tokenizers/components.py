"""The parts of a ``tokenizer.json``, by their names there, and how each is read."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import TypeVar, cast, get_args

from glassmind.interop.tokenizers.checked import Checked
from glassmind.tokenize.composed import decoders, normalize, pretokenize
from glassmind.tokenize.composed.charsmap import CharsMap, Precompiled
from glassmind.tokenize.composed.decoders import Decoder
from glassmind.tokenize.composed.normalize import Normalizer
from glassmind.tokenize.composed.patterns import Pattern, PatternError
from glassmind.tokenize.composed.pretokenize import Behavior, PreTokenizer
from glassmind.tokenize.composed.tokenizer import Template

P = TypeVar("P")
Readers = Mapping[str, Callable[[Checked], P]]
_MAX_STEPS = 64  # in a sequence
_MAX_CONTENT = 64  # characters put before a text or in the place of a match
_MAX_AROUND = 256  # tokens around a text


def read_normalizer(part: Checked) -> Normalizer:
    """The normalizer that ``part`` describes."""
    return _read(part, NORMALIZERS, "normalizer")


def read_pre_tokenizer(part: Checked) -> PreTokenizer:
    """The pre-tokenizer that ``part`` describes."""
    return _read(part, PRE_TOKENIZERS, "pre-tokenizer")


def read_decoder(part: Checked) -> Decoder:
    """The decoder that ``part`` describes."""
    return _read(part, DECODERS, "decoder")


def read_template(part: Checked) -> Template:
    """The tokens that the post-processor described by ``part`` puts around one text."""
    return _read(part, POST_PROCESSORS, "post-processor")


def _read(part: Checked, readers: Readers[P], what: str) -> P:
    kind = part.get("type", str)
    if kind not in readers:
        raise part.wrong("type", f"is {kind[:40]!r}, a {what} that Glassmind does not have")
    return readers[kind](part)


def _pattern(part: Checked) -> Pattern:
    holder = part.object("pattern")
    if len(holder.values) != 1 or not holder.values.keys() <= {"Regex", "String"}:
        raise part.wrong("pattern", 'must be {"Regex": ...} or {"String": ...}')
    (kind,) = holder.values
    try:
        return Pattern(holder.get(kind, str), is_regex=kind == "Regex")
    except PatternError as error:
        raise holder.wrong(kind, str(error)) from None


def _steps(part: Checked, field: str, read: Callable[[Checked], P]) -> list[P]:
    """The parts of a sequence; nested sequences are flattened."""
    steps: list[P] = []
    for step in map(read, part.objects(field)):
        match step:
            case normalize.Sequence(inner) | pretokenize.Sequence(inner) | decoders.Sequence(inner):
                steps += cast("tuple[P, ...]", inner)
            case _:
                steps.append(step)
    if len(steps) > _MAX_STEPS:
        raise part.wrong(field, f"must be at most {_MAX_STEPS} parts")
    return steps


def _short(part: Checked, field: str) -> str:
    value = part.get(field, str)
    if len(value) > _MAX_CONTENT:
        raise part.wrong(field, f"must be at most {_MAX_CONTENT} characters")
    return value


def _character(part: Checked, field: str) -> str:
    value = part.get(field, str)
    if len(value) != 1:
        raise part.wrong(field, "must be one character")
    return value


def _charsmap(part: Checked) -> CharsMap:
    field = "precompiled_charsmap"
    try:
        return CharsMap(base64.b64decode(part.get(field, str), validate=True))
    except (binascii.Error, ValueError) as error:
        raise part.wrong(field, f"is not a character map: {error}") from None


def _bert(part: Checked) -> Normalizer:
    return normalize.BertNormalizer(
        clean_text=part.get("clean_text", bool),
        handle_chinese_chars=part.get("handle_chinese_chars", bool),
        strip_accents=part.maybe("strip_accents", bool),
        lowercase=part.get("lowercase", bool),
    )


NORMALIZERS: Readers[Normalizer] = {
    "NFC": lambda part: normalize.UnicodeForm("NFC"),
    "NFD": lambda part: normalize.UnicodeForm("NFD"),
    "NFKC": lambda part: normalize.UnicodeForm("NFKC"),
    "NFKD": lambda part: normalize.UnicodeForm("NFKD"),
    "Lowercase": lambda part: normalize.Lowercase(),
    "Replace": lambda part: normalize.Replace(_pattern(part), _short(part, "content")),
    "Prepend": lambda part: normalize.Prepend(_short(part, "prepend")),
    "Strip": lambda part: normalize.Strip(
        part.get("strip_left", bool), part.get("strip_right", bool)
    ),
    "StripAccents": lambda part: normalize.StripAccents(),
    "Nmt": lambda part: normalize.Nmt(),
    "BertNormalizer": _bert,
    "Precompiled": lambda part: Precompiled(_charsmap(part)),
    "Sequence": lambda part: normalize.Sequence(
        tuple(_steps(part, "normalizers", read_normalizer))
    ),
}


def _behavior(part: Checked) -> Behavior:
    behavior: Behavior = part.one_of("behavior", get_args(Behavior))
    return behavior


def _scheme(part: Checked) -> pretokenize.PrependScheme:
    if "prepend_scheme" in part.values:
        scheme: pretokenize.PrependScheme = part.one_of(
            "prepend_scheme", get_args(pretokenize.PrependScheme)
        )
        return scheme
    return "always" if part.get_or("add_prefix_space", bool, True) else "never"  # older files


def _pre_tokenizers(part: Checked) -> PreTokenizer:
    steps = tuple(_steps(part, "pretokenizers", read_pre_tokenizer))
    if sum(step.spells for step in steps) > 1:
        raise part.wrong("pretokenizers", "must hold ByteLevel once at most")
    return pretokenize.Sequence(steps)


PRE_TOKENIZERS: Readers[PreTokenizer] = {
    "Split": lambda part: pretokenize.Split(
        _pattern(part), _behavior(part), part.get_or("invert", bool, False)
    ),
    "ByteLevel": lambda part: pretokenize.ByteLevel(
        part.get("add_prefix_space", bool), part.get_or("use_regex", bool, True)
    ),
    "Metaspace": lambda part: pretokenize.Metaspace(
        _character(part, "replacement"), _scheme(part), part.get_or("split", bool, True)
    ),
    "Digits": lambda part: pretokenize.Digits(part.get("individual_digits", bool)),
    "Punctuation": lambda part: pretokenize.Punctuation(
        _behavior(part) if "behavior" in part.values else "Isolated"
    ),
    "Whitespace": lambda part: pretokenize.Whitespace(),
    "WhitespaceSplit": lambda part: pretokenize.WhitespaceSplit(),
    "BertPreTokenizer": lambda part: pretokenize.BertPreTokenizer(),
    "Sequence": _pre_tokenizers,
}

DECODERS: Readers[Decoder] = {
    "ByteLevel": lambda part: decoders.ByteLevel(),
    "ByteFallback": lambda part: decoders.ByteFallback(),
    "Fuse": lambda part: decoders.Fuse(),
    "Replace": lambda part: decoders.Replace(_pattern(part), _short(part, "content")),
    "Strip": lambda part: decoders.Strip(
        _character(part, "content"), _count(part, "start"), _count(part, "stop")
    ),
    "Metaspace": lambda part: decoders.Metaspace(
        _character(part, "replacement"), _scheme(part), part.get_or("split", bool, True)
    ),
    "WordPiece": lambda part: decoders.WordPiece(
        part.get("prefix", str), part.get("cleanup", bool)
    ),
    "BPEDecoder": lambda part: decoders.BPEDecoder(part.get("suffix", str)),
    "Sequence": lambda part: decoders.Sequence(tuple(_steps(part, "decoders", read_decoder))),
}


def _count(part: Checked, field: str) -> int:
    value = part.get(field, int)
    if not 0 <= value <= 1000:
        raise part.wrong(field, "must be a number from 0 to 1000")
    return value


def _template(part: Checked) -> Template:
    ids_of: dict[str, tuple[int, ...]] = {}
    special_tokens = part.object("special_tokens")
    for name in special_tokens.values:
        holder = special_tokens.object(name)
        ids = holder.get("ids", list)
        if any(type(token_id) is not int or token_id < 0 for token_id in ids):
            raise holder.wrong("ids", "must be ids from 0 on")
        ids_of[name] = tuple(ids)
    around: list[tuple[int, ...]] = [()]
    for item in part.objects("single"):
        (kind,) = item.values if len(item.values) == 1 else ("",)
        if kind == "SpecialToken":
            token = item.object(kind).get("id", str)
            if token not in ids_of:
                raise item.wrong(kind, f"{token[:40]!r} is not among special_tokens")
            around[-1] += ids_of[token]
            if len(around[-1]) > _MAX_AROUND:
                raise part.wrong("single", f"must be at most {_MAX_AROUND} tokens and the text")
        elif kind == "Sequence" and item.object(kind).get("id", str) == "A" and len(around) == 1:
            around.append(())
        else:
            raise part.wrong("single", "must hold special tokens and the sequence A once")
    if len(around) != 2:
        raise part.wrong("single", "must hold the sequence A")
    return Template(*around)


def _between(part: Checked) -> Template:
    """BERT's and RoBERTa's: a token before the text and one after it."""
    ids: list[tuple[int, ...]] = []
    for field in ("cls", "sep"):
        pair = part.get(field, list)
        if len(pair) != 2 or type(pair[1]) is not int or pair[1] < 0:
            raise part.wrong(field, "must be a token and its id")
        ids.append((pair[1],))
    return Template(*ids)


def _nested(part: Checked) -> Template:
    processors = list(part.objects("processors"))
    if len(processors) > _MAX_STEPS:
        raise part.wrong("processors", f"must be at most {_MAX_STEPS} parts")
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    for inner in map(read_template, processors):
        before, after = inner.before + before, after + inner.after
        if max(len(before), len(after)) > _MAX_AROUND:
            raise part.wrong("processors", f"must put at most {_MAX_AROUND} tokens around a text")
    return Template(before, after)


POST_PROCESSORS: Readers[Template] = {
    "TemplateProcessing": _template,
    "BertProcessing": _between,
    "RobertaProcessing": _between,
    "ByteLevel": lambda part: Template(),  # changes offsets only
    "Sequence": _nested,
}
