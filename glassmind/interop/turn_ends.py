"""Which tokens end a reply.

Up to three sources name them: the model's config, its tokenizer, and its chat template. They often
disagree. The config of a chat model is often still that of the base model and names the token that
ends a document, while a turn ends with another token, which only the tokenizer and the template
name. So a reply ends with a token that any of them names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


def stop_ids(
    named: Iterable[int],
    tokenizer: ComposedTokenizer | None,
    chat_template: str | None,
    vocab_size: int,
) -> frozenset[int]:
    """The tokens that end a reply: those ``named`` by the config, the tokenizer's own, and the one
    that ends a turn in the chat template.

    Ids outside the vocabulary are left out: small models often keep a large one's config.
    """
    ends = set(named)
    if tokenizer is not None:
        facts = tokenizer.facts
        eos = None if facts.eos_token is None else tokenizer.id_of(facts.eos_token)
        ends |= set() if eos is None else {eos}
        if chat_template is not None:
            template = ChatTemplate.of(replace(facts, chat_template=chat_template))
            end = template.turn_end(tokenizer)
            ends |= set() if end is None else {end}
    return frozenset(token_id for token_id in ends if 0 <= token_id < vocab_size)
