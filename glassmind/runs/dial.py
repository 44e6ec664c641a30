"""The one dial: from ``depth`` alone to the shape, the batch, the rates and the length of a run.

A model can be enlarged in a dozen ways, and most of them waste compute. The good ones follow from
one integer:

    layers         depth
    width D        32 · depth, so that depth and width grow together
    heads          depth, each 32 wide; the feed-forward network 4 · D
    parameters N   of the blocks and of the output layer
    horizon        N · r tokens                      r: ``TOKENS_PER_PARAMETER``
    batch          grows as the root of the horizon
    Muon's rate    the same at every width
    AdamW's rate   shrinks as the root of the width

The reasons. *Horizon*: for a given amount of compute, model and data should grow together (Hoffmann
et al. 2022, arXiv 2203.15556). N counts the parameters that a token is multiplied with, as Kaplan
et al. (2020, 2001.08361) do: looking up an embedding computes nothing. The output layer does
compute, even if it shares its matrix with the embedding, and it is a large part of a small model.
Without it, the smallest models would get too few tokens and not fit the scaling law. *Batch*:
beyond a critical size a larger batch saves no steps (McCandlish et al. 2018, 1812.06162), and that
size grows about as the root of the number of training tokens, for every model size (Zhang et al.
2024, 2410.21676). As long as the batch is a fixed fraction of that size, the best learning rate
does not change. *Muon*: its update of a matrix has a fixed spectral norm, which is what has to stay
fixed as the width grows (Yang et al. 2023, 2310.17813; Bernstein & Newhouse 2024, 2409.20325).
*AdamW* changes each number of an embedding by a fixed amount, so its rate has to shrink with the
width.

The constants are those of the demo's recipe, at depth 4. The result is an ordinary recipe with
every value written out; ``--set`` changes it like any other.
"""

from __future__ import annotations

import math
from dataclasses import replace

from glassmind.errors import UserError
from glassmind.model import ModelConfig, parameters
from glassmind.runs.recipe import Recipe

DEEPEST = 64
HEAD_DIM = 32

TOKENS_PER_PARAMETER = 8.0
"""Hoffmann et al. found 20 per parameter, counting *all* parameters; with Muon, and N as above,
about 10 were measured to be the best use of compute. This is slightly less, in favour of larger
models."""

# The anchor: the shape, the batch and Muon's rate are those of recipes/demo.toml. AdamW's rate is
# above its 0.003: on text, two to four times that was better at depths 2 and 3 (docs/LOG.md).
_DEPTH, _VOCABULARY = 4, 1024
_BATCH_TOKENS = 16 * 192
_MUON_LR, _ADAMW_LR = 0.02, 0.008

WARMUP = 0.025
"""The share of the steps over which the learning rates rise."""
DECAY = 0.5
"""The share over which they fall."""

FEWEST_ROWS, MOST_ROWS = 4, 64
"""Rows of one pass; a larger batch is accumulated over several (``train.accumulate``)."""

ALPHABET = 128
"""An estimate of the number of different characters in a text, for character tokenizers."""


def dialled(
    recipe: Recipe,
    depth: int,
    *,
    tokens_per_parameter: float = TOKENS_PER_PARAMETER,
    vocab_size: int = 0,
) -> Recipe:
    """``recipe`` with the shape, batch, rates and steps that follow from ``depth``.

    Data, context and the kinds of layers are not changed. ``vocab_size`` is only needed to count
    parameters if the recipe does not have it, that is, if the tokenizer is read from a file.

    Raises:
        UserError: the depth is out of range, or the recipe is not one of a new, dense model.
    """
    require_new(recipe)
    if not 1 <= depth <= DEEPEST:
        raise UserError(f"depth must be a whole number from 1 to {DEEPEST}, not {depth}")
    model = _model(recipe.model, depth)
    tokens = tokens_per_parameter * scaling_parameters(model, vocab_size or vocabulary(recipe))
    rows, accumulate = _batch(tokens, recipe.train.row_tokens)
    train = replace(
        recipe.train,
        batch_rows=rows,
        accumulate=accumulate,
        muon_lr=_MUON_LR,
        adamw_lr=_ADAMW_LR * math.sqrt(_DEPTH / depth),
        schedule="stable-decay",
        decay_fraction=DECAY,
    )
    recipe = replace(recipe, model=model, train=train)
    return with_steps(recipe, max(1, round(tokens / batch_tokens(recipe))))


def require_new(recipe: Recipe) -> None:
    """Refuse a recipe whose model the dial cannot shape.

    Raises:
        UserError: it starts from a finished model, or its layers have sizes of their own.
    """
    if recipe.start or recipe.objective not in ("pretrain", "sft"):
        of = f"starts from {recipe.start}" if recipe.start else f"is for {recipe.objective}"
        raise UserError(
            f"depth and minutes shape a new model, and this recipe {of}: "
            "leave them out, and set train.steps"
        )
    for what, is_set in (
        ("experts.n_experts", recipe.model.experts.n_experts),
        ("attention.latent.kv_rank", recipe.model.attention.latent.kv_rank),
    ):
        if is_set:
            raise UserError(
                f"depth and minutes are for dense models with plain attention: "
                f"model.{what} must be 0, not {is_set}"
            )


def with_steps(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with this number of steps, and the warm-up that belongs to it."""
    warmup = max(1, round(WARMUP * steps))
    return replace(recipe, train=replace(recipe.train, steps=steps, warmup=warmup))


def scaling_parameters(model: ModelConfig, vocab_size: int) -> int:
    """N: the blocks' parameters and the output layer's, shared with the embedding or not."""
    count = parameters(model)
    return count.attention + count.feed_forward + vocab_size * model.d_model


def batch_tokens(recipe: Recipe) -> int:
    """Tokens of one optimizer step."""
    return recipe.train.batch_rows * recipe.train.accumulate * recipe.train.row_tokens


def vocabulary(recipe: Recipe) -> int:
    """The size of the vocabulary in the recipe, or an estimate for a character tokenizer."""
    if recipe.model.vocab_size:
        return recipe.model.vocab_size
    return ALPHABET if recipe.tokenizer.kind == "char" else recipe.tokenizer.vocab_size


def _model(model: ModelConfig, depth: int) -> ModelConfig:
    width = HEAD_DIM * depth
    return replace(
        model,
        n_layers=depth,
        d_model=width,
        attention=replace(model.attention, n_heads=depth, n_kv_heads=depth, head_dim=HEAD_DIM),
        feed_forward=replace(model.feed_forward, d_hidden=4 * width),
    )


def _batch(tokens: float, row_tokens: int) -> tuple[int, int]:
    """Rows per pass and passes per step for a horizon of ``tokens``. Rows are even, so that two
    processes can share them."""
    anchor = _model(ModelConfig(), _DEPTH)
    horizon = TOKENS_PER_PARAMETER * scaling_parameters(anchor, _VOCABULARY)
    rows = _BATCH_TOKENS * math.sqrt(tokens / horizon) / row_tokens
    passes = max(1, math.ceil(rows / MOST_ROWS))
    return max(FEWEST_ROWS, 2 * round(rows / passes / 2)), passes
