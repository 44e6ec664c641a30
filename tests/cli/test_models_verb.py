"""``glassmind models``: the table, one model, two models, the page."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from command_line import complaint, product

from glassmind.learn import page, pictures
from glassmind.model import PRESETS, ModelConfig
from glassmind.runs.recipe import read_recipe
from glassmind.serialization import decode

QUICK = (
    "problems.train=40",
    "problems.validation=5",
    "problems.test=5",
    "problems.longer=0",
    "problems.reworded=0",
    "tokenizer.vocab_size=300",
    "model.max_tokens=256",
    "train.steps=2",
    "train.batch_rows=1",
    "train.compile=off",
)


pytestmark = pytest.mark.usefixtures("scratch")


def test_the_table_has_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    lines = product(capsys, "models").splitlines()
    assert lines[0].split()[:4] == ["model", "year", "parameters", "active"]
    assert {line.split(" ")[0] for line in lines[1:]} >= PRESETS.keys()
    (mixtral,) = (line for line in lines if line.startswith("mixtral"))
    assert mixtral.split()[1:6] == ["2024", "46.7B", "12.9B", "131,072", "B"]


def test_the_table_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(product(capsys, "models", "--json", "--context", "1000"))
    assert found["context"] == 1000
    rows = {row["name"]: row for row in found["models"]}
    assert rows.keys() == PRESETS.keys()
    assert rows["gpt2"]["parameters"] == 124_439_808
    assert rows["gpt2"]["counted_context"] == 1000
    assert rows["transformer"]["counted_context"] == 512
    assert rows["gpt2"]["kv_bytes"] == 1000 * rows["gpt2"]["kv_bytes_per_token"]


@pytest.mark.parametrize("name", PRESETS)
def test_one_model_is_the_table_of_a_recipe(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown = product(capsys, "models", "show", name)
    assert "# parameters: " in shown
    assert decode(ModelConfig, tomllib.loads(shown)["model"], name) == PRESETS[name]
    assert json.loads(product(capsys, "models", "show", name, "--json"))["name"] == name


@pytest.mark.parametrize("name", PRESETS)
def test_every_model_has_a_recipe(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.toml"
    path.write_text(product(capsys, "models", "show", name, "--recipe"), "utf-8")
    recipe = read_recipe(str(path))
    assert recipe.model.d_model == 128
    assert recipe.model.vocab_size == 0


def test_and_it_trains(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, path = "deepseek-v3", tmp_path / "small.toml"
    path.write_text(product(capsys, "models", "show", name, "--recipe"), "utf-8")
    overrides = [word for value in QUICK for word in ("--set", value)]
    product(capsys, "train", str(path), *overrides)
    answer = product(capsys, "ask", "How many?", "--model", f"runs/{name}-train", "--samples", "1")
    assert answer.startswith("How many?")


def test_two_models(capsys: pytest.CaptureFixture[str]) -> None:
    shown = product(capsys, "models", "diff", "gpt2", "llama3")
    assert "positions.kind  learned → rope\n    Rotating queries" in shown
    assert "arXiv 2104.09864" in shown
    assert "attention.n_kv_heads  0 (all 12) → 8" in shown
    assert "positions.rope_theta  not used → 500000.0" in shown
    assert "only the size differs\n    vocab_size  50257 → 128256" in shown
    for arguments in (("models", "--json", "diff"), ("models", "diff", "--json")):
        found = json.loads(product(capsys, *arguments, "gpt2", "llama3"))
        assert {"field": "vocab_size", "before": 50257, "after": 128256} in found["sizes"]
        change = next(each for each in found["changes"] if each["field"] == "positions.kind")
        assert (change["before"], change["after"]) == ("learned", "rope")
        assert change["paper"] == {"cite": "Su et al. 2021", "arxiv": "2104.09864"}
    assert product(capsys, "models", "diff", "gpt2", "gpt2") == ""


def test_mistakes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean llama2" in complaint(capsys, "models", "diff", "gpt2", "lama2")
    assert "did you mean llama3" in complaint(capsys, "models", "show", "LLAMA-3")
    assert "known: transformer, gpt2" in complaint(capsys, "models", "show", "zzzzzz")
    assert "--context must be at least 1" in complaint(capsys, "models", "--context", "0")


def test_the_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert product(capsys, "models", "page") == page()  # nothing measured lies here
    (tmp_path / "wrong.json").write_text("{}")
    assert "benchmark is missing" in complaint(capsys, "models", "page", "--measured", "wrong.json")
    assert product(capsys, "models", "page", "--to", "docs") == ""
    assert (tmp_path / "docs/ARCHITECTURES.md").read_text("utf-8") == page()
    assert {file.name for file in (tmp_path / "docs/figures").iterdir()} == pictures().keys()
