"""The ladder from a finished model: published weights are taught, measured, and asked again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
import torch
from interrupt import Stop
from tiny_servers import pretrained, write_run

from glassmind.data import ProblemDial
from glassmind.errors import UserError
from glassmind.evaluate.run_files import read_ladder
from glassmind.generate import Generation
from glassmind.generate.calculator import annotated
from glassmind.interop.gguf import save_gguf
from glassmind.interop.load import load_pretrained
from glassmind.llm import LocalLLM
from glassmind.llm.opening import open_local
from glassmind.pipeline.ask import ask
from glassmind.pipeline.ladder import run_ladder
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.pretrained_ladder import solution_documents
from glassmind.reason.verifier_documents import chain_labels, chains_document
from glassmind.records import Problem, Step, Trace
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import (
    LoraConfig,
    ProblemsConfig,
    Recipe,
    SamplingConfig,
    TrainConfig,
    VerifierConfig,
)

TURNS = (
    "{% for m in messages %}{{ '<|answer|>' if m.role == 'assistant' else '<|question|>' }}"
    "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|answer|>{% endif %}"
)
TRAIN = TrainConfig(
    steps=4,
    batch_rows=2,
    row_tokens=400,
    precision="float32",
    compile="off",
    warmup=1,
    muon_lr=0.0,
    adamw_lr=0.01,
    log_every=1,
    checkpoint_minutes=0,
)
RECIPE = Recipe(
    name="tiny",
    problems=ProblemsConfig(
        train=24,
        validation=4,
        test=4,
        longer=0,
        reworded=0,
        dial=ProblemDial(min_steps=1, max_steps=2),
    ),
    train=TRAIN,
    sampling=SamplingConfig(samples=2, max_new_tokens=24, calculator=True),
    verifier=VerifierConfig(
        problems=6, samples=2, layers=1, train=replace(TRAIN, steps=2, row_tokens=450)
    ),
)

pytestmark = pytest.mark.usefixtures("scratch")


def published(template: str | None = TURNS) -> str:
    """A model from elsewhere."""
    save_gguf(pretrained(template), Path("it.gguf"))
    return "it.gguf"


@pytest.mark.parametrize(("template", "rank"), [(TURNS, 2), (TURNS, 0), (None, 0)])
def test_a_model_from_elsewhere_climbs(template: str | None, rank: int) -> None:
    recipe = replace(RECIPE, start=published(template), lora=LoraConfig(rank=rank))
    run = run_ladder(recipe, Path("run"))
    rows = {row.rung: row for row in read_ladder(run.path / "ladder.json").rows}
    assert {"direct", "chain-of-thought", "self-consistency", "verifier-vote"} <= rows.keys()
    assert {row.n for row in rows.values()} == {4}
    assert rows["verifier-vote"].judged_tokens
    assert (run.path / "report.html").is_file()
    losses = json.loads((run.path / "validation.json").read_text("utf-8"))
    assert losses["validation_loss"] < losses["before"]
    # It was taught, and the model that it started from was not.
    before, after = (load_pretrained(path).model for path in ("it.gguf", run.path))
    assert any(
        not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)
    )
    # It is asked like any other, and its verifier judges its chains.
    llm = open_local(run.path)
    assert llm.scorer is not None and llm.lines_are_steps
    answers = ask(["Mia has 3 boxes of 12 pencils. How many?"], llm)
    assert isinstance(answers, list)
    assert answers[0].method == "verifier-vote"
    assert all(chain.score is not None for chain in answers[0].chains)
    for trained, kept in zip(after.parameters(), llm.scorer.trunk.parameters(), strict=True):
        assert torch.equal(trained, kept)


def test_an_interrupted_ladder_goes_on() -> None:
    recipe = replace(RECIPE, start=published(), lora=LoraConfig(rank=2))
    whole = run_ladder(recipe, Path("whole"))
    with pytest.raises(KeyboardInterrupt):
        run_ladder(recipe, Path("cut"), progress=Stop(2))
    again = run_ladder(recipe, Path("cut"), resume=True)
    first, second = (read_ladder(run.path / "ladder.json").rows for run in (whole, again))
    assert [(r.rung, r.correct, r.completion_tokens) for r in first] == [
        (r.rung, r.correct, r.completion_tokens) for r in second
    ]
    for name in ("model.safetensors", "models/verifier/model.safetensors"):
        assert (whole.path / name).read_bytes() == (again.path / name).read_bytes()


def test_a_model_of_our_own_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    start = write_run(Path("own"))
    recipe = replace(RECIPE, start=str(start), sampling=SamplingConfig(samples=2, max_new_tokens=8))
    run = run_ladder(recipe, Path("run"))
    assert run.recipe().model == open_local(start).model.config
    assert (run.path / "tokenizer.json").read_bytes() == (start / "tokenizer.json").read_bytes()
    assert "direct" in {row.rung for row in read_ladder(run.path / "ladder.json").rows}
    with pytest.raises(UserError, match="for models from elsewhere"):
        run_ladder(replace(recipe, lora=LoraConfig(rank=2)), Path("no"))
    assert not Path("no").exists()


def test_solutions_are_taught_in_the_words_that_the_model_is_asked_in() -> None:
    for template in (TURNS, None):
        recipe = replace(RECIPE, start=published(template))
        llm = LocalLLM.of_tuned(load_pretrained("it.gguf"), "t", RunFolder(Path("r")), recipe)
        problem = make_slices(recipe).train[0]
        (document,) = solution_documents(llm, recipe, [problem])
        prompt = llm.prompt(problem.question, "chain")
        assert document.ids[: len(prompt)].tolist() == prompt
        assert document.ids[-1] in llm.stop_ids
        said = llm.tokenizer.decode(document.ids[len(prompt) :].tolist()).strip().splitlines()
        assert said[-1] == f"The answer is {problem.answer}."
        assert all("<<" in line and ">>" in line for line in said[:-1])
        assert len(said) == len(problem.steps) + 1


PROBLEM = Problem(
    "p",
    "Mia has 3 boxes of 12 pencils and gives 6 away. How many are left?",
    "30",
    (
        Step("pencils: 3*12=36", "*", ("3", "12"), "36", (None, None), "pencils"),
        Step("left: 36-6=30", "-", ("36", "6"), "30", (0, None), "left"),
    ),
)


def test_the_verifier_judges_lines() -> None:
    recipe = replace(RECIPE, start=published())
    llm = LocalLLM.of_tuned(load_pretrained("it.gguf"), "t", RunFolder(Path("r")), recipe)
    (end,) = llm.stop_ids
    text = "pencils: <<3*12=36>>\nleft: <<36-6=31>>\nThe answer is 31."
    ids = (*llm.tokenizer.encode(text), end)
    prompt = llm.prompt(PROBLEM.question, "chain")
    nodes = llm.nodes(prompt, Generation(ids, (-0.5,) * len(ids), "stop"), "chain")
    (one,) = Trace.of_chains("p", [nodes]).completions
    assert one.steps == ("pencils: <<3*12=36>>", "left: <<36-6=31>>") and one.answer == "31"
    labels = chain_labels(PROBLEM, one)
    assert [label for _, label in labels] == [1.0, 0.0, 0.0]
    ends = [position for position, _ in labels]
    assert ends[-1] == len(ids) - 1
    assert llm.tokenizer.decode(ids[: ends[0] + 1]) == "pencils: <<3*12=36>>\n"
    document = chains_document(
        llm.tokenizer,
        PROBLEM,
        [one],
        with_labels=True,
        prompt=lambda question: llm.prompt(question, "chain"),
    )
    assert document.ids.tolist() == [*prompt, *ids]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pencils: 3*12=36", "pencils: <<3*12=36>>"),
        ("1+1=2 and 2 + 2 = 4", "<<1+1=2>> and <<2 + 2=4>>"),
        ("half: 10/4=2.5", "half: <<10/4=2.5>>"),
        ("wrong: 2+2=5", "wrong: 2+2=5"),
        ("no sum", "no sum"),
        ("x=3", "x=3"),
    ],
)
def test_equations_are_written_as_the_calculator_completes_them(text: str, said: str) -> None:
    assert annotated(text) == said


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    published()
    small = ("train.steps=2", "train.row_tokens=400", "train.batch_rows=2", "train.warmup=1")
    small += ("problems.train=12", "problems.validation=2", "problems.test=3", "lora.rank=2")
    small += ("problems.longer=0", "problems.reworded=0", "problems.dial.max_steps=2")
    small += ("sampling.samples=2", "sampling.max_new_tokens=8", "verifier.problems=2")
    small += ("verifier.train.steps=1", "verifier.train.row_tokens=450", "verifier.samples=2")
    options = [word for setting in small for word in ("--set", setting)]
    table = command_line.product(capsys, "ladder", "--from", "it.gguf", "--run", "r", *options)
    assert "direct" in table and "verifier" in table
    said = command_line.complaint(capsys, "ladder", "--from", "nowhere.gguf", "--run", "n")
    assert "nowhere.gguf" in said and not Path("n").exists()
