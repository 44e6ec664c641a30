"""Every verb that works on a run, in this process: its product, and one sentence for mistakes."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest
from command_line import complaint, product

from glassmind.cli import console
from glassmind.cli.main import main
from glassmind.data import ProblemDial, generate, save_problems
from glassmind.reason import registry
from glassmind.reason.needs import Need
from glassmind.tokenize import CharTokenizer, save

RECIPE = """
name = "tiny"
[problems]
train = 300
validation = 10
test = 12
longer = 0
reworded = 0
[problems.dial]
min_steps = 1
max_steps = 2
max_number = 30
families = ["buying", "sharing"]
[tokenizer]
vocab_size = 400
[model]
max_tokens = 192
d_model = 32
n_layers = 1
[model.attention]
n_heads = 2
[train]
steps = 4
batch_rows = 4
warmup = 1
log_every = 1
compile = "off"
precision = "float32"
[sampling]
samples = 2
temperature = 1.0
max_new_tokens = 24
[verifier]
problems = 60
samples = 4
branches = 2
facts = true
[verifier.train]
steps = 4
batch_rows = 1
compile = "off"
precision = "float32"
"""
QUESTION = "Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"


HAS: set[Need] = {"direct", "chain", "steps", "verifier", "answers"}
METHODS = [method.name for method in registry.usual(HAS)]

pytestmark = pytest.mark.usefixtures("scratch")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipes") / "tiny.toml"
    path.write_text(RECIPE, "utf-8")
    return path


@pytest.fixture(scope="module")
def pristine(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished ladder."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert main(["ladder", str(recipe), "--run", str(folder)]) == 0
    return folder


@pytest.fixture
def run(pristine: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    return Path(shutil.copytree(pristine, tmp_path / "run"))


# ------------------------------------------------------------------------------- what they do


def test_ladder_prints_its_table_and_is_resumed(
    recipe: Path, pristine: Path, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = product(capsys, "ladder", str(recipe), "--run", str(run), "--resume")
    assert "chain of thought" in table
    assert "\x1b" not in table
    printed = product(capsys, "ladder", str(recipe), "--run", str(run), "--resume", "--json")
    assert json.loads(printed) == json.loads((pristine / "ladder.json").read_text("utf-8"))
    assert [row["rung"] for row in json.loads(printed)["rows"]] == METHODS
    said = complaint(capsys, "ladder", str(recipe), "--run", str(run))
    assert "already holds a run: go on with it by --resume" in said
    said = complaint(capsys, "ladder", str(recipe), "--run", str(run), "--resume", "--seed", "5")
    assert "another seed (0, now 5)" in said


def test_resume_takes_the_run_s_own_recipe(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ("--set", "train.steps=2", "--set", "train.batch_rows=2")
    folder = Path(json.loads(product(capsys, "train", str(recipe), *short, "--json"))["run"])
    assert folder == Path("runs/tiny-train")
    for command in (
        (str(recipe),),  # without --set again
        (str(folder),),
        ("--run", str(folder)),
        (str(recipe), *short),
    ):
        facts = json.loads(product(capsys, "train", *command, "--resume", "--json"))
        assert Path(facts["run"]) == folder
    assert main(["train", str(recipe), "--resume"]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "its own recipe" in said and "train.steps (4, now 2)" in said
    for more, sentence in (
        (("--set", "train.steps=3"), "another train.steps (2, now 3)"),
        (("--depth", "2"), "was started at depth 1, not 2"),
    ):
        assert sentence in complaint(capsys, "train", str(folder), "--resume", *more)
    said = complaint(capsys, "train", "demo", "--run", str(folder), "--resume")
    assert f"{folder} is a run of the recipe tiny, not of demo" in said
    said = complaint(capsys, "ladder", "--run", str(folder), "--resume", "--problems", "x.jsonl")
    assert "another problems.file" in said


def test_resume_never_begins_a_run(recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (
        ("train", str(recipe)),
        ("train", str(recipe), "--run", "runs/mine"),
        ("train", "--run", "runs/mine"),
        ("ladder", str(recipe)),
        ("ladder", "--run", "runs/mine"),
        ("ladder",),
        ("demo", "--short"),
        ("scaling", str(recipe)),
    ):
        assert "to continue" in complaint(capsys, *argv, "--resume")
    assert "there is no recipe 'runs/mine'" in complaint(capsys, "ladder", "runs/mine", "--resume")
    assert "no recipe was given" in complaint(capsys, "train", "--run", "runs/mine")
    assert "say which run" in complaint(capsys, "train", "--resume")
    assert not Path("runs").exists()


def test_report_writes_the_page_again(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").unlink()
    assert "chain of thought" in product(capsys, "report", str(run))
    assert (run / "report.html").is_file()
    assert json.loads(product(capsys, "report", str(run), "--json"))["schema"] == 2


def test_train_makes_a_run_that_answers(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("train", str(recipe), "--set", "train.steps=2", "--seed", "4", "--json")
    facts = json.loads(product(capsys, *arguments))
    assert facts["seed"] == 4
    assert Path(facts["run"]) == Path("runs/tiny-train")
    assert (tmp_path / "runs" / "tiny-train" / "models" / "chain-of-thought").is_dir()
    answer = json.loads(product(capsys, "ask", QUESTION, "--model", "runs/tiny-train", "--json"))
    assert answer["question"] == QUESTION
    assert answer["weighted"] == {}


def test_ask_shows_an_answer(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = product(capsys, "ask", QUESTION, "--model", str(pristine))
    assert shown.startswith(QUESTION)
    assert "votes" in shown
    assert "answer" in shown
    every = product(capsys, "ask", QUESTION, "--model", str(pristine), "--chains", "--samples", "5")
    assert all(f"chain {n} " in every for n in range(1, 6))


def test_ask_as_json(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("ask", QUESTION, "--model", str(pristine), "--json", "--samples", "3")
    printed = product(capsys, *arguments, "--seed", "7")
    assert printed.count("\n") == 1
    answer = json.loads(printed)
    assert answer.keys() == {
        "question", "answer", "method", "cost", "warning", "votes", "weighted", "chains", "chosen",
        "confidence", "examples",
    }  # fmt: skip
    assert len(answer["chains"]) == 3
    again = json.loads(product(capsys, *arguments, "--seed", "7"))
    for one in (answer, again):
        del one["cost"]["seconds"]
    assert again == answer
    assert product(capsys, *arguments, "--seed", "8") != printed


def stdin(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def test_ask_reads_questions_from_standard_input(
    pristine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stdin(monkeypatch, f"{QUESTION}\n\n  \nÄpfel: 3 und 4?\n".encode())
    lines = product(capsys, "ask", "-", "--model", str(pristine), "--json").splitlines()
    assert [json.loads(line)["question"] for line in lines] == [QUESTION, "Äpfel: 3 und 4?"]
    assert json.loads(lines[1])["warning"]
    for data, said in ((b"\n \n", "holds no question"), (b"\xff\n", "not UTF-8")):
        stdin(monkeypatch, data)
        assert said in complaint(capsys, "ask", "-", "--model", str(pristine))


def test_eval_prints_a_ladder(
    pristine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("eval", "--task", "test", "--model", str(pristine), "--limit", "3")
    assert "self-consistency" in product(capsys, *arguments)
    result = json.loads(product(capsys, *arguments, "--json"))
    assert {row["n"] for row in result["rows"]} == {3}
    direct = json.loads(product(capsys, *arguments, "--stage", "direct", "--json"))
    assert [row["rung"] for row in direct["rows"]] == ["direct"]
    dial = ProblemDial(min_steps=1, max_steps=2, max_number=30)
    save_problems(generate(dial, 3, split="test", seed=1), tmp_path / "mine.jsonl")
    own = json.loads(
        product(capsys, "eval", "--task", "mine.jsonl", "--model", str(pristine), "--json")
    )
    assert {(row["slice"], row["n"]) for row in own["rows"]} == {("mine.jsonl", 3)}


def test_demo_goes_on_by_itself(
    recipe: Path, run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from glassmind.runs import recipe as recipes

    read = recipes.read_recipe
    monkeypatch.setattr(recipes, "read_recipe", lambda name: read(str(recipe)))
    again = json.loads(product(capsys, "demo", "--run", str(run), "--json"))
    assert [row["rung"] for row in again["rows"]] == METHODS


def test_ctrl_c_leaves_a_run_that_goes_on(
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from glassmind.cli import live

    class Interrupted(live.LiveProgress):
        def update(self, done: int, **figures: float) -> None:
            if done == 2:
                raise KeyboardInterrupt

    arguments = ["train", str(recipe), "--run", str(tmp_path / "cut")]
    with monkeypatch.context() as patched:
        patched.setattr(live, "LiveProgress", Interrupted)
        assert main(arguments) == 130
    captured = capsys.readouterr()
    assert captured.err.endswith(
        "glassmind: interrupted; the same command with --resume continues\n"
    )
    assert captured.out == ""
    assert main([*arguments, "--resume"]) == 0


# ------------------------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("train.step=3", "unknown key train.step (did you mean steps?)"),
        ("train.steps=many", "train.steps takes an integer such as 300, not 'many'"),
        ("train.steps=0", "train: steps must be at least 1"),
        ("model.d_model=33", "d_model (33) must be divisible"),
        ("sampling.samples=0", "samples must be at least 1"),
        ("steps", "--set takes KEY=VALUE"),
    ],
)
@pytest.mark.parametrize("verb", ["train", "ladder", "demo"])
def test_wrong_changes_of_a_recipe(
    verb: str, change: str, said: str, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = () if verb == "demo" else (str(recipe),)
    assert said in complaint(capsys, verb, *given, "--set", change, "--run", "no")
    assert not Path("no").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[train]\nstep = 3\n", "recipe r.toml: unknown key train.step"),
        ("[train]\nsteps = '3'\n", "recipe r.toml: train.steps takes an integer"),
        ("[train\n", "recipe r.toml is not valid TOML"),
    ],
)
def test_wrong_recipes(text: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("r.toml").write_text(text, "utf-8")
    for verb in ("train", "ladder"):
        assert said in complaint(capsys, verb, "r.toml", "--run", "no")
    assert "there is no recipe 'dmeo'" in complaint(capsys, "train", "dmeo")


@pytest.mark.parametrize(
    "argv", [("ask", QUESTION, "--model"), ("eval", "--task", "test", "--model"), ("report",)]
)
def test_a_folder_that_is_no_run(
    argv: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text.txt").write_text("mine", "utf-8")
    for folder in ("thesis", "nowhere", "thesis/text.txt"):
        assert f"{folder} is not a run" in complaint(capsys, *argv, folder)


def test_starting_in_a_folder_that_is_no_run(
    recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.txt").write_text("mine", "utf-8")
    for verb in ("train", "ladder"):
        for folder in (".", "mine.txt"):
            said = complaint(capsys, verb, str(recipe), "--run", folder, "--resume")
            assert "exists and is not a run" in said
    said = complaint(capsys, "train", str(recipe), "--run", "mine.txt/run")
    assert "cannot be written: Not a directory" in said


def test_damaged_weights(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run / "models" / "chain-of-thought" / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        for argv in (("ask", QUESTION), ("eval", "--task", "test")):
            said = complaint(capsys, *argv, "--model", str(run))
            assert "model.safetensors is damaged or not a safetensors file" in said
    verifier = run / "models" / "verifier" / "model.safetensors"
    path.write_bytes(verifier.read_bytes())
    assert "does not match its checksum" in complaint(capsys, "ask", QUESTION, "--model", str(run))


def test_a_vocabulary_that_does_not_match(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(CharTokenizer("é"), run / "tokenizer.json")
    said = complaint(capsys, "ask", QUESTION, "--model", str(run))
    assert "was trained with another tokenizer than the one next to it" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "mine.jsonl holds no problems"),
        (b"\n\n", "mine.jsonl holds no problems"),
        (b'{"question": "\xff", "answer": 1}\n', "mine.jsonl line 1 is not UTF-8 text"),
        (b"PK\x03\x04", "mine.jsonl line 1 is not JSON"),
        (b'{"question": "How many?"}\n', 'mine.jsonl line 1 needs an "answer"'),
    ],
)
def test_files_that_are_no_problems(
    content: bytes, said: str, pristine: Path, recipe: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.jsonl").write_bytes(content)
    model = ("--model", str(pristine))
    assert said in complaint(capsys, "eval", "--task", "mine.jsonl", *model)
    arguments = ("ladder", str(recipe), "--problems", "mine.jsonl", "--run", "no")
    assert said in complaint(capsys, *arguments)


def test_missing_problems(pristine: Path, recipe: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", str(pristine))
    assert "there is no file of problems no.jsonl" in complaint(
        capsys, "eval", "--task", "no.jsonl", *model
    )
    assert "there is no task 'chess'" in complaint(capsys, "eval", "--task", "chess", *model)
    assert "set GLASSMIND_DATA" in complaint(capsys, "eval", "--task", "gsm8k", *model)
    arguments = ("ladder", str(recipe), "--problems", "gsm8k", "--run", "no")
    assert "set GLASSMIND_DATA" in complaint(capsys, *arguments)


def test_questions_that_cannot_be_asked(pristine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", str(pristine))
    said = complaint(capsys, "ask", "How many are many? " * 90, *model)
    assert "the model reads at most 192" in said
    assert "shorten it" in said
    assert "the question is empty" in complaint(capsys, "ask", "  ", *model)
    for argv in (("ask", QUESTION), ("eval", "--task", "test")):
        assert "--samples must be at least 1, not 0" in complaint(
            capsys, *argv, *model, "--samples", "0"
        )
        assert "--threads must be at least 1" in complaint(capsys, *argv, *model, "--threads", "0")
    assert "--limit must be at least 0" in complaint(
        capsys, "eval", "--task", "test", *model, "--limit", "-1"
    )
    said = complaint(capsys, "eval", "--task", "test", *model, "--device", "toaster")
    assert "--device toaster cannot be used here" in said


def test_a_stage_that_was_not_trained(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("eval", "--task", "test", "--model", str(run), "--stage", "pretrain")
    assert "no finished model pretrain; it has chain-of-thought" in complaint(capsys, *arguments)
    (run / "ladder.json").unlink()  # then it is a training, and has a report of its own
    assert "chain-of-thought" in product(capsys, "report", str(run))


@pytest.mark.parametrize("temperature", ["-1", "nan", "1000"])
@pytest.mark.parametrize("argv", [("ask", QUESTION), ("eval", "--task", "test")])
def test_impossible_temperatures(
    argv: tuple[str, ...], temperature: str, pristine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (*argv, "--model", str(pristine), "--temperature", temperature)
    assert "temperature" in complaint(capsys, *arguments)


@pytest.mark.skipif(
    not (Path(console.__file__).parents[1] / "weights" / "word-problems").is_dir(),
    reason="this installation has no shipped model",
)
def test_the_shipped_model_answers(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(product(capsys, "ask", QUESTION, "--json"))
    assert answer["answer"] == "31"
    assert answer["warning"] is None
