"""WordPiece encoding: greedy longest match.

WordPiece (Schuster and Nakajima, 2012; named and described in Wu et al., 2016, arXiv 1609.08144)
needs only its vocabulary to cut a word; there are no merges to replay. Take the longest token
the word begins with, then the longest token the rest begins with, and so on (*greedy longest
match first*; made popular by Devlin et al., 2018, arXiv 1810.04805). A token that
does not begin its word is spelled with a prefix, ``##``, so that "able" the word and "able" the
ending are different tokens::

    unaffable  ->  un ##aff ##able

A word that cannot be cut this way, or is too long, becomes ``[UNK]`` as a whole: unlike the
byte-level tokenizers, WordPiece can lose text. The vocabulary is learned in
``train_wordpiece.py``.
"""

from __future__ import annotations

from collections.abc import Mapping


class WordPiece:
    """Cuts one word at a time; the pre-tokenizer has found the words.

    ``vocab`` maps spellings to ids, ``unk`` is the token of a word that cannot be
    cut, ``prefix`` marks tokens that continue a word, and a word of more than ``max_chars``
    characters is unknown. Raises ``ValueError`` where ``unk`` is not in ``vocab``.
    """

    def __init__(
        self,
        vocab: Mapping[str, int],
        unk: str = "[UNK]",
        prefix: str = "##",
        max_chars: int = 100,
    ) -> None:
        if unk not in vocab:
            raise ValueError(f"the unknown token {unk!r} is not in the vocabulary")
        self.vocab, self.unk, self.prefix, self.max_chars = vocab, unk, prefix, max_chars
        self._unk_ids = [vocab[unk]]
        self._longest = max(map(len, vocab))

    def encode_piece(self, piece: str) -> list[int]:
        """Ids of one word; the unknown token alone where no sequence of tokens was found."""
        if len(piece) > self.max_chars:
            return list(self._unk_ids)
        ids: list[int] = []
        start, prefix = 0, ""
        while start < len(piece):
            for end in range(min(len(piece), start + self._longest), start, -1):
                token_id = self.vocab.get(prefix + piece[start:end])
                if token_id is not None:
                    break
            else:
                return list(self._unk_ids)
            ids.append(token_id)
            start, prefix = end, self.prefix
        return ids
