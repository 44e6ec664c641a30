"""Recipes: read whole, written whole, and every mistake named with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.runs.recipe import (
    Recipe,
    SamplingConfig,
    read_recipe,
    recipe_toml,
    shipped_recipes,
)


def write(folder: Path, text: str | bytes) -> str:
    path = folder / "r.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def test_what_is_left_out_keeps_its_default(tmp_path: Path) -> None:
    recipe = read_recipe(write(tmp_path, "[train]\nsteps = 7\n[problems.dial]\nmax_steps = 3\n"))
    assert recipe.train.steps == 7
    assert recipe.problems.dial.max_steps == 3
    assert recipe.model == Recipe().model
    assert recipe.verifier.train.steps == 300
    assert read_recipe(write(tmp_path, "")) == Recipe()


def test_the_resolved_recipe_comes_back_exactly(tmp_path: Path) -> None:
    recipe = read_recipe(
        write(tmp_path, 'name = "é"\n[problems.dial]\nfamilies = ["buying", "rates"]\n')
    )
    text = recipe_toml(recipe)
    assert read_recipe(write(tmp_path, text)) == recipe
    assert recipe_toml(read_recipe(write(tmp_path, text))) == text
    for key in ("muon_lr", "max_number", "top_p", "language_weight", "rope_theta"):
        assert f"{key} = " in text


def test_a_run_is_a_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("seed = 5\n", "utf-8")
    assert read_recipe(str(tmp_path)).seed == 5


def test_every_shipped_recipe_is_valid() -> None:
    shipped = shipped_recipes()
    assert {"demo", "short"} <= shipped.keys()
    for name, about in shipped.items():
        recipe = read_recipe(name)
        assert recipe.about == about
        assert about
        assert read_recipe(name) == recipe


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_a_shipped_recipe_bears_its_own_name(name: str) -> None:
    assert read_recipe(name).name == name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nstep = 3\n", r"unknown key train\.step \(did you mean steps\?\)"),
        ("nonsense = 1\n", "unknown key nonsense"),
        ("[train]\nsteps = '300'\n", r"train\.steps takes an integer such as 300, not '300'"),
        ("[train]\nsteps = 3.5\n", r"train\.steps takes an integer"),
        ("[train]\nsteps = true\n", r"train\.steps takes an integer"),
        ("[train]\nmuon_lr = nan\n", r"train\.muon_lr takes a number"),
        ("train = 3\n", "train must be a table|train takes a table"),
        ("[train]\nschedule = 'cosin'\n", r"train\.schedule takes one of .*did you mean cosine"),
        ("[train]\nsteps = 0\n", "train: steps must be at least 1, not 0"),
        ("[train]\nmuon_lr = -1.0\n", "train: muon_lr must lie between 0 and 10"),
        ("[sampling]\nsamples = 0\n", "sampling: samples must be at least 1"),
        ("[sampling]\nsamples = 1025\n", "sampling: samples must be at most 1024"),
        ("[verifier]\nsamples = 1025\n", "verifier: samples must be at most 1024"),
        ("[sampling]\ntop_p = 1.5\n", "sampling: top_p must lie between 0 and 1"),
        ("[sampling]\ntemperature = -0.1\n", "sampling: temperature must lie between"),
        ("[verifier]\nbranches = 0\n", "verifier: branches must be at least 1"),
        ("[verifier.train]\nsteps = 0\n", r"verifier\.train: steps must be at least 1"),
        ("[verifier.train]\nweights = 'best'\n", r'verifier: train\.weights must be "last"'),
        ("[problems]\ntest = 0\n", "problems: test must be at least 1"),
        ("[problems.dial]\nmin_steps = 5\n", r"problems\.dial: min_steps 5 and max_steps 4"),
        ("[problems.dial]\nfamilies = ['chess']\n", r"problems\.dial: no story family 'chess'"),
        ("[problems.solutions]\nswap = 2\n", r"problems\.solutions: swap must lie between"),
        ("[tokenizer]\nvocab_size = 100\n", "tokenizer: vocab_size must be at least"),
        ("[pretrain]\nvalidation_fraction = 0.9\n", "pretrain: validation_fraction must lie"),
        ("[model]\nd_model = 30\n", r"model: d_model \(30\) must be divisible"),
        ("seed = -1\n", "seed must be at least 0"),
        ("name = \n", "is not valid TOML"),
        ("a = 1\na = 2\n", "is not valid TOML"),
        (b"name = '\xff'\n", "is not UTF-8 text"),
    ],
)
def test_mistakes_are_named(text: str | bytes, said: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=said) as caught:
        read_recipe(path)
    assert "r.toml" in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_no_such_recipe_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recipe 'dmeo'.*demo"):
        read_recipe("dmeo")
    with pytest.raises(UserError, match="there is no recipe"):
        read_recipe(str(tmp_path / "no.toml"))
    with pytest.raises(UserError, match="there is no recipe"):
        read_recipe(str(tmp_path))  # a folder that is no run


@pytest.mark.parametrize("values", [{"top_p": 0.0}, {"temperature": 1e-5}])
def test_values_that_sampling_refuses_are_refused_at_once(values: dict[str, float]) -> None:
    """After ten minutes of training is a bad moment to hear of a typing error."""
    with pytest.raises(ValueError, match="must"):
        SamplingConfig(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("about = " + "[" * 5000, "nested too deeply"),
        ("seed = " + "9" * 5000, "not valid TOML"),
        ("about = '" + "a" * (1 << 20) + "'", "too long for what it is"),
    ],
)
def test_a_recipe_that_is_no_recipe_by_its_size(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=said):
        read_recipe(str(path))
