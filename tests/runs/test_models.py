"""Finished models: saved, found again, and refused where something does not belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from glassmind.errors import UserError
from glassmind.grade.chain_features import FEATURES
from glassmind.model import AttentionConfig, ModelConfig, TokenScorer, Transformer
from glassmind.runs.folder import open_run
from glassmind.runs.models import VERIFIER, load, load_model, save_model, with_vocabulary
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import CharTokenizer, save, train_bpe

TOKENIZER = CharTokenizer("é")
CONFIG = ModelConfig(
    vocab_size=TOKENIZER.vocab_size,
    max_tokens=32,
    d_model=16,
    n_layers=1,
    attention=AttentionConfig(n_heads=2),
)


def shaken(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)


def make_model() -> Transformer:
    model = Transformer(CONFIG)
    shaken(model)
    return model


def make_scorer() -> TokenScorer:
    scorer = TokenScorer(Transformer(CONFIG), 2)
    shaken(scorer)
    return scorer


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with a direct model, a chain-of-thought model and a verifier."""
    folder = open_run(tmp_path / "run", Recipe(name="r", model=CONFIG), resume=False)
    save(TOKENIZER, folder.path / "tokenizer.json")
    for stage in ("direct", "chain-of-thought"):
        save_model(folder.model_folder(stage), make_model(), TOKENIZER, stage)
    save_model(folder.model_folder(VERIFIER), make_scorer(), TOKENIZER, VERIFIER)
    return folder.path


@torch.no_grad()
def test_a_model_comes_back(tmp_path: Path) -> None:
    model = make_model().eval()
    save_model(tmp_path, model, TOKENIZER, "direct")
    found = load_model(tmp_path, TOKENIZER)
    assert isinstance(found, Transformer)
    assert not found.training
    ids = torch.arange(20)[None]
    assert torch.equal(found(ids), model(ids))


@torch.no_grad()
def test_a_scorer_comes_back(tmp_path: Path) -> None:
    scorer = make_scorer().eval()
    save_model(tmp_path, scorer, TOKENIZER, VERIFIER)
    found = load_model(tmp_path, TOKENIZER)
    assert isinstance(found, TokenScorer)
    assert len(found.judge) == 2
    arguments = {
        "positions_BT": torch.arange(5)[None],
        "previous_BT": torch.tensor([[0, 0, 1, 2, 3]]),
        "mask": torch.ones(1, 5, 5, dtype=torch.bool).tril(),
    }
    ids = torch.arange(5)[None]
    assert torch.equal(found(ids, **arguments)[0], scorer(ids, **arguments)[0])


def test_a_trunk_that_is_another_stage_s_model_is_stored_once(run: Path) -> None:
    trunk = load_model(run / "models" / "direct", TOKENIZER)
    assert isinstance(trunk, Transformer)
    scorer = TokenScorer(trunk, 1)
    shaken(scorer.judge)
    folder = run / "models" / VERIFIER
    size = (folder / "model.safetensors").stat().st_size
    save_model(folder, scorer, TOKENIZER, VERIFIER, trunk_stage="direct")
    assert (folder / "model.safetensors").stat().st_size < size
    found = load_model(folder, TOKENIZER).state_dict()
    assert all(torch.equal(found[name], value) for name, value in scorer.state_dict().items())
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    for wrong in ("../../elsewhere", "verifier", 3):
        (folder / "model.json").write_text(json.dumps(facts | {"trunk": wrong}), "utf-8")
        with pytest.raises(UserError, match=r"model\.json: .*trunk"):
            load_model(folder, TOKENIZER)
    (folder / "model.json").write_text(json.dumps(facts | {"trunk": "pretrain"}), "utf-8")
    with pytest.raises(UserError, match="is missing"):
        load_model(folder, TOKENIZER)


def test_a_scorer_s_weighing_is_saved(tmp_path: Path) -> None:
    scorer = TokenScorer(Transformer(CONFIG), 1, FEATURES)
    torch.nn.init.normal_(scorer.weighing)
    save_model(tmp_path, scorer, TOKENIZER, VERIFIER)
    found = load_model(tmp_path, TOKENIZER)
    assert isinstance(found, TokenScorer)
    assert torch.equal(found.weighing, scorer.weighing)
    described = json.loads((tmp_path / "model.json").read_text("utf-8"))
    for wrong in (-1, FEATURES + 1):
        (tmp_path / "model.json").write_text(json.dumps(described | {"features": wrong}), "utf-8")
        with pytest.raises(UserError, match=r"features must be 0 or, for a scorer"):
            load_model(tmp_path, TOKENIZER)
    # As written before there were any:
    save_model(tmp_path, TokenScorer(Transformer(CONFIG), 1), TOKENIZER, VERIFIER)
    now = json.loads((tmp_path / "model.json").read_text("utf-8"))
    del now["features"]
    (tmp_path / "model.json").write_text(json.dumps(now), "utf-8")
    old = load_model(tmp_path, TOKENIZER)
    assert isinstance(old, TokenScorer) and old.weighing is None


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    save_model(tmp_path, make_model(), TOKENIZER, "direct")
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load_model(tmp_path, TOKENIZER)
    assert torch.equal(torch.rand(3), expected)


def test_load_takes_the_best_stage_and_the_verifier(run: Path) -> None:
    loaded = load(run)
    assert loaded.stage == "chain-of-thought"
    assert loaded.verifier is not None
    assert loaded.recipe.name == "r"
    assert loaded.tokenizer.vocab_size == TOKENIZER.vocab_size
    assert load(run, "direct").stage == "direct"
    assert load(str(run)).stage == "chain-of-thought"


