"""Tokenizers built from parts, as the files of published models describe them.

The steps from text to ids, with their names in a ``tokenizer.json``::

    text ─added_tokens→ ─normalizer→ ─added_tokens→ ─pre_tokenizer→ ─model→ ids ─template→ ids

``decoder`` is the way back. Each part has its own file (``added_tokens``, ``normalize``,
``charsmap``, ``pretokenize``, ``character_bpe``, ``unigram``, ``wordpiece``, ``decoders``); this
one calls them in order.

``encode`` is for untrusted text: the spelling of a special token in it stays text. Other libraries
recognize special tokens by default; here that is ``encode_marked``, for text that the program
itself has written, such as a rendered chat template.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

from glassmind.tokenize import utf8
from glassmind.tokenize.bpe.byte_alphabet import BYTE_TO_CHARACTER, spell
from glassmind.tokenize.bpe.pieces import PieceEncoder
from glassmind.tokenize.composed.added_tokens import (
    AddedToken,
    AddedTokenFinder,
    check_lengths,
)
from glassmind.tokenize.composed.character_bpe import CharacterBPE
from glassmind.tokenize.composed.decoders import ByteLevel, Decoder
from glassmind.tokenize.composed.normalize import Normalizer, without_prefix
from glassmind.tokenize.composed.pretokenize import PreTokenizer, known_pattern, minds_first
from glassmind.tokenize.composed.unigram import Unigram
from glassmind.tokenize.display import show_bytes

MAX_ID = (1 << 24) - 1
"""The largest id a vocabulary may have; tables are as long as the largest id."""


class Model(Protocol):
    """Ids of the pieces of a text."""

    @property
    def vocab(self) -> Mapping[str, int]:
        """Spelling of each token to its id."""
        ...

    def encode_piece(self, piece: str) -> list[int]:
        """Ids of one piece, which is not empty."""
        ...


@dataclass(frozen=True)
class TokenizerFacts:
    """Facts in a tokenizer's files that do not affect encoding. Tokens are given by spelling.

    ``tool_template`` is the chat template for conversations with tools, where there are two.
    """

    chat_template: str | None = None
    tool_template: str | None = None
    bos_token: str | None = None
    eos_token: str | None = None
    unk_token: str | None = None
    pad_token: str | None = None


@dataclass(frozen=True)
class Template:
    """Ids put before and after a text, such as a token for its beginning."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class ComposedTokenizer:
    """A tokenizer from its parts; ``None`` leaves a part out.

    ``decode_bytes(encode(data)) == data`` for every byte string where the vocabulary has all bytes
    and neither a normalizer nor a pre-tokenizer rewrites text. Raises ``ValueError`` for an id that
    is negative, larger than ``MAX_ID``, or given to two tokens, and for added tokens of too many
    different lengths.
    """

    model: Model
    normalizer: Normalizer | None = None
    pre_tokenizer: PreTokenizer | None = None
    decoder: Decoder | None = None
    added_tokens: tuple[AddedToken, ...] = ()
    template: Template = Template()
    facts: TokenizerFacts = TokenizerFacts()

    def __post_init__(self) -> None:
        _ = self._tokens  # checks the ids
        check_lengths(token.content for token in self.added_tokens)

    # Encoding.

    def encode(self, text: str | bytes) -> list[int]:
        """Ids of ``text``; never a special token. Bytes that are not UTF-8 become one token each
        if the vocabulary has bytes, and U+FFFD otherwise."""
        return self._encode(text, special=False)

    def encode_batch(self, texts: Iterable[str | bytes]) -> list[list[int]]:
        """``encode`` of each text."""
        return [self.encode(text) for text in texts]

    def encode_marked(self, text: str | bytes, *, template: bool = False) -> list[int]:
        """Ids of trusted ``text``: the spelling of a special token becomes that token. With
        ``template`` the ids of the template are put around them."""
        ids = self._encode(text, special=True)
        return [*self.template.before, *ids, *self.template.after] if template else ids

    def encode_parts(self, parts: Iterable[str | int]) -> list[int]:
        """Ids of a text whose special tokens have been found: strings are untrusted text, ids are
        kept. Only the first string is the start of a text, where some tokenizers add a space."""
        ids: list[int] = []
        for part in parts:
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self._encode(part, special=False, first=not ids)
        return ids

    def _encode(self, text: str | bytes, special: bool, first: bool = True) -> list[int]:
        if isinstance(text, str):
            if _is_text(text):
                return self._encode_text(text, special, first)
            text = utf8.to_bytes(text)
        if None in self._byte_ids:
            return self._encode_text(text.decode("utf-8", "replace"), special, first)
        ids: list[int] = []
        for run, bad_bytes in utf8.runs(text):
            if not run:
                ids += [self._byte_ids[byte] or 0 for byte in bad_bytes]
            elif not ids:
                ids += self._encode_text(run, special, first)
            else:
                ids += self._going_on._encode_text(run, special, first=False)
        return ids

    def _encode_text(self, text: str, special: bool, first: bool) -> list[int]:
        ids: list[int] = []
        for section in self._sections(text, special):
            if isinstance(section, AddedToken):
                ids.append(section.token_id)
            else:
                ids += (self._first_pieces if first else self._pieces).encode(section)
            first = False
        return ids

    def _sections(self, text: str, special: bool) -> Iterator[str | AddedToken]:
        """Added tokens and the normalized text between them."""
        for section in self._raw_finder.split(text, special):
            if isinstance(section, AddedToken):
                yield section
                continue
            if self.normalizer is not None:
                section = self.normalizer.normalize(section)
            yield from self._normal_finder.split(section, special)

    def pieces(self, text: str) -> list[str]:
        """The pieces of ``text`` without its added tokens, spelled as in the vocabulary."""
        pieces: list[str] = []
        for section in self._sections(text, special=False):
            if isinstance(section, AddedToken):
                pieces.append(section.content)
            else:
                found = self._first_split(section) if not pieces else self._split(section)
                pieces += (
                    [spell(piece.encode("utf-8")) for piece in found] if self._spells else found
                )
        return pieces

    # Decoding.

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of ``ids``; special tokens are dropped unless ``skip_special`` is false, invalid
        UTF-8 becomes U+FFFD. Ids without a token are dropped (models often have unused rows).

        Raises ``ValueError`` for a negative id.
        """
        ids = self._known(ids)
        if skip_special:
            if isinstance(self.decoder, ByteLevel):
                return self.decode_bytes(ids).decode("utf-8", "replace")
            ids = [token_id for token_id in ids if token_id not in self._special_ids]
        tokens = [token for token_id in ids if (token := self._tokens[token_id]) is not None]
        if self.decoder is None:
            return " ".join(tokens)
        return "".join(self.decoder.decode(tokens))

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Bytes of ``ids``; special tokens and ids without a token are dropped.

        Raises ``ValueError`` for a negative id.
        """
        data = b"".join(map(self._bytes.__getitem__, self._known(ids)))
        return data.removeprefix(self.decoder.lead) if self.decoder is not None else data

    def _known(self, ids: Iterable[int]) -> list[int]:
        ids = list(ids)
        if ids and min(ids) < 0:
            raise ValueError("a token id cannot be negative")
        if ids and max(ids) >= len(self._tokens):
            ids = [token_id for token_id in ids if token_id < len(self._tokens)]
        return ids

    # The vocabulary.

    @property
    def vocab_size(self) -> int:
        """Number of ids; they run from 0 to ``vocab_size - 1`` (some may have no token)."""
        return len(self._tokens)

    @cached_property
    def special(self) -> Mapping[str, int]:
        """Spelling of each special token to its id."""
        return {token.content: token.token_id for token in self.added_tokens if token.special}

    def id_of(self, token: str) -> int | None:
        """The id of a token as its vocabulary spells it, if it has one."""
        return self._added_ids.get(token, self.model.vocab.get(token))

    def spelling(self, token_id: int) -> str | None:
        """A token as its vocabulary spells it; ``None`` for an id that has no token."""
        return self._tokens[token_id]

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes one token stands for; ``b""`` for a special token."""
        return self._bytes[token_id]

    def token_text(self, token_id: int) -> str:
        """One token for display: never empty, no control characters."""
        spelling = self._tokens[token_id]
        if token_id in self._special_ids and spelling is not None:
            return spelling
        return show_bytes(self._bytes[token_id]) or spelling or f"<id {token_id}>"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of everything that decides the ids."""
        settings: list[object] = [type(self.model).__name__, sorted(self.model.vocab.items())]
        for name, value in sorted(vars(self.model).items()):
            if isinstance(value, bool | int | str | tuple | None) and not name.startswith("_"):
                settings.append((name, value))
            elif isinstance(value, frozenset):
                settings.append((name, sorted(value)))
        parts = (self.normalizer, self.pre_tokenizer, self.added_tokens, self.template)
        described = repr((settings, parts))
        return hashlib.sha256(described.encode("utf-8", "surrogatepass")).hexdigest()

    # Tables, made on first use.

    @cached_property
    def _tokens(self) -> list[str | None]:
        """Each id's spelling; a ``normalized`` added token's is the normalized one."""
        spellings = {**self.model.vocab, **self._added_ids}
        ids = spellings.values()
        if spellings and not 0 <= min(ids) <= max(ids) <= MAX_ID:
            raise ValueError(f"the ids of a vocabulary must lie between 0 and {MAX_ID}")
        tokens: list[str | None] = [None] * (max(ids, default=-1) + 1)
        for spelling, token_id in spellings.items():
            if tokens[token_id] is not None:
                raise ValueError(f"the id {token_id} is given to two tokens")
            tokens[token_id] = spelling
        for spelling, token in self._added_by_normal_spelling.items():
            tokens[token.token_id] = spelling
        return tokens

    @cached_property
    def _bytes(self) -> list[bytes]:
        shares: list[bytes] = []
        for token_id, token in enumerate(self._tokens):
            if token is None or token_id in self._special_ids:
                shares.append(b"")
                continue
            share = token if self.decoder is None else self.decoder.show(token)
            shares.append(share if isinstance(share, bytes) else share.encode("utf-8"))
        return shares

    @cached_property
    def _special_ids(self) -> frozenset[int]:
        return frozenset(self.special.values())

    @cached_property
    def _added_ids(self) -> dict[str, int]:
        return {token.content: token.token_id for token in self.added_tokens}

    @cached_property
    def _added_by_normal_spelling(self) -> dict[str, AddedToken]:
        tokens = {token.content: token for token in self.added_tokens if token.normalized}
        if self.normalizer is None:
            return tokens
        return {self.normalizer.normalize(content): token for content, token in tokens.items()}

    @cached_property
    def _raw_finder(self) -> AddedTokenFinder:
        tokens = [(token.content, token) for token in self.added_tokens if not token.normalized]
        return AddedTokenFinder(tokens)

    @cached_property
    def _normal_finder(self) -> AddedTokenFinder:
        return AddedTokenFinder(self._added_by_normal_spelling.items())

    @cached_property
    def _byte_ids(self) -> list[int | None]:
        vocab = self.model.vocab
        if self._spells:
            return [vocab.get(character) for character in BYTE_TO_CHARACTER]
        if isinstance(self.model, CharacterBPE | Unigram) and self.model.byte_fallback:
            return [vocab.get(f"<0x{byte:02X}>") for byte in range(256)]
        return [None] * 256

    # Cutting, and caching the ids of the pieces.

    def _first_split(self, text: str) -> list[str]:
        """The pieces of the start of a text."""
        return self._split(text, first=True)

    def _split(self, text: str, first: bool = False) -> list[str]:
        pieces = [text]
        if self.pre_tokenizer is not None:
            pieces = self.pre_tokenizer.split(pieces, first)
        cut = self._cut
        return pieces if cut is None else [part for piece in pieces for part in cut(piece)]

    @cached_property
    def _cut(self) -> Callable[[str], list[str]] | None:
        """Cuts pieces that the pre-tokenizer leaves whole, where that does not change the ids."""
        if not isinstance(self.model, CharacterBPE) or self._spells:
            return None
        return self.model.find_cuts()

    @cached_property
    def _going_on(self) -> ComposedTokenizer:
        """The same for text that is not the start."""
        normalizer = without_prefix(self.normalizer)
        return self if normalizer == self.normalizer else replace(self, normalizer=normalizer)

    @cached_property
    def _spells(self) -> bool:
        return self.pre_tokenizer is not None and self.pre_tokenizer.spells

    @cached_property
    def _pieces(self) -> PieceEncoder:
        certain = known_pattern(self.pre_tokenizer) is not None
        return PieceEncoder(self._split, self._encode_piece, cuts_are_certain=certain)

    @cached_property
    def _first_pieces(self) -> PieceEncoder:
        if not minds_first(self.pre_tokenizer):
            return self._pieces
        return PieceEncoder(self._first_split, self._encode_piece)

    @cached_property
    def _encode_piece(self) -> Callable[[str], list[int]]:
        return self._encode_spelled if self._spells else self.model.encode_piece

    def _encode_spelled(self, piece: str) -> list[int]:
        return self.model.encode_piece(spell(piece.encode("utf-8")))


def _is_text(text: str) -> bool:
    """Whether it can be encoded as UTF-8, that is, has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
