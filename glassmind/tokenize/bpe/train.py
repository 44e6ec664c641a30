"""Learning the merges of byte-level BPE with incremental counts.

The textbook loop reads: count all neighbouring pairs in the text, merge the most frequent one
everywhere, repeat. Implemented literally, each of thousands of merges reads the whole text again.
Three observations make it thousands of times cheaper:

1. Merges never cross the pieces of the pre-split, and pieces repeat: count each distinct piece
   once and work on the pieces with their counts. (Rough pieces, which are quicker to cut, are
   counted first, and only the distinct ones cut exactly.)
2. Merging (a, b) changes only the counts of pairs next to an (a, b). Keep the pair counts and an
   index "pair -> pieces that contain it", and touch those pieces alone.
3. The most frequent pair comes from a heap. Counts that fall are not corrected in the heap; an
   entry that comes up with an outdated count is put back with the true one (a *lazy* heap).

A piece is kept as a Python string with **one character per token** (the token numbered n is
``chr(n)``), so that a pair is a string of two characters, "does this piece contain the pair" is
``str.find`` and merging is ``str.replace``, which scans left to right as BPE asks: the inner
work runs in C.

Ties are broken as the Rust ``tokenizers`` library breaks them, so that the merges come out
identical: among equal counts the pair with the smallest ids wins (comparing two-character strings
compares exactly that).

Every merge makes a token that did not exist before. Two equal stretches of text whose ends no merge
has crossed have gone through the same merges, so when one becomes a single token, so does the
other, and no second pair can spell the same token. So each merge simply gets the next number.
"""

from __future__ import annotations

import heapq
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable

from glassmind.errors import UserError
from glassmind.progress import Progress, Silent
from glassmind.tokenize.bpe.byte_alphabet import BYTE_ORDER
from glassmind.tokenize.bpe.presplit import blocks, presplit, rough_cut
from glassmind.tokenize.bpe.tokenizer import BPETokenizer
from glassmind.tokenize.special import N_SPECIAL

MIN_VOCAB_SIZE = N_SPECIAL + 256
MAX_VOCAB_SIZE = sys.maxunicode  # one character per token

_MAX_ROUGH = 1 << 19  # distinct rough pieces counted before they are cut: about 60 MB

# Byte to its position in BYTE_ORDER, which is its token's number while training.
_BYTE_RANK = bytes(BYTE_ORDER.index(byte) for byte in range(256))


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    progress: Progress | None = None,
) -> BPETokenizer:
    """Learns a byte-level BPE tokenizer of at most ``vocab_size`` tokens from ``texts``.

    ``vocab_size`` counts the special tokens and the 256 bytes. Fewer tokens result when every
    piece has become a single token. ``progress`` is updated for each token. Raises ``UserError``
    for an impossible vocabulary size.
    """
    if not MIN_VOCAB_SIZE <= vocab_size <= MAX_VOCAB_SIZE:
        raise UserError(
            f"vocabulary size {vocab_size} is impossible: it must lie between {MIN_VOCAB_SIZE} "
            f"(special tokens and bytes) and {MAX_VOCAB_SIZE}"
        )
    progress = progress or Silent()
    progress.start("learning the tokenizer", vocab_size, "tokens")
    piece_counts = count_pieces(texts)
    tokenizer = BPETokenizer(*_learn_merges(piece_counts, vocab_size - N_SPECIAL, progress))
    progress.end(f"{tokenizer.vocab_size} tokens from {len(piece_counts)} distinct pieces")
    return tokenizer


def count_pieces(texts: Iterable[str]) -> Counter[str]:
    """How often each piece of the pre-split occurs; lone surrogates are left out."""
    rough: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for text in texts:
        for block in blocks(text):
            if not block.isascii():
                block = block.encode("utf-8", "ignore").decode("utf-8")
            rough.update(rough_cut(block))
            if len(rough) > _MAX_ROUGH:
                _cut_exactly(rough, counts)
                rough.clear()
    _cut_exactly(rough, counts)
    return counts


def _cut_exactly(rough: Counter[str], counts: Counter[str]) -> None:
    """Adds the pieces of rough pieces to ``counts``."""
    for rough_piece, count in rough.items():
        for piece in presplit(rough_piece):
            counts[piece] += count


def _learn_merges(
    piece_counts: Counter[str], n_tokens: int, progress: Progress
) -> tuple[list[bytes], list[tuple[int, int]]]:
    """The tokens (special ones not counted) and the merges, as pairs of vocabulary ids."""
    words = [
        piece.encode("utf-8").translate(_BYTE_RANK).decode("latin-1") for piece in piece_counts
    ]
    counts = list(piece_counts.values())
    pair_counts, where = count_pairs(words, counts)
    heap = [(-pair_counts[pair], pair, indices) for pair, indices in where.items()]
    heapq.heapify(heap)

    tokens = [bytes([byte]) for byte in BYTE_ORDER]
    merges: list[tuple[int, int]] = []
    while len(tokens) < n_tokens and heap:
        negative_count, pair, indices = heapq.heappop(heap)
        count = pair_counts[pair]
        if count != -negative_count:
            heapq.heappush(heap, (-count, pair, indices))
            continue
        if count < 1:
            break
        left, right = ord(pair[0]), ord(pair[1])
        merged = chr(len(tokens))
        tokens.append(tokens[left] + tokens[right])
        merges.append((left + N_SPECIAL, right + N_SPECIAL))
        born = merge_everywhere(pair, merged, indices, words, counts, pair_counts)
        for new_pair, new_indices in born.items():
            heapq.heappush(heap, (-pair_counts[new_pair], new_pair, new_indices))
        progress.update(len(tokens) + N_SPECIAL)
    return tokens, merges


def count_pairs(
    words: list[str], counts: list[int]
) -> tuple[defaultdict[str, int], defaultdict[str, list[int]]]:
    """How often each pair occurs, and in which words (each word named once)."""
    pair_counts: defaultdict[str, int] = defaultdict(int)
    where: defaultdict[str, list[int]] = defaultdict(list)
    for index, word in enumerate(words):
        count = counts[index]
        pairs = [word[at : at + 2] for at in range(len(word) - 1)]
        for pair in pairs:
            pair_counts[pair] += count
        for pair in set(pairs):
            where[pair].append(index)
    return pair_counts, where


def merge_everywhere(
    pair: str,
    merged: str,
    indices: list[int],
    words: list[str],
    counts: list[int],
    pair_counts: defaultdict[str, int],
) -> dict[str, list[int]]:
    """Replaces ``pair`` by ``merged`` in the words named, keeping the pair counts true.

    Returns the new pairs, with the words they are in.
    """
    first, second = pair[0], pair[1]
    born: defaultdict[str, list[int]] = defaultdict(list)
    for index in indices:
        word = words[index]
        at = word.find(pair)
        if at < 0:  # an earlier merge took it
            continue
        count = counts[index]
        words[index] = word.replace(pair, merged)
        done = 0  # everything before it is merged already
        while at >= 0:
            if at:
                left = word[at - 1] if at > done else merged
                pair_counts[left + first] -= count
                new_pair = left + merged
                pair_counts[new_pair] += count
                new_indices = born[new_pair]
                if not new_indices or new_indices[-1] != index:
                    new_indices.append(index)
            done = at + 2
            if done < len(word):
                right = word[done]
                pair_counts[second + right] -= count
                new_pair = merged + right
                pair_counts[new_pair] += count
                new_indices = born[new_pair]
                if not new_indices or new_indices[-1] != index:
                    new_indices.append(index)
            at = word.find(pair, done)
    return born
