"""Traces on disk: what comes back is what was written, and foreign files are refused."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glassmind.errors import UserError
from glassmind.records import OUTCOME, PROCESS, Cost, Finish, Node, Problem, Trace
from glassmind.runs import samples
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.samples import load_traces, save_traces
from glassmind.tokenize import CharTokenizer, Style, chain_nodes, encode_completion

TOKENIZER = CharTokenizer()
PROBLEMS = [Problem(f"p{n}", "How many?", "3") for n in range(3)]


def make(problem: Problem, sample: int, ids: list[int], style: Style, finish: Finish) -> list[Node]:
    rng = random.Random(f"{problem.id} {sample}")
    logprobs = [float(np.float32(-rng.random())) for _ in ids]
    return chain_nodes(TOKENIZER, ids, style, finish=finish, logprobs=logprobs)


def some(style: Style) -> list[Trace]:
    """Different numbers of samples, of steps and of tokens; one was cut off, one is not text."""
    traces = []
    for problem in PROBLEMS:
        row = []
        for sample in range(2 + PROBLEMS.index(problem)):
            steps = [f"a: {n}+1={n + 1}" for n in range(sample)]
            ids = encode_completion(TOKENIZER, steps, str(sample), style)
            row.append(make(problem, sample, ids, style, "stop"))
        row.append(make(problem, len(row), ids[:-1], style, "length"))
        row.append(make(problem, len(row), [200, 3, 6], style, "stop"))
        traces.append(Trace.of_chains(problem.id, row))
    return traces


def scored(traces: list[Trace]) -> list[Trace]:
    rng = np.random.default_rng(0)
    judged = []
    for trace in traces:
        scores: dict[int, dict[str, float]] = {}
        for c in trace.completions:
            for index in c.step_ends:
                scores.setdefault(index, {})[PROCESS] = float(np.float32(rng.random()))
            scores.setdefault(c.path[-1], {})[OUTCOME] = float(np.float32(rng.random()))
        judged.append(trace.with_scores(scores, {}))
    return judged


@pytest.mark.parametrize("style", ["chain", "direct"])
def test_completions_come_back(style: Style, tmp_path: Path) -> None:
    path = tmp_path / "samples" / "test.safetensors"
    rows = some(style)
    save_traces(path, rows)
    assert load_traces(path, PROBLEMS, TOKENIZER, style) == rows


def test_scores_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    rows = scored(some("chain"))
    save_traces(path, rows)
    assert load_traces(path, PROBLEMS, TOKENIZER, "chain") == rows


def test_scores_without_a_single_step_come_back(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    bare = [list(c.nodes) for c in some("chain")[0].completions if not c.steps]
    (trace,) = scored([Trace.of_chains(PROBLEMS[0].id, bare)])
    save_traces(path, [trace])
    assert load_traces(path, PROBLEMS[:1], TOKENIZER, "chain") == [trace]


# -------------------------------------------------------------------------------- any trace

finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 2**40)
costs = st.builds(
    Cost, counts, counts, counts, st.floats(0, 2.0**52, allow_nan=False, allow_infinity=False)
)
texts = st.text(st.characters(), max_size=5)  # with half surrogate pairs: models write anything


@st.composite
def any_traces(draw: st.DrawFn, problem: str) -> Trace:
    nodes = []
    for index in range(draw(st.integers(0, 6))):
        parent = draw(st.integers(-1, index - 1))
        nodes.append(
            Node(
                parent=None if parent < 0 else parent,
                kind=draw(st.sampled_from(["step", "answer", "text"])),
                text=draw(texts),
                token_ids=tuple(draw(st.lists(st.integers(0, 2**31 - 1), max_size=4))),
                logprobs=tuple(draw(st.lists(finite, max_size=4))),
                sampled_logprobs=tuple(draw(st.lists(finite, max_size=4))),
                author=draw(st.sampled_from(["model", "tool", "forced"])),
                closed=draw(st.booleans()),
                finish=draw(st.sampled_from([None, "stop", "length", "cancelled"])),
                answer=draw(st.none() | texts),
                scores=draw(st.dictionaries(texts, finite, max_size=3)),
                cost=draw(costs),
            )
        )
    return Trace(problem, tuple(nodes), draw(costs))


@settings(max_examples=50)
@given(data=st.data())
def test_any_trace_comes_back_exactly(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("samples") / "any.safetensors"
    problems = [Problem(f"p{n}", "?", "1") for n in range(data.draw(st.integers(0, 3)))]
    traces = [data.draw(any_traces(problem.id)) for problem in problems]
    save_traces(path, traces)
    found = load_traces(path, problems, TOKENIZER, "chain")
    assert found == traces
    assert seconds(found) == seconds(traces)  # which are no part of equality


def seconds(traces: list[Trace]) -> list[list[float]]:
    return [[t.prompt_cost.seconds, *(node.cost.seconds for node in t.nodes)] for t in traces]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_not_written(value: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not finite"):
        save_traces(tmp_path / "x", [Trace("p", (Node(None, "text", "a", (1,), (value,)),))])
    assert not (tmp_path / "x").exists()


# ---------------------------------------------------------------------------- foreign files


def test_no_problem_at_all(tmp_path: Path) -> None:
    save_traces(tmp_path / "none.safetensors", [])
    assert load_traces(tmp_path / "none.safetensors", [], TOKENIZER, "chain") == []


def test_samples_of_other_problems_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, some("chain"))
    with pytest.raises(UserError, match="samples of other problems: delete it to sample again"):
        load_traces(path, PROBLEMS[:2], TOKENIZER, "chain")


def test_damaged_samples_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, some("chain"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(UserError, match="damaged"):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")
    path.unlink()
    with pytest.raises(UserError, match="missing"):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")


def with_json(change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    def changed(tensors: dict[str, Any]) -> None:
        document = json.loads(tensors["json"].numpy().tobytes())
        text = json.dumps(change(document) or document)
        tensors["json"] = torch.tensor(list(text.encode()), dtype=torch.uint8)

    return changed


def put(name: str, value: Any, at: int = 0) -> Callable[[dict[str, Any]], None]:
    def changed(tensors: dict[str, Any]) -> None:
        wide = torch.float64 if isinstance(value, float) else torch.int64
        tensors[name] = tensors[name].to(wide)
        tensors[name][at] = value

    return changed


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.pop("parents"), "parents is missing"),
        (lambda t: t.pop("logprobs_counts"), "logprobs_counts is missing"),
        (lambda t: t.update(ids=t["ids"][:-1]), "ids has"),
        (lambda t: t.update(ids=t["ids"].double()), "ids holds the wrong kind"),
        (lambda t: t.update(texts=t["texts"][:, None]), "texts is missing or has the wrong shape"),
        (lambda t: t.update(scores=t["scores"][1:]), "scores has"),
        (put("parents", 0), "node 0 of a trace has parent 0"),
        (put("parents", 5, at=1), "node 1 of a trace has parent 5"),
        (put("parents", -2), "node 0 of a trace has parent -2"),
        (put("texts", 999), "texts holds a number outside"),
        (put("kinds", 3), "kinds holds a number outside"),
        (put("score_names", -1), "score_names holds a number outside"),
        (put("nodes", 2**40), "nodes holds a number outside"),
        (put("ids_counts", -1), "ids_counts holds a number outside"),
        (put("completion_tokens", -1), "completion_tokens holds a number outside"),
        (put("logprobs", math.nan), "logprobs holds something that is not a finite number"),
        (put("seconds", math.inf), "seconds holds a number outside"),
        (lambda t: t.update(seconds=t["seconds"].bfloat16()), "is damaged"),
        (lambda t: t.update(json=t["json"][:-1]), "not JSON"),
        (lambda t: t.update(json=t["json"].int()), "json is not bytes"),
        (with_json(lambda d: d.update(format=3)), "format is not 2"),
        (with_json(lambda d: d.update(texts=[1])), "texts are not a list of strings"),
        (with_json(lambda d: [d]), "format is not 2"),
    ],
)
def test_a_changed_file_is_refused(
    change: Callable[[dict[str, Any]], Any], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "test.safetensors"
    save_traces(path, scored(some("chain")))
    tensors = {name: torch.clone(t) for name, t in load_tensors(path).items()}
    change(tensors)
    save_tensors(tensors, path)
    with pytest.raises(UserError, match=said):
        load_traces(path, PROBLEMS, TOKENIZER, "chain")


def test_what_takes_too_long_to_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A comb: many leaves on a long chain, so that paths together are quadratic."""
    nodes = [Node(None, "step", "a")]
    for _ in range(50):
        nodes += [Node(len(nodes) - 1, "step", "a"), Node(len(nodes) - 1, "answer", "b")]
        nodes[-1], nodes[-2] = nodes[-2], nodes[-1]
    save_traces(tmp_path / "comb", [Trace("p0", tuple(nodes))])
    assert load_traces(tmp_path / "comb", PROBLEMS[:1], TOKENIZER, "chain")[0].leaves
    for name, limit in (("MAX_PATH_NODES", 100), ("MAX_NODES", 100), ("MAX_BYTES", 100)):
        with monkeypatch.context() as patched:
            patched.setattr(samples, name, limit)
            with pytest.raises(UserError, match=r"together, more than|nodes|larger than"):
                load_traces(tmp_path / "comb", PROBLEMS[:1], TOKENIZER, "chain")
