"""Reading SentencePiece's ``tokenizer.model``.

SentencePiece (Kudo and Richardson, 2018, arXiv 1808.06226) treats the space as a letter, written
``▁``, and tokenizes the text as a whole, without a pre-tokenizer. The file is a Protocol Buffers
message (``sentencepiece_model.proto``): the pieces with a score and a type each, how the vocabulary
was trained, and how text is normalized. The "llama" tokenizer of a GGUF has the same contents under
other names, so ``build_tokenizer`` is used for both.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from glassmind.interop.tokenizers.config_files import (
    read_added_tokens,
    read_config,
    read_facts,
)
from glassmind.interop.tokenizers.protobuf import read_fields, read_float
from glassmind.tokenize.composed import decoders
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.character_bpe import CharacterBPE, canonical_merges
from glassmind.tokenize.composed.charsmap import CharsMap, SentencePieceNormalizer
from glassmind.tokenize.composed.normalize import Normalizer, Prepend, Replace, Sequence
from glassmind.tokenize.composed.patterns import Pattern
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, Model, Template, TokenizerFacts
from glassmind.tokenize.composed.unigram import Unigram
from glassmind.tokenize.tokenizer_file import read_bytes, wrong

_UNIGRAM, _BPE = 1, 2
_MAX_SCORE = 1e12


class PieceType(IntEnum):
    """What a piece is for; the numbers are those of the file, and of a GGUF."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Pieces:
    """A SentencePiece vocabulary, in order of id, and how text is normalized."""

    spellings: list[str]
    scores: list[float]
    types: list[int]
    is_unigram: bool
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    bos: str = "<s>"
    eos: str = "</s>"
    pad: str = "<pad>"


def read_sentencepiece_model(path: str | Path) -> ComposedTokenizer:
    """The tokenizer in a SentencePiece model file, BPE or Unigram, with the added tokens in the
    files beside it.

    Its template is Llama's: a beginning token before the text, unless ``add_bos_token`` or
    ``add_eos_token`` in ``tokenizer_config.json`` says otherwise. Raises ``UserError``, naming the
    file and the field, for another kind of file or a setting that is not supported.
    """
    path = Path(path)
    data = read_bytes(path)
    try:
        pieces = _read_model(data)
        known = {spelling: token_id for token_id, spelling in enumerate(pieces.spellings)}
        return build_tokenizer(
            pieces,
            template=_template(pieces, path.parent),
            facts=read_facts(path.parent),
            added=read_added_tokens(path.parent, known),
        )
    except ValueError as error:
        raise wrong(path, "the model", f"is not usable: {error}") from None


def _template(pieces: Pieces, folder: Path) -> Template:
    """What is put before and after a text."""
    config = read_config(folder)
    around = []
    for field, token, default in (
        ("add_bos_token", pieces.bos, True),
        ("add_eos_token", pieces.eos, False),
    ):
        wanted = default if config is None else config.get_or(field, bool, default)
        known = wanted and token in pieces.spellings
        around.append((pieces.spellings.index(token),) if known else ())
    return Template(*around)


def build_tokenizer(
    pieces: Pieces,
    template: Template,
    facts: TokenizerFacts,
    added: Iterable[AddedToken] = (),
) -> ComposedTokenizer:
    """The tokenizer of a SentencePiece vocabulary.

    Pieces marked as unused are ignored. ``added`` are tokens beside the pieces, or pieces that are
    special. Values missing in ``facts`` are taken from ``pieces``. Raises ``ValueError`` for an
    invalid vocabulary.
    """
    spellings, types = pieces.spellings, pieces.types
    if not spellings or len(set(spellings)) != len(spellings) or "" in spellings:
        raise ValueError("the pieces must be distinct and not empty")
    if not set(types) <= set(PieceType):
        raise ValueError("a piece has an unknown type")
    if not all(abs(score) <= _MAX_SCORE for score in pieces.scores):  # a NaN fails as well
        raise ValueError("a score is not a number of reasonable size")
    unknown = [i for i, kind in enumerate(types) if kind == PieceType.UNKNOWN]
    if len(unknown) > 1:
        raise ValueError("more than one piece is the unknown token")
    special = (PieceType.CONTROL, PieceType.UNKNOWN)
    present = {spellings[i] for i, kind in enumerate(types) if kind in special}
    named = {"bos_token": pieces.bos, "eos_token": pieces.eos, "pad_token": pieces.pad}
    named["unk_token"] = spellings[unknown[0]] if unknown else ""
    said = {name: token for name, token in named.items() if token in present}
    said |= {name: value for name, value in vars(facts).items() if value is not None}
    control = [i for i, kind in enumerate(types) if kind in special]
    tokens = {spellings[i]: AddedToken(spellings[i], i) for i in control}
    symbols = {spellings[i] for i, kind in enumerate(types) if kind == PieceType.USER_DEFINED}
    for token in added:
        # A symbol that is cut out of the text anyway stays in the hands of the model.
        cut = token.content in symbols and not token.special
        if not cut:
            tokens.setdefault(token.content, token)
    never = frozenset(token.token_id for token in tokens.values() if token.special)
    return ComposedTokenizer(
        _unigram(pieces, unknown, never) if pieces.is_unigram else _bpe(pieces, unknown, never),
        normalizer=_normalizer(pieces),
        decoder=_decoder(pieces),
        added_tokens=tuple(tokens.values()),
        template=template,
        facts=TokenizerFacts(**said),
    )


def _of_type(pieces: Pieces, *types: PieceType) -> frozenset[int]:
    return frozenset(i for i, kind in enumerate(pieces.types) if kind in types)


