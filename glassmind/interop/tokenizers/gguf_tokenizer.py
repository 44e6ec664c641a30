"""Reads and writes the tokenizer inside a GGUF.

GGUF (llama.cpp's format) has the tokenizer among the facts of the model, under names that begin
with ``tokenizer.ggml``. ``model`` names one of two families: ``gpt2``, byte-level BPE with merges,
where ``pre`` names the way text is split, and ``llama``, SentencePiece's BPE with scores
(``sentencepiece_model.py``). For each value of ``pre``, text is split and normalized as in the
``tokenizer.json`` of the model that the name comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from glassmind.errors import UserError
from glassmind.interop.gguf_header import Metadata
from glassmind.interop.tokenizers.config_files import TOOL_USE
from glassmind.interop.tokenizers.sentencepiece_model import Pieces, PieceType, build_tokenizer
from glassmind.tokenize.bpe.presplit import PATTERN
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.decoders import ByteLevel as ByteLevelDecoder
from glassmind.tokenize.composed.normalize import Normalizer, Prepend, Replace, UnicodeForm
from glassmind.tokenize.composed.normalize import Sequence as Normalizers
from glassmind.tokenize.composed.patterns import CL100K, GPT2, O200K, QWEN2, TEKKEN, Pattern
from glassmind.tokenize.composed.pretokenize import (
    ByteLevel,
    Digits,
    PreTokenizer,
    Sequence,
    Split,
)
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, Template, TokenizerFacts

T = TypeVar("T")
PREFIX = "tokenizer.ggml."
_TOOL_TEMPLATE = f"tokenizer.chat_template.{TOOL_USE}"
_BYTES = ByteLevel(add_prefix_space=False, use_regex=False)
_GPT2 = ByteLevel(add_prefix_space=False, use_regex=True)


@dataclass(frozen=True)
class Cutting:
    """The normalization and splitting for a value of ``tokenizer.ggml.pre``."""

    pre_tokenizer: PreTokenizer
    normalizer: Normalizer | None = None
    ignore_merges: bool = False
    add_bos: bool = False


def _isolated(*patterns: str) -> PreTokenizer:
    return Sequence((*(Split(Pattern(p), "Isolated") for p in patterns), _BYTES))


_SINGLE_DIGITS = Cutting(Sequence((Digits(individual_digits=True), _GPT2)))
_LLAMA3 = Cutting(_isolated(CL100K), ignore_merges=True, add_bos=True)
_QWEN2 = Cutting(_isolated(QWEN2), UnicodeForm("NFC"))
CUTTINGS: Mapping[str, Cutting] = {
    "gpt-2": Cutting(_GPT2),
    **dict.fromkeys(["mpt", "olmo", "jais"], Cutting(_GPT2)),
    "smollm": _SINGLE_DIGITS,
    **dict.fromkeys(
        ["starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"], _SINGLE_DIGITS
    ),
    "llama-bpe": _LLAMA3,
    **dict.fromkeys(["llama3", "llama-v3"], _LLAMA3),
    "dbrx": Cutting(_isolated(CL100K)),
    "smaug-bpe": Cutting(_isolated(CL100K)),
    "qwen2": _QWEN2,
    "deepseek-r1-qwen": _QWEN2,
    "gpt-4o": Cutting(_isolated(O200K)),
    "tekken": Cutting(_isolated(TEKKEN), ignore_merges=True),
    "deepseek-v3": Cutting(
        _isolated(
            r"\p{N}{1,3}",
            "[一-龥\u3040-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"""
            r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+",
        )
    ),
    "default": Cutting(
        Sequence(
            (
                Split(Pattern(r"[\p{P}\$\+<=>\^~\|]+"), "Isolated"),
                Split(Pattern(GPT2), "Isolated"),
                Split(Pattern(r"\p{N}+"), "Isolated"),
                Split(Pattern("[0-9][0-9][0-9]"), "Isolated"),
                _BYTES,
            )
        )
    ),
}
"""How text is split, by the value of ``tokenizer.ggml.pre``."""


def read_gguf_tokenizer(metadata: Mapping[str, object], source: object) -> ComposedTokenizer:
    """The tokenizer among the facts of a GGUF.

    ``metadata`` are all facts by name; errors name ``source``, such as a path. Raises
    ``UserError``, naming the fact, if they have no tokenizer or one that Glassmind cannot read.
    """
    facts = _Facts(metadata, source)
    model = facts.get("model", str)
    readers = {"gpt2": _read_byte_level, "llama": _read_sentencepiece}
    if model not in readers:
        raise facts.wrong("model", f"is {model[:40]!r}, a tokenizer that Glassmind does not have")
    try:
        return readers[model](facts)
    except ValueError as error:
        raise facts.wrong("tokens", f"is not a usable vocabulary: {error}") from None


