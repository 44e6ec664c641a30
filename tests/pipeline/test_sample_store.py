"""Chains on disk: an evaluation goes on, and is not repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_servers import chat_model, write_run

from glassmind.evaluate.run_files import Ladder
from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM, open_llm
from glassmind.pipeline import sample_store
from glassmind.pipeline.evaluate import Evaluation, grade_task
from glassmind.pipeline.fingerprint import model_hash
from glassmind.records import Problem, Trace
from glassmind.runs.recipe import SamplingConfig
from glassmind.tokenize import Style

SAMPLING = SamplingConfig(samples=2, max_new_tokens=6)
METHODS = ("chain-of-thought", "verifier-vote")


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> LocalLLM:
    opened = open_llm(write_run(tmp_path_factory.mktemp("store") / "run"))
    assert isinstance(opened, LocalLLM)
    return opened


class Counted:
    """Counts the problems that a model samples, and fails when there were ``most``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int = 10**9) -> None:
        self.problems, sample = 0, LocalLLM.sample

        def counting(
            llm: LocalLLM, problems: Sequence[Problem], params: SamplingParams, style: Style,
            progress: object = None, *, first: int = 0,
        ) -> list[Trace]:  # fmt: skip
            if self.problems + len(problems) > most:
                raise KeyboardInterrupt
            self.problems += len(problems)
            return sample(llm, problems, params, style, None, first=first)

        monkeypatch.setattr(LocalLLM, "sample", counting)


def graded(llm: LocalLLM, store: Path | None, limit: int = 7, seed: int = 0) -> Evaluation:
    return grade_task(
        "test", llm, limit=limit, sampling=SAMPLING, methods=METHODS, store=store, seed=seed
    )


def untimed(ladder: Ladder) -> Ladder:
    return replace(ladder, rows=tuple(replace(row, seconds=0.0) for row in ladder.rows))


def test_what_was_sampled_is_not_sampled_again(
    llm: LocalLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_store, "BATCH", 3)
    whole = graded(llm, None)
    with monkeypatch.context() as patched:
        Counted(patched, most=6)  # two batches of greedy chains
        with pytest.raises(KeyboardInterrupt):
            graded(llm, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.read_bytes().count(b"\n") == 1 + 6
    with file.open("ab") as stored:
        stored.write(b'{"problem_id": "test-0000')  # killed while writing
    with monkeypatch.context() as patched:
        counted = Counted(patched)
        rest = graded(llm, tmp_path)
        assert counted.problems == 1 + 7
        assert rest.engine_busy is not None and 0 < rest.engine_busy <= 1
        again = graded(llm, tmp_path)
        assert again.engine_busy is None  # nothing was sampled
        assert counted.problems == 1 + 7
    assert untimed(rest.ladder) == untimed(again.ladder) == untimed(whole.ladder)
    assert rest.problems == again.problems == whole.problems
    for path in tmp_path.iterdir():
        header, *lines = map(json.loads, path.read_text("utf-8").splitlines())
        assert header["made_of"]["task"] == "test" and len(lines) == 7


def test_other_questions_are_asked_anew(
    llm: LocalLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted(monkeypatch)
    graded(llm, tmp_path, 2)
    graded(llm, tmp_path, 3)
    assert counted.problems == 2 * 2 + 2 * 3
    graded(llm, tmp_path, 3, seed=1)
    assert counted.problems == 16
    other = replace(llm, stop_ids=frozenset({5}))
    grade_task("test", other, limit=3, sampling=SAMPLING, methods=METHODS, store=tmp_path)
    assert counted.problems == 22


def test_a_hash_names_a_model() -> None:
    llm, again = chat_model(), chat_model()
    before = model_hash(llm)
    assert model_hash(again) == before
    next(llm.model.parameters()).data.view(-1)[0] += 1e-3
    assert model_hash(llm) != before
    assert model_hash(replace(again, template=None, format="text")) != before


def test_only_so_much_is_kept(
    llm: LocalLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit in (1, 2):
        graded(llm, tmp_path, limit)
    assert len(list(tmp_path.iterdir())) == 6
    monkeypatch.setattr(sample_store, "MAX_BYTES", 1)
    graded(llm, tmp_path, 3)
    assert len(list(tmp_path.iterdir())) == 3  # those of the last evaluation


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such lock")
def test_two_evaluations_do_not_write_one_file(
    llm: LocalLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graded(llm, tmp_path, 2)
    holder = (
        "import fcntl, sys; files = [open(p, 'rb') for p in sys.argv[1:]]\n"
        "for f in files: fcntl.flock(f, fcntl.LOCK_EX)\n"
        "print('held', flush=True); sys.stdin.read()"
    )
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with subprocess.Popen(
        [sys.executable, "-c", holder, *map(str, before)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        counted = Counted(monkeypatch)
        graded(llm, tmp_path, 2)
        assert counted.problems == 4
        other.communicate("")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
