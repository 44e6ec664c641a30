"""The history of the presets: every difference has its reason, and only what matters counts."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import get_args

import pytest
import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.learn.architectures.lineage import (
    SIZES,
    Change,
    Value,
    diff,
    flatten,
    in_use,
    shown,
    sizes,
    written,
)
from glassmind.learn.architectures.published import MODELS
from glassmind.learn.architectures.reasons import REASONS
from glassmind.learn.architectures.scaled_down import scaled_down
from glassmind.model import PRESETS, ModelConfig, Transformer
from glassmind.model.config import (
    FeedForwardKind,
    NormKind,
    NormPlacement,
    PositionKind,
    ScalingKind,
)
from glassmind.runs.overrides import replace_at


def test_every_difference_between_two_presets_has_a_reason_and_a_paper() -> None:
    told = set()
    for a, b in permutations(PRESETS, 2):
        for change in diff(PRESETS[a], PRESETS[b]):
            assert change.why.endswith("."), (a, b, change.field)
            assert change.paper is not None
            told.add(change.why)
    # And nothing is told of what no preset ever changes, but for kinds only a recipe can choose.
    kinds = {REASONS["positions.kind"][kind].why for kind in ("none", "t5")}
    kinds.add(REASONS["positions.scaling.kind"]["linear"].why)
    known = {reason.why for reasons in REASONS.values() for reason in reasons.values()}
    assert known - told == kinds


@pytest.mark.parametrize(
    ("field", "kinds"),
    [
        ("norm", NormKind),
        ("norm_placement", NormPlacement),
        ("positions.kind", PositionKind),
        ("positions.scaling.kind", ScalingKind),
        ("feed_forward.kind", FeedForwardKind),
    ],
)
def test_every_kind_has_a_reason(field: str, kinds: object) -> None:
    assert REASONS[field].keys() == set(get_args(kinds))


def test_papers_have_plausible_numbers() -> None:
    papers = {reason.paper for reasons in REASONS.values() for reason in reasons.values()}
    papers |= {model.paper for model in MODELS.values() if model.paper}
    for paper in papers:
        year = int(paper.cite[-4:])
        if paper.arxiv:
            submitted, _, number = paper.arxiv.partition(".")
            assert submitted.isdigit() and number.isdigit() and len(submitted) == 4
            # Counted by submission here and by publication there: at most a year apart.
            assert 0 <= year - (2000 + int(submitted[:2])) <= 1, paper
            assert 1 <= int(submitted[2:]) <= 12
    numbers = [paper.arxiv for paper in papers if paper.arxiv]
    assert len(numbers) == len(set(numbers))  # one paper, one way to cite it


def test_the_order_is_that_of_time() -> None:
    assert list(MODELS) == list(PRESETS)
    seen: list[str] = []
    for name, model in MODELS.items():
        if model.after is None:
            assert name == "transformer"
        else:
            assert model.after in seen
            assert MODELS[model.after].year <= model.year
        seen.append(name)


def test_known_steps() -> None:
    changed = {change.field: (change.before, change.after) for change in step("llama2", "llama3")}
    assert changed == {
        "attention.n_kv_heads": (0, 8),
        "positions.rope_theta": (10_000.0, 500_000.0),
    }
    fields = [change.field for change in step("gpt2", "llama2")]
    assert "positions.kind" in fields
    assert "attention.window" not in fields
    by_field = {change.field: change for change in step("gpt2", "mixtral")}
    assert by_field["experts.n_active"].before is None
    assert by_field["positions.rope_theta"].before is None
    # What is switched off takes its details with it.
    assert not [c for c in step("deepseek-v3", "llama3") if c.field.startswith("experts.n_a")]
    assert {size.field for size in sizes(PRESETS["llama3"], PRESETS["llama3.1"])} == {"max_tokens"}


def step(before: str, after: str) -> list[Change]:
    return diff(PRESETS[before], PRESETS[after])


@pytest.mark.parametrize("name", PRESETS)
def test_a_model_does_not_differ_from_itself(name: str) -> None:
    config = PRESETS[name]
    assert diff(config, config) == []
    assert sizes(config, config) == []
    larger = replace(config, n_layers=config.n_layers + 1)
    assert diff(config, larger) == []
    assert [size.field for size in sizes(config, larger)] == ["n_layers"]


OTHERS: dict[type, tuple[Value, ...]] = {bool: (True, False), int: (1, 2, 4, 8), float: (2.0, 0.5)}
KINDS: dict[str, tuple[Value, ...]] = {
    "attention.qk_norm_over": ("all", "head"),
    "experts.score": ("softmax", "sigmoid"),
    "positions.scaling.kind": ("linear", "none"),
}


@pytest.mark.parametrize(
    "name", ["gpt2", "bloom", "mixtral", "llama3", "deepseek-v3", "gemma3", "glassmind"]
)
def test_what_is_not_in_use_changes_nothing(name: str) -> None:
    config = replace(scaled_down(PRESETS[name], d_model=32, max_tokens=32), vocab_size=20)
    expected = outputs(config)
    tried = 0
    for field in flatten(config).keys() - in_use(config).keys():
        value = flatten(config)[field]
        for other in KINDS.get(field, OTHERS.get(type(value), ())):
            try:
                changed = replace_at(config, field, written(other))
            except UserError:  # the config itself says that this goes with something else
                continue
            assert diff(config, changed) == []
            if changed != config:
                found = outputs(changed)
                assert found.keys() == expected.keys()
                assert all(torch.equal(found[key], expected[key]) for key in found), field
                tried += 1
                break
    assert tried >= 3


def outputs(config: ModelConfig) -> dict[str, Tensor]:
    """All parameters of the freshly made model, and its logits."""
    torch.manual_seed(0)
    model = Transformer(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
        logits = model(torch.arange(12)[None] % 20)
    return dict(model.named_parameters()) | {"logits": logits}


def test_zeros_are_explained() -> None:
    assert shown(PRESETS["gpt2"], "attention.n_kv_heads") == "0 (all 12)"
    assert shown(PRESETS["gpt2"], "attention.bias") == "true"
    assert shown(PRESETS["glassmind"], "feed_forward.d_hidden") == "0 (4 · d_model = 512)"
    assert set(SIZES) <= flatten(ModelConfig()).keys()