class _Facts:
    """The facts of a tokenizer; each is read with the type that it must have."""

    def __init__(self, metadata: Mapping[str, object], source: object) -> None:
        self.metadata, self.source = metadata, source

    def wrong(self, name: str, problem: str) -> UserError:
        return UserError(
            f"{self.source} has no tokenizer that Glassmind can read: {name} {problem}"
        )

    def get(self, name: str, kind: type[T], default: T | None = None) -> T:
        value = self.metadata.get(PREFIX + name, default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise self.wrong(PREFIX + name, f"must be there and be a {kind.__name__}")
        return value

    def list_of(self, name: str, kind: type[T], length: int | None = None) -> list[T]:
        values: list[T] = list(self.get(name, list))
        if not all(type(value) is kind for value in values) or length not in (None, len(values)):
            number = "" if length is None else f"{length} times "
            raise self.wrong(PREFIX + name, f"must be a list of {number}{kind.__name__}")
        return values

    def token(self, name: str, tokens: list[str]) -> str | None:
        """The spelling of the token whose id is the fact ``name``; ``None`` without that fact."""
        if PREFIX + name not in self.metadata:
            return None
        token_id = self.get(name, int)
        if not 0 <= token_id < len(tokens):
            raise self.wrong(PREFIX + name, f"must be an id from 0 to {len(tokens) - 1}")
        return tokens[token_id]

    def about(self, tokens: list[str]) -> TokenizerFacts:
        templates: list[str | None] = []
        for name in ("tokenizer.chat_template", _TOOL_TEMPLATE):
            template = self.metadata.get(name)
            if template is not None and not isinstance(template, str):
                raise self.wrong(name, "must be a text")
            templates.append(template)
        return TokenizerFacts(
            chat_template=templates[0],
            tool_template=templates[1],
            bos_token=self.token("bos_token_id", tokens),
            eos_token=self.token("eos_token_id", tokens),
            unk_token=self.token("unknown_token_id", tokens),
            pad_token=self.token("padding_token_id", tokens),
        )

    def template(self, about: TokenizerFacts, tokens: list[str], add_bos: bool) -> Template:
        """The tokens around a text; unless the file says otherwise, only a beginning token."""
        before, after = (
            (tokens.index(token),)
            if token is not None and self.get(f"add_{name}_token", bool, default)
            else ()
            for name, token, default in (
                ("bos", about.bos_token, add_bos),
                ("eos", about.eos_token, False),
            )
        )
        return Template(before, after)


def _read_byte_level(facts: _Facts) -> ComposedTokenizer:
    tokens = facts.list_of("tokens", str)
    types = facts.list_of("token_type", int, len(tokens))
    name = facts.get("pre", str, "default")
    if name not in CUTTINGS:
        raise facts.wrong(
            PREFIX + "pre", f"is {name[:40]!r}, which is not one of {', '.join(CUTTINGS)}"
        )
    cutting = CUTTINGS[name]
    merges: list[tuple[str, str]] = []
    for rank, merge in enumerate(facts.list_of("merges", str)):
        space = merge.find(" ", 1)
        if space < 0:
            raise facts.wrong(f"{PREFIX}merges[{rank}]", "must be two tokens with a space between")
        merges.append((merge[:space], merge[space + 1 :]))
    special = (PieceType.CONTROL, PieceType.UNKNOWN)
    vocab = {
        token: token_id
        for token_id, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind != PieceType.UNUSED
    }
    if len(vocab) != len(tokens) - types.count(PieceType.UNUSED):
        raise ValueError("two tokens are spelled the same")
    about = facts.about(tokens)
    return ComposedTokenizer(
        CharacterBPE(
            vocab,
            merges,
            ignore_merges=cutting.ignore_merges,
            never=frozenset(token for token, i in vocab.items() if types[i] in special),
        ),
        normalizer=cutting.normalizer,
        pre_tokenizer=cutting.pre_tokenizer,
        decoder=ByteLevelDecoder(),
        added_tokens=tuple(
            AddedToken(token, token_id, special=types[token_id] in special)
            for token, token_id in vocab.items()
            if token and types[token_id] in (*special, PieceType.USER_DEFINED)
        ),
        template=facts.template(about, tokens, cutting.add_bos),
        facts=about,
    )


def _read_sentencepiece(facts: _Facts) -> ComposedTokenizer:
    tokens = facts.list_of("tokens", str)
    types = facts.list_of("token_type", int, len(tokens))
    # llama.cpp finds user-defined tokens before it replaces spaces by ▁, so they contain spaces.
    for token_id, kind in enumerate(types):
        if kind == PieceType.USER_DEFINED:
            tokens[token_id] = tokens[token_id].replace(" ", "▁")
    about = facts.about(tokens)
    pieces = Pieces(
        tokens,
        facts.list_of("scores", float, len(tokens)),
        types,
        is_unigram=False,
        add_dummy_prefix=facts.get("add_space_prefix", bool, True),
        remove_extra_whitespaces=facts.get("remove_extra_whitespaces", bool, False),
    )
    return build_tokenizer(pieces, facts.template(about, tokens, add_bos=True), about)


def to_gguf_metadata(tokenizer: ComposedTokenizer) -> Metadata:
    """The facts of a GGUF for ``tokenizer``, the inverse of ``read_gguf_tokenizer``.

    Raises ``UserError`` if llama.cpp has no name for the way it splits text.
    """
    model = tokenizer.model
    if not isinstance(model, CharacterBPE):
        raise UserError(f"a GGUF cannot hold a {type(model).__name__} tokenizer; it can hold BPE")
    spellings = [tokenizer.spelling(token_id) for token_id in range(tokenizer.vocab_size)]
    tokens = [f"[PAD{i}]" if token is None else token for i, token in enumerate(spellings)]
    types = [PieceType.UNUSED if token is None else PieceType.NORMAL for token in spellings]
    for token in tokenizer.added_tokens:
        types[token.token_id] = PieceType.CONTROL if token.special else PieceType.USER_DEFINED
    if tokenizer.pre_tokenizer is not None and tokenizer.pre_tokenizer.spells:
        family = _byte_level_facts(tokenizer, model)
    else:
        family = _sentencepiece_facts(tokenizer, model, tokens, types)
    about = tokenizer.facts
    ids = {
        "bos_token_id": about.bos_token,
        "eos_token_id": about.eos_token,
        "unknown_token_id": about.unk_token,
        "padding_token_id": about.pad_token,
    }
    metadata: Metadata = {
        "tokens": tokens,
        **family,
        "token_type": list(map(int, types)),
        **{
            name: token_id
            for name, token in ids.items()
            if token is not None and (token_id := tokenizer.id_of(token)) is not None
        },
        "add_bos_token": bool(tokenizer.template.before),
        "add_eos_token": bool(tokenizer.template.after),
    }
    metadata = {PREFIX + name: value for name, value in metadata.items()}
    if about.chat_template is not None:
        metadata["tokenizer.chat_template"] = about.chat_template
    if about.tool_template is not None:
        metadata[_TOOL_TEMPLATE] = about.tool_template
        metadata["tokenizer.chat_templates"] = [TOOL_USE]
    return metadata


# Our own pattern is Qwen's with the English endings spelled out, as in llama.cpp, which does not
# normalize text either.
_OURS = {"qwen2": Cutting(_isolated(PATTERN))}


def _byte_level_facts(tokenizer: ComposedTokenizer, model: CharacterBPE) -> Metadata:
    for name, cutting in (*CUTTINGS.items(), *_OURS.items()):
        if (cutting.pre_tokenizer, cutting.normalizer, cutting.ignore_merges) == (
            tokenizer.pre_tokenizer,
            tokenizer.normalizer,
            model.ignore_merges,
        ):
            merges = [" ".join(merge) for merge in model.merges]
            return {"model": "gpt2", "pre": name, "merges": merges}
    raise UserError(
        "a GGUF names the way a tokenizer cuts text, and has no name for this one: it can be one "
        f"of {', '.join(CUTTINGS)}"
    )


_SPACES = Replace(Pattern(" ", is_regex=False), "▁")
_AT_SPACES = Split(Pattern(" ", is_regex=False), "MergedWithPrevious")  # Gemma's: none are left


def _sentencepiece_facts(
    tokenizer: ComposedTokenizer, model: CharacterBPE, tokens: list[str], types: list[PieceType]
) -> Metadata:
    """Also sets the ``types`` that only this family has."""
    with_prefix = Normalizers((Prepend("▁"), _SPACES))
    if (
        tokenizer.normalizer not in (_SPACES, with_prefix)
        or tokenizer.pre_tokenizer not in (None, _AT_SPACES)
        or not model.byte_fallback
        or model.continuing_subword_prefix
        or model.end_of_word_suffix
    ):
        raise UserError(
            "a GGUF can hold byte-level BPE and SentencePiece's BPE with byte fallback; this "
            "tokenizer is neither (one of single characters, perhaps)"
        )
    for byte in range(256):
        types[model.vocab[f"<0x{byte:02X}>"]] = PieceType.BYTE
    for token in model.whole:
        types[model.vocab[token]] = PieceType.USER_DEFINED
    if model.unk is not None:
        types[model.vocab[model.unk]] = PieceType.UNKNOWN
    # A token's score is that of the first merge that makes it; earlier merges score higher.
    scores = [0.0] * tokenizer.vocab_size
    for rank, (left, right) in reversed(list(enumerate(model.merges))):
        scores[model.vocab[left + right]] = -float(rank)
    return {
        "model": "llama",
        "pre": "default",
        "tokens": [
            token.replace("▁", " ") if kind == PieceType.USER_DEFINED else token
            for token, kind in zip(tokens, types, strict=True)
        ],
        "scores": scores,
        "add_space_prefix": tokenizer.normalizer == with_prefix,
    }
