"""The whole ladder on a model too small to learn anything: files, resumption, questions."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import step_beam
import torch

from glassmind.data import ProblemDial, generate, save_problems
from glassmind.errors import UserError
from glassmind.evaluate.run_files import Ladder, LadderRow
from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import Familiarity
from glassmind.model import AttentionConfig, ModelConfig
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.pipeline.evaluate import grade_task, task_problems
from glassmind.pipeline.ladder import finished_ladder, run_ladder
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.training import run_training
from glassmind.progress import Silent
from glassmind.reason import registry
from glassmind.reason.needs import Need
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.models import load
from glassmind.runs.recipe import (
    PretrainConfig,
    ProblemsConfig,
    Recipe,
    ReinforceConfig,
    SamplingConfig,
    TokenizerConfig,
    TrainConfig,
    VerifierConfig,
)
from glassmind.serialization import read_json

TRAIN = TrainConfig(
    steps=5,
    batch_rows=4,
    row_tokens=192,
    warmup=1,
    log_every=1,
    checkpoint_minutes=0.0,
    precision="float32",
    compile="off",
)
RECIPE = Recipe(
    name="tiny",
    seed=2,
    problems=ProblemsConfig(
        train=300,
        validation=10,
        test=30,
        longer=6,
        reworded=6,
        dial=ProblemDial(min_steps=1, max_steps=2, max_number=30, families=("buying", "sharing")),
    ),
    tokenizer=TokenizerConfig(vocab_size=400),
    model=ModelConfig(max_tokens=192, d_model=32, n_layers=1, attention=AttentionConfig(n_heads=2)),
    train=TRAIN,
    sampling=SamplingConfig(samples=2, temperature=1.0, max_new_tokens=24),
    verifier=VerifierConfig(problems=60, samples=4, branches=2, train=replace(TRAIN, batch_rows=1)),
    reinforce=ReinforceConfig(
        on=True,
        options={"questions": 2, "group": 2},
        train=replace(TRAIN, steps=2, batch_rows=1),
    ),
)
HAS: set[Need] = {"direct", "chain", "steps", "verifier", "reinforced", "answers"}
METHODS = [method.name for method in registry.usual(HAS)]
QUESTION = "Mia has 3 boxes of 12 pencils. She gives 5 away. How many pencils are left?"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """One whole ladder. Tests look at it and leave it as it is."""
    return run_ladder(RECIPE, tmp_path_factory.mktemp("runs") / "tiny")


def without_clock(ladder: Ladder) -> list[LadderRow]:
    return [replace(row, seconds=0.0) for row in ladder.rows]


# ---------------------------------------------------------------------------------- the files


def test_everything_is_there(finished: RunFolder) -> None:
    found = {
        path.relative_to(finished.path).as_posix()
        for path in finished.path.rglob("*")
        if path.is_file() and "checkpoints" not in path.parts
    }
    samples = {
        f"samples/{name}-{kind}.safetensors"
        for name in ("test", "longer", "reworded")
        for kind in (
            "direct-greedy",
            "chain-greedy",
            "chain-samples-2",
            "chain-judged-2",
            "chain-searched-evaluated-judged-2",
            "reinforced-chain-greedy",
            "reinforced-chain-samples-2",
            "reinforced-chain-judged-2",
        )
    }
    models = {
        f"models/{stage}/model.{ending}"
        for stage in ("direct", "chain-of-thought", "verifier", "reinforced")
        for ending in ("json", "safetensors")
    }
    plain = {
        "recipe.toml", "run.json", "tokenizer.json", "familiarity.json", "metrics.jsonl",
        "ladder.json", "by_steps.json", "votes.json", "examples.json", "attention.json",
        "report.html", "samples/verifier-training.safetensors", "arithmetic.json",
        "dependencies.json", "groups.jsonl", "watched.jsonl",
    }  # fmt: skip
    assert found == plain | samples | models
    assert finished.recipe() == RECIPE


def test_ladder_json_has_its_schema(finished: RunFolder) -> None:
    written = read_json(finished.path / "ladder.json")
    assert list(written) == [
        "schema", "recipe", "commit", "seed", "rows", "skipped", "rewards", "abstention",
        "provenance",
    ]  # fmt: skip
    ladder = finished_ladder(finished)
    assert (ladder.schema, ladder.recipe, ladder.seed) == (2, "tiny", 2)
    assert ladder.commit == finished.info().commit
    sizes = {"test": 30, "longer": 6, "reworded": 6}
    assert [(row.slice, row.rung) for row in ladder.rows] == [
        (name, rung) for name in sizes for rung in METHODS
    ]
    for row in ladder.rows:
        assert row.n == sizes[row.slice]
        assert row.accuracy == row.correct / row.n
        assert 0 <= row.ci_low <= row.accuracy <= row.ci_high <= 1
        assert (row.against is None) == (row.p_value is None)
        assert (row.against is None) == (row.rung in ("direct", "any-of-k"))


def test_costs_are_each_method_s_own(finished: RunFolder) -> None:
    """One sample costs one sample, and whoever asks the verifier pays for it."""
    ladder = finished_ladder(finished)
    for name in ("test", "longer", "reworded"):
        rows = {row.rung: row for row in ladder.rows if row.slice == name}
        vote, one = rows["self-consistency"], rows["single-sample"]
        judged = rows["verifier-vote"]
        for row in rows.values():
            assert row.completion_tokens > 0 and row.seconds > 0 and row.prompt_tokens
            assert (row.judged_tokens or 0) > 0 or "verifier" not in row.rung
        assert one.judged_tokens == vote.judged_tokens == 0
        assert one.completion_tokens < vote.completion_tokens
        assert one.seconds < vote.seconds < judged.seconds
        assert one.prompt_tokens == vote.prompt_tokens == judged.prompt_tokens
        assert judged.completion_tokens == vote.completion_tokens
        assert judged.tokens > vote.tokens == vote.completion_tokens
        assert rows["verifier-best-of-n"].tokens == judged.tokens
    votes = read_json(finished.path / "votes.json")
    spent = {(row["rung"], row["k"]): row["tokens_per_problem"] for row in votes}
    test = {row.rung: row for row in ladder.rows if row.slice == "test"}
    assert spent["self-consistency", 1] == test["single-sample"].tokens
    for k in (1, 2):
        assert spent["verifier-vote", k] > spent["self-consistency", k]
    assert spent["verifier-vote", 2] == pytest.approx(test["verifier-vote"].tokens)


def test_every_problem_is_counted_by_steps(finished: RunFolder) -> None:
    rows = read_json(finished.path / "by_steps.json")
    for rung in METHODS:
        assert sum(r["n"] for r in rows if (r["rung"], r["slice"]) == (rung, "test")) == 30
    votes = read_json(finished.path / "votes.json")
    assert {(row["rung"], row["k"]) for row in votes} >= {("self-consistency", k) for k in (1, 2)}


def test_metrics_are_in_order(finished: RunFolder) -> None:
    lines = (finished.path / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    steps = [row for row in rows if "loss" in row]
    assert [(row["stage"], row["step"]) for row in steps] == [
        (stage, step)
        for stage, last in (
            ("direct", 5), ("chain-of-thought", 5), ("verifier", 5), ("reinforced", 2)
        )
        for step in range(1, last + 1)
    ]  # fmt: skip
    assert all(math.isfinite(row["loss"]) for row in steps)
    spent = [row["tokens"] for row in steps if row["stage"] in ("direct", "chain-of-thought")]
    assert spent[:5] == spent[5:]  # direct and chain of thought see as many tokens
    measured = [row for row in rows if "validation_loss" in row]
    assert [(row["stage"], row["step"]) for row in measured] == [
        ("direct", 5),
        ("chain-of-thought", 5),
    ]
    assert all(math.isfinite(row["validation_loss"]) for row in measured)
    sampled = [row for row in rows if "engine_trainer_logprob_diff" in row]
    drawn = [p for p in (finished.path / "samples").iterdir() if "judged" not in p.name]
    assert len(sampled) == len(drawn)
    assert all(row["engine_trainer_logprob_diff"]["max"] < 1e-4 for row in sampled)
    assert len(rows) == len(steps) + len(measured) + len(sampled)


def test_the_report_is_one_page(finished: RunFolder) -> None:
    page = (finished.path / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "tiny" in page
    assert "<script" not in page


# --------------------------------------------------------------------------------- resumption


def test_a_finished_run_is_only_shown_again(finished: RunFolder) -> None:
    before = (finished.path / "ladder.json").read_bytes()
    metrics = (finished.path / "metrics.jsonl").read_bytes()
    run_ladder(RECIPE, finished.path, resume=True)
    assert (finished.path / "ladder.json").read_bytes() == before
    assert (finished.path / "metrics.jsonl").read_bytes() == metrics
    with pytest.raises(UserError, match="already holds a run"):
        run_ladder(RECIPE, finished.path)


class CtrlC(Silent):
    """Interrupts one stage: a training at its second step, any other at its first news."""

    def __init__(self, stage: str) -> None:
        self.awaited, self.stage, self.updates, self.fired = stage, "", 0, False

    def start(self, stage: str, total: int, unit: str = "steps") -> None:
        self.stage, self.updates = stage, 0

    def update(self, done: int, **figures: float) -> None:
        self.updates += 1
        at_work = self.updates >= 3 if figures else " " in self.stage  # training, or sampling ...
        if self.stage == self.awaited and at_work:
            self.fired = True
            raise KeyboardInterrupt


STAGES = ["direct", "sampling verifier-training", "verifier", "sampling test-chain-samples-2",
          "verifying test-chain-judged-2"]  # fmt: skip


@pytest.mark.parametrize("stages", [STAGES[:1], STAGES[1:4], STAGES[4:]], ids=lambda s: s[0])
def test_interrupted_and_resumed_is_as_in_one_go(
    stages: list[str], finished: RunFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for stage in stages:
        watcher = CtrlC(stage)
        with pytest.raises(KeyboardInterrupt):
            run_ladder(RECIPE, folder, resume=True, progress=watcher)
        assert watcher.fired
        assert not (folder / "ladder.json").exists()
    run_ladder(RECIPE, folder, resume=True)
    mine, whole = finished_ladder(RunFolder(folder)), finished_ladder(finished)
    assert without_clock(mine) == without_clock(whole)
    for name in (
        "by_steps.json",
        "votes.json",
        "examples.json",
        "attention.json",
        "dependencies.json",
    ):
        assert (folder / name).read_bytes() == (finished.path / name).read_bytes()
    for stage in ("direct", "chain-of-thought", "verifier"):
        name = f"models/{stage}/model.safetensors"
        assert (folder / name).read_bytes() == (finished.path / name).read_bytes()
    leftovers = [p for p in folder.rglob(".*") if p.is_file() or p.name.startswith(".unfinished")]
    assert leftovers == []


# ----------------------------------------------------------------------------- own problems


def own_problems(count: int) -> list[Problem]:
    return generate(RECIPE.problems.dial, count, split="train", seed=9)


def own_recipe(file: Path) -> Recipe:
    return replace(RECIPE, name="own", problems=replace(RECIPE.problems, file=str(file)))


def test_own_problems_climb_the_same_ladder(tmp_path: Path) -> None:
    save_problems(own_problems(150), tmp_path / "mine.jsonl")
    recipe = own_recipe(tmp_path / "mine.jsonl")
    slices = make_slices(recipe)
    questions = [
        {p.question for p in part} for part in (slices.train, slices.validation, slices.test)
    ]
    assert sum(map(len, questions)) <= 150
    assert all(a.isdisjoint(b) for a in questions for b in questions if a is not b)
    run = run_ladder(recipe, tmp_path / "run")
    rows = finished_ladder(run).rows
    assert [(row.slice, row.rung) for row in rows] == [("test", rung) for rung in METHODS]
    assert {row.n for row in rows} == {len(slices.test)}
    assert (run.path / "report.html").is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no problems"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b'{"question": "How many?", "answer": []}\n', "line 1"),
        (b'{"question": "How many?", "answer": 3}\n', "too few problems"),
    ],
)
def test_files_that_are_no_problems_are_refused(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_bytes(content)
    with pytest.raises(UserError, match=said):
        run_ladder(own_recipe(tmp_path / "mine.jsonl"), tmp_path / "run")


def test_a_wrong_file_leaves_no_run_behind(tmp_path: Path) -> None:
    """Or the corrected command is told that there is a run already, with another recipe."""
    with pytest.raises(UserError):
        run_ladder(own_recipe(tmp_path / "mistyped.jsonl"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_question_beyond_the_context_counts_as_wrong(tmp_path: Path) -> None:
    """As ``grade_task`` has it; and not after the training is done."""
    long = [
        Problem(f"long{n}", f"Mia has {n} pencils. " + "She looks at them again. " * 80, str(n))
        for n in range(40)
    ]
    save_problems(own_problems(150) + long, tmp_path / "mine.jsonl")
    run_ladder(own_recipe(tmp_path / "mine.jsonl"), tmp_path / "run")


# ------------------------------------------------------------------------------- ask and eval


def test_ask_shows_chains_votes_and_scores(finished: RunFolder) -> None:
    answer = ask(QUESTION, finished.path)
    assert isinstance(answer, Answer)
    assert answer.question == QUESTION
    assert len(answer.chains) == 2
    assert all(c.score is not None and len(c.step_scores) == len(c.steps) for c in answer.chains)
    assert sum(answer.votes.values()) <= 2
    assert answer.text in {None, *answer.votes}
    assert answer.weighted.keys() == answer.votes.keys()
    assert ask(QUESTION, load(finished.path)) == answer
    more = ask(QUESTION, finished.path, sampling=replace(RECIPE.sampling, samples=3), seed=1)
    assert isinstance(more, Answer)
    assert len(more.chains) == 3


def test_several_questions_are_one_batch(finished: RunFolder) -> None:
    answers = ask([QUESTION, "  " + QUESTION + "\n"], finished.path)
    assert isinstance(answers, list)
    assert [a.question.strip() for a in answers] == [QUESTION, QUESTION]
    assert ask([], finished.path) == []


@pytest.mark.parametrize(
    ("question", "said"),
    [("", "is empty"), (" \n", "is empty"), ("why " * 400, "at most 192"), ("x" * 20_001, "20001")],
)
def test_impossible_questions_are_refused(question: str, said: str, finished: RunFolder) -> None:
    with pytest.raises(UserError, match=said):
        ask(question, finished.path)


def test_strange_questions_come_with_a_warning(finished: RunFolder) -> None:
    strange = ask("Quantum chromodynamics confines 3 quarks; discuss.", finished.path)
    assert isinstance(strange, Answer)
    assert strange.warning is not None
    assert "far from what the model was trained on" in strange.warning


def test_familiarity_is_words_and_numbers() -> None:
    words = ["mia", "has", "pencils", "and", "buys", "more", "how", "many"]
    known = Familiarity(frozenset(words), 99)
    assert known.warning("Mia has 3 pencils and buys 99 more.") is None
    for question, said in (
        ("Mia has 100 pencils.", "numbers went up to 99, and this has 100"),
        ("Mia has 1,000 pencils.", "and this has 1000"),
        ("Mia has pencils.", "has no number"),
        ("3 + 4 = ?", "has no words"),
        ("Otto owns 3 walruses.", r"3 of its 3 different words .*\(otto, owns, walruses\)"),
    ):
        warning = known.warning(question)
        assert warning is not None
        assert re.search(said, warning), warning


def test_a_task_is_graded_as_a_ladder_of_one_slice(finished: RunFolder, tmp_path: Path) -> None:
    loaded = load(finished.path)
    result = grade_task("longer", loaded, limit=4).ladder
    assert result.schema == 2
    assert result.skipped == 0
    shown = [m for m in METHODS if not registry.named(m).needs & {"direct", "reinforced"}]
    assert [row.rung for row in result.rows] == shown
    assert {(row.slice, row.n) for row in result.rows} == {("longer", 4)}
    direct = grade_task("test", load(finished.path, "direct"), limit=5).ladder
    assert [row.rung for row in direct.rows] == ["direct"]
    assert task_problems("test", loaded.recipe, 0) == make_slices(RECIPE).test

    long = Problem("long", "Mia has 3 pencils. " * 100, "3")
    save_problems([*own_problems(3), long], tmp_path / "mine.jsonl")
    own = grade_task(str(tmp_path / "mine.jsonl"), loaded).ladder
    assert own.skipped == 1
    assert {row.n for row in own.rows} == {4}


def test_named_methods_alone_are_graded(finished: RunFolder) -> None:
    loaded = load(finished.path)
    every = {row.rung: row for row in grade_task("test", loaded, limit=6).ladder.rows}
    asked = ["single-sample", "chain-of-thought"]
    some = grade_task("test", loaded, methods=asked, limit=6).ladder
    assert [row.rung for row in some.rows] == ["chain-of-thought", "single-sample"]
    for row in some.rows:
        whole = every[row.rung]
        assert row.correct == whole.correct
        assert row.completion_tokens == whole.completion_tokens
    for methods, said in (
        (
            ["guess"],
            "no method 'guess'; the methods are direct, plain-chain, chain-of-thought",
        ),
        (["direct"], "the method direct needs a model that answers directly"),
    ):
        with pytest.raises(UserError, match=said):
            grade_task("test", loaded, methods=methods)


def test_a_method_is_asked_by_name(finished: RunFolder) -> None:
    loaded = load(finished.path)
    best = ask(QUESTION, loaded)
    assert isinstance(best, Answer)
    assert best.method == "verifier-vote" and best.cost.judged_tokens > 0
    vote = ask(QUESTION, loaded, method="self-consistency")
    assert isinstance(vote, Answer)
    assert [c.token_ids for c in vote.chains] == [c.token_ids for c in best.chains]
    assert (vote.weighted, vote.cost.judged_tokens) == ({}, 0)
    one = ask(QUESTION, loaded, method="chain-of-thought")
    assert isinstance(one, Answer)
    assert len(one.chains) == 1
    for method, said in (("any-of-k", "needs the reference answers"), ("x", "no method 'x'")):
        with pytest.raises(UserError, match=said):
            ask(QUESTION, loaded, method=method)


def test_a_registered_method_is_a_rung(finished: RunFolder, tmp_path: Path) -> None:
    """The run goes on with what was sampled; only the new method is new."""
    folder = Path(shutil.copytree(finished.path, tmp_path / "run"))
    with registry.registered(step_beam.METHOD):
        run_ladder(RECIPE, folder, resume=True)
    ladder = finished_ladder(RunFolder(folder))
    others = [row for row in ladder.rows if row.rung != "toy-beam"]
    assert others == list(finished_ladder(finished).rows)
    assert len(ladder.rows) == len(others) + 3
    assert "toy-beam" in (folder / "votes.json").read_text("utf-8")
    assert "step beam &lt;toy&gt;" in (folder / "report.html").read_text("utf-8")


def test_runs_of_earlier_versions_open(finished: RunFolder, tmp_path: Path) -> None:
    """Whose direct model was called base."""
    old = Path(shutil.copytree(finished.path, tmp_path / "old"))
    (old / "models" / "direct").rename(old / "models" / "base")
    assert load(old, "direct").style == "direct"
    run_ladder(RECIPE, old, resume=True)
    assert without_clock(finished_ladder(RunFolder(old))) == without_clock(
        finished_ladder(finished)
    )
    assert not (old / "models" / "direct").exists()


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("chess", "there is no task 'chess'"),
        ("nowhere.jsonl", r"there is no file of problems nowhere\.jsonl"),
    ],
)
def test_there_is_no_such_task(task: str, said: str, finished: RunFolder) -> None:
    with pytest.raises(UserError, match=said):
        grade_task(task, load(finished.path))


def test_gsm8k_is_graded(finished: RunFolder, data_folder: Path) -> None:
    if not (data_folder / "gsm8k" / "valid.jsonl").is_file():
        pytest.skip("GLASSMIND_DATA has no gsm8k/valid.jsonl")
    result = grade_task("gsm8k", load(finished.path), limit=6).ladder
    assert {row.n for row in result.rows} == {6}


# ---------------------------------------------------------------------------- single trainings


def styles_asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which prompts ``ask`` makes."""
    asked: list[str] = []
    real: Callable[..., list[int]] = LocalLLM.prompt

    def spy(llm: Any, question: str, style: Any) -> Any:
        asked.append(style)
        return real(llm, question, style)

    monkeypatch.setattr(LocalLLM, "prompt", spy)
    return asked


