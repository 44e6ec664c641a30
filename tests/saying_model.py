"""A model that says what it is told: its next token depends on the position alone.

So replies are under control from end to end, whatever was asked. Every block is zero; the learned
vector of a position, which the final norm leaves as it is, is most like the row of the token that
is to come there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from glassmind.interop.pretrained import Pretrained
from glassmind.interop.tokenizers import composed
from glassmind.llm.local import LocalLLM
from glassmind.model import (
    AttentionConfig,
    FeedForwardConfig,
    ModelConfig,
    PositionConfig,
    Transformer,
)
from glassmind.tokenize import SPECIAL_TOKENS, train_bpe
from glassmind.tokenize.composed.added_tokens import AddedToken
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, TokenizerFacts

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = ("<|im_start|>", "<|im_end|>", "[TOOL_CALLS]", "<|python_tag|>")
END = "<|im_end|>"
POSITIONS, WIDTH = 700, 512


def chat_tokenizer(template: str | None = CHATML, tools: str | None = None) -> ComposedTokenizer:
    """Bytes, a few words, and the special tokens of several families."""
    own = train_bpe(["hello world, the answer is here"] * 9, len(SPECIAL_TOKENS) + 256 + 12)
    facts = TokenizerFacts(chat_template=template, tool_template=tools, eos_token=END)
    plain = composed(own, facts)
    added = [AddedToken(name, plain.vocab_size + n) for n, name in enumerate(SPECIAL)]
    return replace(plain, added_tokens=(*plain.added_tokens, *added))


def saying(
    text: str, prompt: Sequence[int] | int, tokenizer: ComposedTokenizer | None = None
) -> LocalLLM:
    """A model that answers a prompt of so many tokens with ``text``, special tokens included."""
    return LocalLLM.of_pretrained(saying_weights(text, prompt, tokenizer), "says")


def saying_weights(
    text: str, prompt: Sequence[int] | int, tokenizer: ComposedTokenizer | None = None
) -> Pretrained:
    """The same, not yet ready to be asked."""
    tokenizer = tokenizer or chat_tokenizer()
    start = prompt if isinstance(prompt, int) else len(prompt)
    ids = [*tokenizer.encode_marked(text), tokenizer.special[END]]
    assert start + len(ids) < POSITIONS
    config = ModelConfig(
        tokenizer.vocab_size,
        max_tokens=POSITIONS,
        d_model=WIDTH,
        n_layers=1,
        norm="layernorm",
        tie_embeddings=False,
        attention=AttentionConfig(n_heads=8, qk_norm=False, bias=True, output_bias=True),
        positions=PositionConfig("learned"),
        feed_forward=FeedForwardConfig("gelu", d_hidden=8, bias=True),
    )
    model = Transformer(config).eval()
    vectors = torch.randn(POSITIONS, WIDTH, generator=torch.Generator().manual_seed(0))
    vectors = torch.nn.functional.layer_norm(vectors, (WIDTH,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        parameters = dict(model.named_parameters())
        parameters["absolute_positions.table"].copy_(vectors)
        parameters["final_norm.weight"].fill_(1)
        for place, token_id in enumerate(ids, start - 1):
            parameters["unembed.weight"][token_id] += 0.2 * vectors[place]
    facts = tokenizer.facts
    end = frozenset({tokenizer.special[END]})
    return Pretrained(model, tokenizer, facts.chat_template, end, None, "says", Path("says"))
