"""From what a person types to a model: every name, and a sentence for what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_servers import pretrained, write_run

from glassmind.errors import UserError
from glassmind.interop.gguf import save_gguf
from glassmind.interop.huggingface import save_folder
from glassmind.llm import LocalLLM, as_llm, open_llm
from glassmind.llm.opening import open_local, weights_at
from glassmind.pipeline.answer import Answer
from glassmind.pipeline.ask import ask
from glassmind.runs.models import load

pytestmark = pytest.mark.usefixtures("scratch")


def test_every_kind_of_name() -> None:
    run = write_run(Path("runs/mine"))
    save_gguf(pretrained(), Path("it.gguf"))
    save_folder(pretrained(), Path("folder"))
    assert open_local(run).format == "question" and open_local(run).recipe is not None
    assert open_local("it.gguf").format == open_local("folder").format == "chat"
    assert open_llm().name == open_llm("word-problems").name == "word-problems"
    assert open_local(run, name="mine").name == "mine"


def test_a_name_of_the_hub_is_the_folder_it_was_pulled_into() -> None:
    save_folder(pretrained(), Path("models/org--name"))
    assert open_llm("org/name").name == open_llm("hub:org/name").name == "name"
    with pytest.raises(UserError, match="fetch it with glassmind pull org/other"):
        open_llm("hub:org/other")
    with pytest.raises(UserError, match="fetch it with glassmind pull org/other"):
        open_llm("org/other")
    with pytest.raises(UserError, match="is not a hub name"):
        open_llm("hub:nothing")
    one = Path("models/org--files")
    one.mkdir()
    save_gguf(pretrained(), one / "it.gguf")
    (one / ".pulled.json").write_text(json.dumps({"repository": "org/files", "revision": "1" * 40}))
    assert weights_at("org/files") == str(one / "it.gguf")


def test_what_is_loaded_is_not_loaded_again() -> None:
    loaded, there = load(write_run(Path("run"))), pretrained()
    ours, theirs = as_llm(loaded), as_llm(there)
    assert isinstance(ours, LocalLLM) and ours.model is loaded.model
    assert ours.scorer is loaded.verifier
    assert isinstance(theirs, LocalLLM) and theirs.model is there.model
    assert as_llm(ours) is ours


def test_a_stage_is_for_a_run() -> None:
    save_gguf(pretrained(), Path("it.gguf"))
    with pytest.raises(UserError, match="so it has no stage 'direct'"):
        open_llm("it.gguf", stage="direct")


def test_several_questions_are_one_batch_and_answered_as_alone() -> None:
    llm = open_llm(write_run(Path("run")))
    questions = ["What is 12 times 7?", "Mia has 3 boxes of 12 pencils."]
    both = ask(questions, llm, seed=3)
    alone = ask(questions[0], llm, seed=3)
    assert isinstance(both, list) and isinstance(alone, Answer)
    assert [answer.question for answer in both] == questions
    assert [c.token_ids for c in both[0].chains] == [c.token_ids for c in alone.chains]