def test_a_model_s_former_stage_is_read(run: Path) -> None:
    """The direct model was called base, as a folder and as the trunk of a scorer."""
    (run / "models" / "direct").rename(run / "models" / "base")
    assert load(run, "direct").style == "direct"
    trunk = load_model(run / "models" / "base", TOKENIZER)
    assert isinstance(trunk, Transformer)
    folder = run / "models" / VERIFIER
    save_model(folder, TokenScorer(trunk, 1), TOKENIZER, VERIFIER, trunk_stage="base")
    facts = json.loads((folder / "model.json").read_text("utf-8"))
    assert facts["trunk"] == "base"
    assert isinstance(load_model(folder, TOKENIZER), TokenScorer)


def test_a_run_without_that_model(run: Path) -> None:
    with pytest.raises(
        UserError, match="no finished model pretrain; it has chain-of-thought, direct"
    ):
        load(run, "pretrain")
    with pytest.raises(UserError, match="no finished model verifier"):
        load(run, "verifier")
    for stage in ("direct", "chain-of-thought"):
        (run / "models" / stage / "model.json").unlink()
    with pytest.raises(UserError, match="no finished model at all; it has none yet"):
        load(run)


def test_what_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="is not a run"):
            load(path)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-7], "damaged or not a safetensors file"),
        (lambda data: b"", "damaged or not a safetensors file"),
        (lambda data: b"GGUF" + data, "damaged or not a safetensors file"),
    ],
)
def test_damaged_weights_are_refused(damage: object, said: str, run: Path) -> None:
    path = run / "models" / "chain-of-thought" / "model.safetensors"
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=said):
        load(run)


def test_weights_of_another_model_are_refused(run: Path) -> None:
    scorer = (run / "models" / VERIFIER / "model.safetensors").read_bytes()
    (run / "models" / "chain-of-thought" / "model.safetensors").write_bytes(scorer)
    with pytest.raises(UserError, match="does not match its checksum"):
        load(run)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_verifier_that_is_no_number_is_refused(value: float, run: Path) -> None:
    scorer = make_scorer()
    with torch.no_grad():
        next(reversed(list(scorer.parameters()))).view(-1)[0] = value
    save_model(run / "models" / VERIFIER, scorer, TOKENIZER, VERIFIER)
    with pytest.raises(UserError, match="holds a weight that is not a number"):
        load(run)


def test_a_flipped_bit_is_noticed(run: Path) -> None:
    path = run / "models" / "chain-of-thought" / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x40
    path.write_bytes(bytes(data))
    with pytest.raises(UserError):
        load(run)


def test_another_vocabulary_is_refused(run: Path) -> None:
    save(CharTokenizer("éß"), run / "tokenizer.json")
    with pytest.raises(UserError, match=r"vocabulary 264.*another tokenizer.*vocabulary 265"):
        load(run)
    # As many tokens, but other ones: only the fingerprint tells.
    save(CharTokenizer("ß"), run / "tokenizer.json")
    with pytest.raises(UserError, match="another tokenizer"):
        load(run)
    save(train_bpe(["aa aa aa"], 264), run / "tokenizer.json")
    with pytest.raises(UserError, match="another tokenizer"):
        load(run)


def test_a_damaged_tokenizer_is_refused(run: Path) -> None:
    path = run / "tokenizer.json"
    path.write_text(path.read_text("utf-8")[:-20], "utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        load(run)
    path.unlink()
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        load(run)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": 2}, "not a model of format 1"),
        ({"config": {"d_modle": 16}}, "unknown key config.d_modle"),
        ({"config": {"d_model": "16"}}, "d_model takes an integer"),
        ({"config": None}, "config takes a table"),
    ],
)
def test_damaged_facts_are_refused(changes: dict[str, object], said: str, run: Path) -> None:
    path = run / "models" / "chain-of-thought" / "model.json"
    facts = json.loads(path.read_text("utf-8")) | changes
    path.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(UserError, match=said):
        load(run)


@pytest.mark.parametrize("layers", [None, -1, "two", 10**9])
def test_an_impossible_judge_is_refused(layers: object, run: Path) -> None:
    path = run / "models" / VERIFIER / "model.json"
    facts = json.loads(path.read_text("utf-8")) | {"judge_layers": layers}
    path.write_text(json.dumps(facts), "utf-8")
    with pytest.raises(UserError, match="judge_layers"):
        load(run)


def test_a_scorer_in_the_place_of_a_language_model(run: Path) -> None:
    scorer = run / "models" / VERIFIER
    for name in ("model.json", "model.safetensors"):
        (run / "models" / "direct" / name).write_bytes((scorer / name).read_bytes())
    with pytest.raises(UserError, match="holds a scorer, not a language model"):
        load(run, "direct")


def test_the_vocabulary_follows_the_tokenizer() -> None:
    assert with_vocabulary(ModelConfig(), TOKENIZER).vocab_size == 264
    assert with_vocabulary(CONFIG, TOKENIZER) == CONFIG
    with pytest.raises(UserError, match=r"model\.vocab_size is 100 and the tokenizer has 264"):
        with_vocabulary(ModelConfig(vocab_size=100), TOKENIZER)


def _shipped() -> bool:
    from importlib import resources

    return (resources.files("glassmind") / "weights" / "word-problems").is_dir()


@pytest.mark.skipif(not _shipped(), reason="this installation has no shipped model")
def test_the_shipped_model_loads() -> None:
    loaded = load()
    assert loaded.stage == "chain-of-thought"
    assert loaded.verifier is not None
    size = sum(p.stat().st_size for p in loaded.run.path.rglob("*") if p.is_file())
    assert size <= 8 * 2**20