def _bpe(pieces: Pieces, unknown: list[int], special: frozenset[int]) -> Model:
    usable = _of_type(pieces, PieceType.NORMAL)
    worth = {pieces.spellings[i]: pieces.scores[i] for i in usable}
    whole = _of_type(pieces, PieceType.USER_DEFINED) - special
    never = _of_type(pieces, PieceType.CONTROL) | (special - set(unknown))
    return CharacterBPE(
        {spelling: token_id for token_id, spelling in enumerate(pieces.spellings)},
        [(a, b) for a, b in canonical_merges(worth, list) if a in worth and b in worth],
        unk=pieces.spellings[unknown[0]] if unknown else None,
        fuse_unk=True,
        byte_fallback=PieceType.BYTE in pieces.types,
        whole=frozenset(pieces.spellings[i] for i in whole),
        never=frozenset(pieces.spellings[i] for i in never if i < len(pieces.spellings)),
    )


def _unigram(pieces: Pieces, unknown: list[int], special: frozenset[int]) -> Model:
    return Unigram(
        list(zip(pieces.spellings, pieces.scores, strict=True)),
        unknown[0] if unknown else None,
        byte_fallback=PieceType.BYTE in pieces.types,
        never=_of_type(pieces, *set(PieceType) - {PieceType.NORMAL, PieceType.USER_DEFINED})
        | frozenset(i for i in special if i < len(pieces.spellings)),
        favoured=_of_type(pieces, PieceType.USER_DEFINED) - special,
        single_precision=True,
    )


def _normalizer(pieces: Pieces) -> Normalizer:
    if pieces.charsmap or pieces.remove_extra_whitespaces:
        kept = _of_type(pieces, PieceType.USER_DEFINED)
        return SentencePieceNormalizer(
            CharsMap(pieces.charsmap) if pieces.charsmap else None,
            pieces.add_dummy_prefix,
            pieces.remove_extra_whitespaces,
            tuple(sorted(pieces.spellings[i] for i in kept)),
        )
    spaces = Replace(Pattern(" ", is_regex=False), "▁")
    return Sequence((Prepend("▁"), spaces)) if pieces.add_dummy_prefix else spaces


def _decoder(pieces: Pieces) -> decoders.Decoder:
    steps: list[decoders.Decoder] = [
        decoders.Replace(Pattern("▁", is_regex=False), " "),
        decoders.ByteFallback(),
        decoders.Fuse(),
    ]
    if pieces.add_dummy_prefix or pieces.remove_extra_whitespaces:
        steps.append(decoders.Strip(" ", 1, 0))
    return decoders.Sequence(tuple(steps))


# The fields of the messages that are read, by number.
_MODEL = {1: "pieces", 2: "trainer", 3: "normalizer"}
_PIECE = {1: "spelling", 2: "score", 3: "type"}
_TRAINER = {3: "model_type", 24: "space_as_suffix", 46: "bos", 47: "eos", 48: "pad"}
_NORMALIZER = {2: "charsmap", 3: "dummy_prefix", 4: "remove_spaces", 5: "escape_spaces"}


def _read_model(data: bytes) -> Pieces:
    spellings: list[str] = []
    scores: list[float] = []
    types: list[int] = []
    trainer: dict[str, int | bytes] = {}
    normalizer: dict[str, int | bytes] = {}
    for number, value in read_fields(data):
        name = _MODEL.get(number)
        if name is None:
            continue
        if not isinstance(value, bytes):
            raise ValueError(f"the field {name} is not a message")
        if name == "pieces":
            piece = _named(value, _PIECE)
            spellings.append(_text(piece.get("spelling", b"")))
            scores.append(read_float(piece["score"]) if "score" in piece else 0.0)
            types.append(_integer(piece.get("type", PieceType.NORMAL)))
        else:
            fields = _named(value, _TRAINER if name == "trainer" else _NORMALIZER)
            (trainer if name == "trainer" else normalizer).update(fields)
    kind = _integer(trainer.get("model_type", _UNIGRAM))
    if kind not in (_UNIGRAM, _BPE):
        raise ValueError("it is of a model type other than Unigram and BPE")
    if _integer(trainer.get("space_as_suffix", 0)):
        raise ValueError("it puts spaces after words, which is not supported")
    if not _integer(normalizer.get("escape_spaces", 1)):
        raise ValueError("it keeps spaces as they are, which is not supported")
    charsmap = normalizer.get("charsmap", b"")
    if not isinstance(charsmap, bytes):
        raise ValueError("its character map is not bytes")
    return Pieces(
        spellings,
        scores,
        types,
        is_unigram=kind == _UNIGRAM,
        charsmap=charsmap,
        add_dummy_prefix=bool(_integer(normalizer.get("dummy_prefix", 1))),
        remove_extra_whitespaces=bool(_integer(normalizer.get("remove_spaces", 1))),
        bos=_text(trainer.get("bos", b"<s>")),
        eos=_text(trainer.get("eos", b"</s>")),
        pad=_text(trainer.get("pad", b"<pad>")),
    )


def _named(message: bytes, names: dict[int, str]) -> dict[str, int | bytes]:
    """The fields of ``message`` that have a name; the last value of a repeated field."""
    return {names[number]: value for number, value in read_fields(message) if number in names}


def _integer(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a value should be an integer and is not")
    return int(value)


def _text(value: int | bytes) -> str:
    if not isinstance(value, bytes):
        raise ValueError("a spelling is not text")
    return value.decode("utf-8")
