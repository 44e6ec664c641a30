"""What bytes each token id stands for, as far as an output may contain them.

Constraints, stop strings and tools work on text, the model on ids. A ``Vocabulary`` maps between
the two. It has bytes, not characters, because a token may be half a character.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cached_property

from glassmind.errors import UserError
from glassmind.generate.constraint.grammar_tokenizer import GrammarTokenizer
from glassmind.tokenize import SavedTokenizer
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.tokenize.special import END


class Vocabulary:
    """The tokens of a model.

    ``token_bytes[id]`` are the bytes of the token; ``None`` for special tokens, for ids without a
    token and for tokens without any bytes: no constraint allows those. ``end_ids`` are the tokens
    that end a text; constraints do not allow them as text either. ``lead`` is the prefix that
    decoding removes from a text that begins with it (SentencePiece's space). ``encode`` turns text
    into ids; without it, constraints force no tokens.

    Raises ``UserError`` for an end token outside the vocabulary.
    """

    def __init__(
        self,
        token_bytes: Sequence[bytes | None],
        end_ids: Collection[int] = (),
        lead: bytes = b"",
        encode: Callable[[str], Sequence[int]] | None = None,
    ) -> None:
        self.end_ids = frozenset(end_ids)
        self.lead = lead
        self.encode = encode
        for token_id in self.end_ids:
            if not 0 <= token_id < len(token_bytes):
                raise UserError(
                    f"the end token {token_id} is not in the vocabulary, whose ids run from 0 to "
                    f"{len(token_bytes) - 1}"
                )
        self.token_bytes: tuple[bytes | None, ...] = tuple(
            None if token_id in self.end_ids else data or None
            for token_id, data in enumerate(token_bytes)
        )

    @classmethod
    def of(
        cls,
        tokenizer: SavedTokenizer | ComposedTokenizer,
        *,
        end_ids: Collection[int] | None = None,
        size: int | None = None,
    ) -> Vocabulary:
        """The vocabulary of a tokenizer.

        ``end_ids`` are the model's end tokens, if it has others than the tokenizer's one; ``size``
        is the number of the model's logits, if that is more than the tokenizer has tokens.

        Raises ``UserError`` if the model has fewer logits than the tokenizer has tokens.
        """
        lead = b""
        special = frozenset(tokenizer.special.values())
        if isinstance(tokenizer, ComposedTokenizer):
            eos = tokenizer.facts.eos_token
            known = [] if eos is None else [tokenizer.id_of(eos)]
            if tokenizer.decoder is not None:
                lead = tokenizer.decoder.lead
        else:
            known = [tokenizer.special[END]]
        if end_ids is None:
            end_ids = [token_id for token_id in known if token_id is not None]
        n_tokens = tokenizer.vocab_size
        size = n_tokens if size is None else size
        if size < n_tokens:
            raise UserError(
                f"the tokenizer has {n_tokens} tokens and the model only {size}: they do not "
                "belong together"
            )
        token_bytes: list[bytes | None] = [
            None if token_id in special else tokenizer.token_bytes(token_id)
            for token_id in range(n_tokens)
        ]
        return cls(token_bytes + [None] * (size - n_tokens), end_ids, lead, tokenizer.encode)

    def __len__(self) -> int:
        return len(self.token_bytes)

    @cached_property
    def grammar_tokenizer(self) -> GrammarTokenizer:
        """The tokenizer of constraints; created when first needed.

        Raises ``UserError`` where llguidance is not installed, or no token ends a text.
        """
        return GrammarTokenizer(self.token_bytes, self.end_ids, self.encode)
