"""Learning a WordPiece vocabulary: each new token is the one that raises the likelihood most.

Byte-pair encoding (``bpe/train.py``) merges the most frequent pair. WordPiece (Schuster and
Nakajima, 2012; Wu et al., 2016, arXiv 1609.08144) merges the pair that raises the likelihood of the
text under a language model most. Take the simplest model, in which tokens are
drawn by their frequency; there are N in total. As two tokens, each ``ab`` has the log-probability
``log(count(a)/N) + log(count(b)/N)``; as one, ``log(count(ab)/N)``. Merging them everywhere gains
(to first order, ignoring that the counts change afterwards)::

    score(ab) = count(ab) · log( N · count(ab) / (count(a) · count(b)) )

A pair scores high if it is frequent *and* more frequent than its parts would meet by chance.
Learning ends when the vocabulary is full or no pair has a positive gain.

Two other rules are also called WordPiece. Tutorials use the ratio inside the logarithm alone,
``count(ab) / (count(a) · count(b))``: the gain of *one* occurrence. With this rule, two letters
that occur only once, next to each other, beat every other pair, and the vocabulary fills with the
rarest words of the text (3 MB of novels, 4,096 tokens: 3.1 tokens per word instead of 1.35). The
trainer in the ``tokenizers`` library runs byte-pair encoding and adds ``##`` to the result. The
trainer of the papers was never published. All share the file format and the encoder.

Counting works as in ``bpe/train.py``: distinct words once, one character per token, an index from
pair to words. That lazy heap relies on scores that only fall (an outdated, higher score is noticed
when its entry is popped). Here a score can also *rise*, when a part of the pair gets rarer by
merging with something else. So

- a pair enters the heap with an upper bound that always holds: no part is rarer than the pair
  itself, so its score is at most ``count(ab) · log(N / count(ab))``;
- once popped it is *watched*: it returns with its true score, and is pushed again each time that
  score rises. Most pairs are never popped and cost nothing.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import chain
from math import log

from glassmind.errors import UserError
from glassmind.progress import Progress, Silent
from glassmind.tokenize.bpe.presplit import blocks
from glassmind.tokenize.bpe.train import MAX_VOCAB_SIZE, count_pairs, merge_everywhere
from glassmind.tokenize.composed import decoders
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.normalize import BertNormalizer
from glassmind.tokenize.composed.pretokenize import BertPreTokenizer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.composed.wordpiece import WordPiece
from glassmind.tokenize.special import SPECIAL_TOKENS

_NORMALIZER = BertNormalizer(lowercase=False)
_PRE_TOKENIZER = BertPreTokenizer()
_BETWEEN_SPACES = re.compile(r"[^ \t\n\r]+")
_MAX_WORD = 100  # characters; anything longer is not a word
_FIRST = (*SPECIAL_TOKENS, "[UNK]")  # what every vocabulary begins with


def train_wordpiece(
    texts: Iterable[str], vocab_size: int, progress: Progress | None = None
) -> ComposedTokenizer:
    """Learns a WordPiece tokenizer of at most ``vocab_size`` tokens from ``texts``.

    BERT's normalizer and pre-tokenizer decide what a word is (capitals are kept). Every character
    of the texts becomes two tokens, one for the start of a word and one for inside it, so that no
    word made of them is unknown. ``progress`` is updated for each token. Raises ``UserError`` for a
    vocabulary size that has no room for these, or is too large.
    """
    progress = progress or Silent()
    word_counts = count_words(texts)
    alphabet = sorted(set(chain.from_iterable(word_counts)))
    least = len(_FIRST) + 2 * len(alphabet)
    if not least <= vocab_size <= MAX_VOCAB_SIZE:
        raise UserError(
            f"vocabulary size {vocab_size} is impossible: it must lie between {least} (special "
            f"tokens, and two for each of the text's {len(alphabet)} characters) and "
            f"{MAX_VOCAB_SIZE}"
        )
    progress.start("learning the tokenizer", vocab_size, "tokens")
    tokens = [*alphabet, *("##" + character for character in alphabet)]
    opening = {character: chr(number) for number, character in enumerate(alphabet)}
    inside = {character: chr(number) for number, character in enumerate(alphabet, len(alphabet))}
    pairs = _Pairs(
        [opening[word[0]] + "".join(map(inside.__getitem__, word[1:])) for word in word_counts],
        list(word_counts.values()),
    )
    while len(_FIRST) + len(tokens) < vocab_size and (pair := pairs.best()):
        pairs.join(pair, chr(len(tokens)))
        left, right = tokens[ord(pair[0])], tokens[ord(pair[1])]
        tokens.append(left + right.removeprefix("##"))
        progress.update(len(_FIRST) + len(tokens))
    vocab = {token: token_id for token_id, token in enumerate([*_FIRST, *tokens])}
    progress.end(f"{len(vocab)} tokens from {len(word_counts)} distinct words")
    return ComposedTokenizer(
        WordPiece(vocab, max_chars=_MAX_WORD),
        _NORMALIZER,
        _PRE_TOKENIZER,
        decoders.WordPiece(),
        tuple(AddedToken(token, token_id) for token_id, token in enumerate(_FIRST)),
    )


def count_words(texts: Iterable[str]) -> Counter[str]:
    """How often each word occurs; lone surrogates are left out."""
    chunks: Counter[str] = Counter()  # between spaces; few are distinct, so the rest is cheap
    for text in texts:
        for block in blocks(text):
            chunks.update(_BETWEEN_SPACES.findall(block))
    counts: Counter[str] = Counter()
    for chunk, count in chunks.items():
        readable = chunk.encode("utf-8", "ignore").decode("utf-8")
        for word in _PRE_TOKENIZER.split([_NORMALIZER.normalize(readable)], True):
            if len(word) <= _MAX_WORD:
                counts[word] += count
    return counts


class _Pairs:
    """The pairs of neighbouring tokens in a corpus: chooses the next one and merges it.

    ``words`` are strings of one character per token, each occurring ``counts`` times.
    """

    def __init__(self, words: list[str], counts: list[int]) -> None:
        self._words, self._counts = words, counts
        self._token_counts: dict[str, int] = defaultdict(int)
        for word, count in zip(words, counts, strict=True):
            for token in word:
                self._token_counts[token] += count
        self._n_tokens = sum(self._token_counts.values())
        self._pair_counts, self._where = count_pairs(words, counts)
        self._watched: defaultdict[str, set[str]] = defaultdict(set)  # token: pairs with it
        self._entered: dict[str, float] = {}  # pair: its score in the heap
        self._heap: list[tuple[float, str]] = []  # negative score, pair
        self._enter_new(self._where)

    def best(self) -> str | None:
        """The pair with the largest gain; among equals the one with the smallest ids."""
        while self._heap:
            negative_score, pair = heapq.heappop(self._heap)
            if self._entered.get(pair) != -negative_score:  # pushed again since, or gone
                continue
            score = self._score(pair)
            if score == -negative_score:
                return pair
            self._watched[pair[0]].add(pair)
            self._watched[pair[1]].add(pair)
            self._enter(pair, score)
        return None

    def join(self, pair: str, merged: str) -> None:
        """Replaces ``pair`` by the token ``merged`` everywhere."""
        indices = self._where.pop(pair)
        born = merge_everywhere(pair, merged, indices, self._words, self._counts, self._pair_counts)
        joined = sum(self._counts[index] * self._words[index].count(merged) for index in indices)
        self._token_counts[merged] = joined
        self._n_tokens -= joined
        for token in pair:
            self._token_counts[token] -= joined
        self._forget(pair)
        self._where.update(born)
        self._enter_new(born)
        for token in set(pair):
            for neighbours in list(self._watched[token]):
                if self._pair_counts[neighbours] == 0:
                    self._forget(neighbours)
                    continue
                score = self._score(neighbours)
                if score > self._entered[neighbours]:
                    self._enter(neighbours, score)

    def _score(self, pair: str) -> float:
        """The gain of merging ``pair``; 0 for a pair that no longer occurs."""
        count = self._pair_counts[pair]
        if count == 0:
            return 0.0
        parts = self._token_counts[pair[0]] * self._token_counts[pair[1]]
        return count * log(self._n_tokens * count / parts)

    def _enter_new(self, pairs: Iterable[str]) -> None:
        for pair in pairs:
            count = self._pair_counts[pair]
            if count:
                self._enter(pair, count * log(self._n_tokens / count))

    def _enter(self, pair: str, score: float) -> None:
        self._entered[pair] = score
        if score > 0:
            heapq.heappush(self._heap, (-score, pair))

    def _forget(self, pair: str) -> None:
        self._watched[pair[0]].discard(pair)
        self._watched[pair[1]].discard(pair)
        self._pair_counts.pop(pair, None)
        self._where.pop(pair, None)
        self._entered.pop(pair, None)
