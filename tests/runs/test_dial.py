"""The dial: one integer in, a whole recipe out, and the rule that stands between."""

from __future__ import annotations

import math
import tomllib
from dataclasses import replace

import pytest

from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.runs.dial import (
    DEEPEST,
    TOKENS_PER_PARAMETER,
    batch_tokens,
    dialled,
    scaling_parameters,
)
from glassmind.runs.recipe import Recipe, TrainConfig, read_recipe, recipe_toml
from glassmind.serialization import decode

DEMO = read_recipe("demo")


def test_depth_4_is_the_demos_shape_and_batch() -> None:
    recipe = dialled(DEMO, 4)
    assert (recipe.model.n_layers, recipe.model.d_model) == (4, 128)
    assert (recipe.model.attention.n_heads, recipe.model.head_dim) == (4, 32)
    assert (recipe.train.batch_rows, recipe.train.accumulate) == (16, 1)
    assert recipe.train.muon_lr == DEMO.train.muon_lr
    assert recipe.train.row_tokens == DEMO.train.row_tokens
    assert recipe.problems == DEMO.problems


@pytest.mark.parametrize("depth", [1, 2, 3, 5, 7, 12, 33, DEEPEST])
@pytest.mark.parametrize("name", ["demo", "text"])
def test_every_depth_keeps_the_rule(name: str, depth: int) -> None:
    base = read_recipe(name)
    recipe = dialled(base, depth)
    model, train = recipe.model, recipe.train
    assert model.d_model == 32 * depth == model.attention.n_heads * model.head_dim
    assert model.n_kv_heads == depth
    assert model.d_hidden == model.feed_forward.d_hidden == 4 * model.d_model
    horizon = TOKENS_PER_PARAMETER * scaling_parameters(model, base.tokenizer.vocab_size)
    assert train.steps * batch_tokens(recipe) == pytest.approx(horizon, rel=2e-3)
    assert train.batch_rows >= 4
    assert train.batch_rows % 2 == 0
    assert train.batch_rows <= 64
    assert train.warmup == pytest.approx(0.025 * train.steps, abs=0.51)
    assert train.schedule == "stable-decay"


def test_the_batch_grows_as_the_root_of_the_horizon_and_adamw_falls_as_that_of_the_width() -> None:
    small, large = dialled(DEMO, 4), dialled(DEMO, 16)
    tokens = [r.train.steps * batch_tokens(r) for r in (small, large)]
    grown = batch_tokens(large) / batch_tokens(small)
    assert grown == pytest.approx(math.sqrt(tokens[1] / tokens[0]), rel=0.03)
    assert large.train.adamw_lr == pytest.approx(small.train.adamw_lr / 2)
    assert large.train.muon_lr == small.train.muon_lr


def test_n_is_what_a_real_model_multiplies_a_token_with() -> None:
    model = replace(dialled(DEMO, 3).model, vocab_size=300)
    parameters = dict(Transformer(model).named_parameters())
    matrices = sum(p.numel() for name, p in parameters.items() if "blocks." in name and p.dim() > 1)
    norms = sum(p.numel() for name, p in parameters.items() if "attention" in name and p.dim() == 1)
    counted = scaling_parameters(model, 300)
    assert matrices + 300 * 96 <= counted <= matrices + 300 * 96 + norms


def test_half_the_tokens_are_half_the_horizon_and_the_vocabulary_counts() -> None:
    whole, half = dialled(DEMO, 4), dialled(DEMO, 4, tokens_per_parameter=4)
    tokens = [r.train.steps * batch_tokens(r) for r in (whole, half)]
    assert tokens[1] == pytest.approx(tokens[0] / 2, rel=1e-3)
    assert batch_tokens(half) < batch_tokens(whole)
    assert dialled(DEMO, 4, vocab_size=50_000).train.steps > whole.train.steps


def test_the_result_is_an_ordinary_recipe_with_every_value_written_out() -> None:
    recipe = dialled(DEMO, 5)
    assert decode(Recipe, tomllib.loads(recipe_toml(recipe)), "test") == recipe


@pytest.mark.parametrize("depth", [0, -3, DEEPEST + 1])
def test_a_depth_out_of_range_is_refused(depth: int) -> None:
    with pytest.raises(UserError, match="from 1 to 64"):
        dialled(DEMO, depth)


def test_recipes_that_are_not_of_a_new_dense_model_are_refused() -> None:
    with pytest.raises(UserError, match="starts from word-problems"):
        dialled(replace(DEMO, start="word-problems"), 4)
    with pytest.raises(UserError, match="is for classify"):
        dialled(replace(DEMO, objective="classify"), 4)
    latent = replace(DEMO.model.attention.latent, kv_rank=8)
    attention = replace(DEMO.model.attention, latent=latent, qk_norm=False, n_kv_heads=0)
    mla = replace(DEMO, model=replace(DEMO.model, attention=attention))
    with pytest.raises(UserError, match=r"model\.attention\.latent\.kv_rank must be 0, not 8"):
        dialled(mla, 4)


def test_rows_are_never_fewer_than_four_however_long() -> None:
    long = replace(DEMO, train=TrainConfig(row_tokens=4096))
    assert dialled(long, 1).train.batch_rows == 4
