"""The same vocabulary on ``tiktoken``, a faster encoder written in Rust, with the same ids.

    tokenizer = with_tiktoken(tokenizer)

Our own encoder (``bpe/pieces.py``, ``bpe/merging.py``) is written to be read; this one is for large
corpora.

The two work differently. We keep a list of *pairs* and merge the one learned first; ``tiktoken``
keeps a list of *tokens* and merges any two neighbours that form a token, the smallest id first. The
results are equal if every token is formed by one pair only, in any context, and ids follow the
order of the pairs. ``canonical_merges`` finds those pairs, so this is checked, and a vocabulary for
which it does not hold is refused. (Tokens that no merge makes are left out, unless the tokenizer
encodes a piece that equals a token as that token, as ``tiktoken`` does.) The ids can still differ
for characters that were added to Unicode after one of the two regular expression engines was built.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from glassmind.errors import UserError
from glassmind.tokenize.bpe.byte_alphabet import CHARACTER_TO_BYTE, unspell
from glassmind.tokenize.bpe.pieces import PieceEncoder
from glassmind.tokenize.bpe.presplit import PATTERN
from glassmind.tokenize.bpe.tokenizer import BPETokenizer
from glassmind.tokenize.composed.character_bpe import CharacterBPE, canonical_merges
from glassmind.tokenize.composed.pretokenize import known_pattern
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import N_SPECIAL

if TYPE_CHECKING:
    import tiktoken

_SAMPLED = 1 << 18
_TWO_SPACES = re.compile(r"\s\s")

AnyBPE = TypeVar("AnyBPE", bound=BPETokenizer | ComposedTokenizer)


def with_tiktoken(tokenizer: AnyBPE) -> AnyBPE:
    """A copy of ``tokenizer`` that encodes with ``tiktoken``. The check that its ids are the same
    takes a second or two for a large vocabulary.

    Raises ``UserError`` if ``tiktoken`` is not installed, or cannot express the tokenizer.
    """
    try:
        import tiktoken
    except ImportError:
        raise UserError(
            "tiktoken is not installed; install it with pip install 'glassmind[tiktoken]'"
        ) from None
    if isinstance(tokenizer, BPETokenizer):
        parts = _parts_of_ours(tokenizer)
    else:
        parts = _parts_of_composed(tokenizer)
    encoding = tiktoken.Encoding(
        "glassmind", pat_str=parts.pattern, mergeable_ranks=_ranks(parts), special_tokens={}
    )
    pieces = _TiktokenPieces(encoding, tokenizer._pieces)
    result = copy.copy(tokenizer)
    vars(result).update(_pieces=pieces, _first_pieces=pieces)
    return result


class _TiktokenPieces:
    """Has the interface of ``PieceEncoder``."""

    def __init__(self, encoding: tiktoken.Encoding, plain: PieceEncoder) -> None:
        self._encoding = encoding
        self._plain = plain

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``, joined."""
        if not text.isascii():
            text.encode("utf-8")  # raises for a lone surrogate, which would become U+FFFD
        # A million spaces in a row overflow the stack of tiktoken's pattern search, which ends the
        # program. Any run half as long has two of these samples next to each other.
        if _TWO_SPACES.search(text[::_SAMPLED]):
            return self._plain.encode(text)
        return self._encoding.encode_ordinary(text)


class _Parts(NamedTuple):
    """A byte-level BPE in terms of bytes. ``takes_whole_pieces``: a piece that equals a token is
    encoded as that token, whatever the merges say."""

    pattern: str
    ids: dict[bytes, int]
    merges: Iterable[tuple[bytes, bytes]]
    takes_whole_pieces: bool


def _parts_of_ours(tokenizer: BPETokenizer) -> _Parts:
    bytes_of = tokenizer.token_bytes
    ids = {bytes_of(token_id): token_id for token_id in range(N_SPECIAL, tokenizer.vocab_size)}
    merges = ((bytes_of(left), bytes_of(right)) for left, right in tokenizer.merges)
    return _Parts(PATTERN, ids, merges, False)


def _parts_of_composed(tokenizer: ComposedTokenizer) -> _Parts:
    model, pattern = tokenizer.model, known_pattern(tokenizer.pre_tokenizer)
    if not isinstance(model, CharacterBPE):
        raise _refusal(f"it is of the kind {type(model).__name__}, not BPE")
    if pattern is None:
        raise _refusal("its pre-tokenizer is not one known pattern followed by bytes")
    if model.continuing_subword_prefix or model.end_of_word_suffix or model.whole:
        raise _refusal("it has prefixes, suffixes or whole symbols, not only merges")
    ids = {
        unspell(token): token_id
        for token, token_id in model.vocab.items()
        if CHARACTER_TO_BYTE.keys() >= set(token)  # others cannot be made of bytes
    }
    merges = ((unspell(left), unspell(right)) for left, right in model.merges)
    return _Parts(pattern, ids, merges, model.ignore_merges)


def _ranks(parts: _Parts) -> dict[bytes, int]:
    """The input of ``tiktoken``: tokens with their ids, which also order its merges."""
    ids = parts.ids
    single = [bytes([byte]) for byte in range(256)]
    missing = [byte for byte in single if byte not in ids]
    if missing:
        raise _refusal(f"it has no token for the byte {missing[0]!r}")
    made = set(single)
    latest = -1
    try:
        rank_of_pair = {pair: rank for rank, pair in enumerate(parts.merges)}
        pairs = canonical_merges(
            {token: -token_id for token, token_id in ids.items()},
            lambda token: [token[at : at + 1] for at in range(len(token))],
        )
        for left, right in pairs:
            rank = rank_of_pair.get((left, right))
            if rank is None:
                raise _refusal(f"no merge joins {left!r} and {right!r}, which make a token")
            if rank < latest:
                raise _refusal(f"the id of {left + right!r} is not in the order of the merges")
            latest = rank
            made.add(left + right)
    except KeyError as error:
        raise _refusal(f"it merges the character {error.args[0]!r}, which is no byte") from None
    except ValueError as error:
        raise _refusal(str(error)) from None
    return (
        ids if parts.takes_whole_pieces else {token: ids[token] for token in ids if token in made}
    )


def _refusal(reason: str) -> UserError:
    return UserError(f"tiktoken cannot express this tokenizer: {reason}; use it as it is")