def test_a_direct_model_is_asked_directly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = run_training(replace(RECIPE, style="direct"), tmp_path / "direct")
    assert load(run.path).stage == "direct"
    asked = styles_asked(monkeypatch)
    ask(QUESTION, run.path)
    assert set(asked) == {"direct"}


def pretraining(folder: Path, text: str, **changes: Any) -> Recipe:
    (folder / "book.txt").write_text(text, "utf-8")
    return replace(
        RECIPE,
        objective="pretrain",
        pretrain=PretrainConfig(str(folder / "book.txt")),
        tokenizer=TokenizerConfig("char"),
        train=replace(TRAIN, row_tokens=32, **changes),
    )


BOOK = "The cat sat on the mat, and the dog sat on the log. " * 20


def test_pretraining_measures_itself(tmp_path: Path) -> None:
    run = run_training(pretraining(tmp_path, BOOK), tmp_path / "run")
    found = read_json(run.path / "validation.json")
    expected = found["validation_loss"] * found["tokens"] / found["bytes"] / math.log(2)
    assert found["bits_per_byte"] == pytest.approx(expected)
    assert 0 < found["validation_loss"] < math.log(400)
    assert load(run.path).stage == "pretrain"


def test_pretraining_needs_a_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"set pretrain\.file"):
        run_training(replace(RECIPE, objective="pretrain"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    for number, content in enumerate((b"", b"  \n", b"\xff\xfe\xff")):
        (tmp_path / "book.txt").write_bytes(content)
        recipe = replace(
            RECIPE, objective="pretrain", pretrain=PretrainConfig(str(tmp_path / "book.txt"))
        )
        with pytest.raises(UserError, match=r"book\.txt is (empty|not UTF-8)"):
            run_training(recipe, tmp_path / f"run-{number}")
    (tmp_path / "book.xz").write_bytes(b"not compressed")
    packed = replace(
        RECIPE, objective="pretrain", pretrain=PretrainConfig(str(tmp_path / "book.xz"))
    )
    with pytest.raises(UserError, match="cannot be unpacked"):
        run_training(packed, tmp_path / "run-xz")


def test_rows_longer_than_the_context_are_refused(tmp_path: Path) -> None:
    recipe = pretraining(tmp_path, BOOK)
    recipe = replace(recipe, model=replace(RECIPE.model, max_tokens=16))
    with pytest.raises(UserError, match="max_tokens"):
        run_training(recipe, tmp_path / "run")


def test_a_short_text_can_be_pretrained_on(tmp_path: Path) -> None:
    recipe = pretraining(tmp_path, BOOK[:260], batch_rows=2)
    run_training(recipe, tmp_path / "run")


def test_the_test_task_of_a_run_on_own_problems_is_its_own(tmp_path: Path) -> None:
    save_problems(own_problems(150), tmp_path / "mine.jsonl")
    recipe = own_recipe(tmp_path / "mine.jsonl")
    loaded = load(run_training(recipe, tmp_path / "run").path)
    mine = {p.question for p in make_slices(recipe).test}
    assert {p.question for p in task_problems("test", loaded.recipe, 0)} == mine


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"options": {"group": 1}}, "group must be 2 to 1024"),
        ({"options": {"reward": "nope"}}, "no reward 'nope'"),
        ({"train": replace(TRAIN, row_tokens=20)}, r"row_tokens \(20\) must hold"),
        ({"train": replace(TRAIN, row_tokens=4000)}, r"row_tokens \(4000\) exceeds"),
    ],
)
def test_what_the_last_rung_cannot_do_is_said_before_the_first(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    wrong = replace(RECIPE, reinforce=replace(RECIPE.reinforce, **changes))
    with pytest.raises(UserError, match=said):
        run_ladder(wrong, tmp_path / "run")
    assert not (tmp_path / "run").exists()
