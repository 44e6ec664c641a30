"""Step beam, tree search, refinement: against what can be counted and enumerated by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path as FilePath

import pytest
from fixed_model import FixedModel, session
from scripted_steps import Path, ScriptedSteps, said

from glassmind.errors import UserError
from glassmind.reason import registry
from glassmind.reason.method import Budget, Solution
from glassmind.reason.methods import tree_search
from glassmind.reason.methods.tree_search import EXPLORATION, Walk
from glassmind.reason.search import Search
from glassmind.reason.session import Make
from glassmind.reason.token_budget import spent
from glassmind.reason.tree import Tree
from glassmind.records import Problem, Trace
from glassmind.runs.samples import load_traces, save_traces
from glassmind.tokenize import CharTokenizer, Style

PROBLEMS = [Problem("p", "?", "6"), Problem("q", "And now?", "6")]
SCRIPT = {
    (): ["a: 1+1=2", "b: 1*3=3", "a: 1+1=2", "c: 2+2=4"],
    ("a: 1+1=2",): ["a: 2*3=6", "a: 2+2=4"],
    ("a: 1+1=2", "a: 2*3=6"): ["= 6"],
    ("a: 1+1=2", "a: 2+2=4"): ["= 4"],
    ("b: 1*3=3",): ["b: 3+2=5", "= 3"],
    ("b: 1*3=3", "b: 3+2=5"): ["= 5"],
    ("c: 2+2=4",): ["= 4", "c: 4-1=3"],
    ("c: 2+2=4", "c: 4-1=3"): ["= 3"],
}  # fmt: skip
BELIEFS = {
    ("a: 1+1=2",): 0.9,
    ("b: 1*3=3",): 0.2,
    ("c: 2+2=4",): 0.6,
    ("a: 1+1=2", "a: 2*3=6"): 0.8,
    ("a: 1+1=2", "a: 2+2=4"): 0.3,
    ("a: 1+1=2", "a: 2*3=6", "= 6"): 0.95,
    ("a: 1+1=2", "a: 2+2=4", "= 4"): 0.1,
    ("b: 1*3=3", "= 3"): 0.05,
    ("b: 1*3=3", "b: 3+2=5", "= 5"): 0.15,
    ("c: 2+2=4", "= 4"): 0.5,
    ("c: 2+2=4", "c: 4-1=3", "= 3"): 0.45,
}
SEARCHES = ("step-beam", "tree-search", "self-refinement")


def solved(name: str, model: ScriptedSteps, samples: int) -> list[Solution]:
    return registry.named(name).solve(PROBLEMS, model.session(), Budget(samples))


def chains(script: dict[Path, list[str]], so_far: Path = ()) -> list[Path]:
    """Every chain that the script can write."""
    found: dict[Path, None] = {}
    for told in script[so_far]:
        path = (*so_far, told)
        found |= dict.fromkeys([path] if told.startswith("= ") else chains(script, path))
    return list(found)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("samples", [1, 2, 4, 9, 24])
def test_costs_are_what_was_written_and_read(name: str, samples: int) -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    found = solved(name, model, samples)
    assert sum(s.cost.completion_tokens for s in found) == model.written
    assert sum(s.cost.judged_tokens for s in found) == len(model.read)
    assert len(model.read) == 2 * len(set(model.read))  # once for either problem
    for problem, solution in zip(PROBLEMS, found, strict=True):
        assert solution.problem_id == problem.id
        assert solution.cost == solution.trace.cost
        assert solution.cost.prompt_tokens == model.prompt_tokens(problem.question)
        assert solution.chosen is not None
        assert solution.trace.completions[solution.chosen].answer == solution.answer


@pytest.mark.parametrize("name", ["step-beam", "tree-search"])
def test_with_room_for_everything_the_most_believed_chain_is_found(name: str) -> None:
    """By enumeration; the best answer's chains outweigh all others."""
    every = chains(SCRIPT)
    best = max(every, key=lambda path: BELIEFS[path])
    assert len(every) == 6
    for solution in solved(name, ScriptedSteps(SCRIPT, BELIEFS), 64):
        leaves = {said(solution.trace, leaf) for leaf in solution.trace.leaves}
        assert leaves == set(every)
        assert f"= {solution.answer}" == best[-1]


def test_a_beam_keeps_the_steps_that_are_believed() -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    (solution, _) = solved("step-beam", model, 4)  # one slot
    # The first step is drawn twice and is one node; the others are given up where they stand.
    assert [said(solution.trace, leaf) for leaf in solution.trace.leaves] == [
        ("b: 1*3=3",), ("c: 2+2=4",), ("a: 1+1=2", "a: 2+2=4"), ("a: 1+1=2", "a: 2*3=6", "= 6"),
    ]  # fmt: skip
    assert solution.answer == "6"
    assert [c.finish for c in solution.trace.completions] == ["length"] * 3 + ["stop"]
    # Where there is no choice nothing is read: the end is judged once, for its weight.
    assert sorted(set(model.read)) == sorted([
        ("a: 1+1=2",), ("b: 1*3=3",), ("c: 2+2=4",),
        ("a: 1+1=2", "a: 2*3=6"), ("a: 1+1=2", "a: 2+2=4"), ("a: 1+1=2", "a: 2*3=6", "= 6"),
    ])  # fmt: skip


def test_a_finished_chain_takes_its_slot_and_is_never_copied() -> None:
    """Two slots: the chain that ends at once keeps one, and the other goes on alone."""
    script = {
        (): ["= 7", "s", "= 8", "t"],
        ("s",): ["u", "v"],
        ("t",): ["= 9"],
        ("s", "u"): ["= 1"],
        ("s", "v"): ["= 2"],
    }
    beliefs = {
        ("= 7",): 0.6, ("= 8",): 0.1, ("s",): 0.5, ("t",): 0.2,
        ("s", "u"): 0.4, ("s", "v"): 0.3, ("s", "u", "= 1"): 0.5,
    }  # fmt: skip
    model = ScriptedSteps(script, beliefs)
    (solution, _) = solved("step-beam", model, 8)
    ended = [said(solution.trace, n) for n in solution.trace.leaves
             if solution.trace.nodes[n].finish == "stop"]  # fmt: skip
    assert ended == [("= 7",), ("= 8",), ("s", "u", "= 1")]  # the second was given up
    assert solution.answer == "7"
    assert ("s", "v", "= 2") not in {said(solution.trace, n) for n in solution.trace.leaves}
    assert model.asked[("s",)] == 2 * 4  # M samples for each problem, none for the finished one


def test_a_false_equation_is_corrected_before_the_search_goes_on() -> None:
    script = {
        (): ["a: 2*3=5", "a: 2*3=6"],
        ("a: 2*3=5",): ["b: 5+1=6"],
        ("a: 2*3=5", "b: 5+1=6"): ["= 6"],
        ("a: 2*3=6",): ["b: 6+1=7"],
        ("a: 2*3=6", "b: 6+1=7"): ["= 7"],
    }
    for name in SEARCHES:
        model = ScriptedSteps(script, {("a: 2*3=6", "b: 6+1=7", "= 7"): 0.9})
        (solution, _) = solved(name, model, 4)
        assert solution.answer == "7"
        assert {node.text for node in solution.trace.nodes} <= {"a: 2*3=6", "b: 6+1=7", "7"}
        assert "tool" in {node.author for node in solution.trace.nodes}
        # Only the greedy chain, which is revised, went on from the wrong number.
        assert model.asked["a: 2*3=5",] == (2 if name == "self-refinement" else 0)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("tokens", [0, 1, 17, 40, 80, 150, 10_000])
def test_a_budget_of_tokens_is_never_exceeded(name: str, tokens: int) -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    found = registry.named(name).solve(PROBLEMS, model.session(), Budget(9, tokens))
    for solution in found:
        assert spent(solution.cost) <= tokens
        assert solution.cost == solution.trace.cost
    free = registry.named(name).solve(PROBLEMS, ScriptedSteps(SCRIPT, BELIEFS).session(), Budget(9))
    if tokens == 10_000:
        assert found == free
    if tokens >= 80:  # a chain can be written and read
        assert all(solution.answer is not None for solution in found)


# ------------------------------------------------------------------------------ tree search


def test_visits_and_values_are_the_sums_of_what_was_backed_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    walks: list[Walk] = []
    backed: dict[int, list[tuple[int | None, float]]] = {}
    plain, made = Walk.back_up, Walk.__init__

    def back_up(walk: Walk, node: int | None, value: float) -> None:
        backed.setdefault(id(walk), []).append((node, value))
        plain(walk, node, value)

    def init(walk: Walk, *given: object) -> None:
        made(walk, *given)  # type: ignore[arg-type]
        walks.append(walk)

    monkeypatch.setattr(Walk, "back_up", back_up)
    monkeypatch.setattr(Walk, "__init__", init)
    tree_search.search(PROBLEMS, ScriptedSteps(SCRIPT, BELIEFS).session(), Budget(24))
    assert len(walks) == 2
    for walk in walks:
        record = backed[id(walk)]
        for node in (None, *range(len(walk.tree.nodes))):
            below = [v for end, v in record if node is None or node in walk.tree.path(end)]
            assert walk.visits.get(node, 0) == len(below)
            assert walk.total.get(node, 0.0) == pytest.approx(sum(below))
        assert walk.visits[None] == len(record)


def test_a_rollout_counts_beside_the_verifier_s_belief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first simulation: V of the best new step is 0.9, and a chain from it is believed 0.95."""
    first: list[tuple[int | None, float]] = []
    plain = Walk.back_up

    def back_up(walk: Walk, node: int | None, value: float) -> None:
        first.append((node, value))
        plain(walk, node, value)

    monkeypatch.setattr(Walk, "back_up", back_up)
    for rollout, value in ((0.0, 0.9), (0.25, 0.75 * 0.9 + 0.25 * 0.95), (1.0, 0.95)):
        first.clear()
        model = ScriptedSteps(SCRIPT, BELIEFS)
        (trace,) = tree_search.search(PROBLEMS[:1], model.session(), Budget(4), rollout=rollout)
        assert first[0] == (0, pytest.approx(value))
        assert trace.cost.completion_tokens == model.written


def test_the_priority_of_a_child_is_the_formula() -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    (trace, _) = tree_search.search(PROBLEMS, model.session(), Budget(4), rollout=0.0)
    nodes = [said(trace, n) for n in range(len(trace.nodes))]
    # Of four samples two were the first step, so P is 1/2, 1/4, 1/4, and at first N is 0 and Q = V.
    walk = Walk(_grown(model), 4)
    first, second, third = walk.children(None)
    assert [walk.tree.drawn[c] for c in (first, second, third)] == [2, 1, 1]
    q = [walk.tree.value(c) for c in (first, second, third)]
    assert q == [0.9, 0.2, 0.6]
    assert walk.priority(first) == pytest.approx(0.9 + EXPLORATION * 0.5)
    assert walk.priority(third) == pytest.approx(0.6 + EXPLORATION * 0.25)
    for _ in range(3):
        walk.back_up(first, 0.3)
    assert walk.priority(first) == pytest.approx(0.3 + EXPLORATION * 0.5 * math.sqrt(3) / 4)
    assert walk.priority(third) == pytest.approx(0.6 + EXPLORATION * 0.25 * math.sqrt(3))
    assert walk.best_child(None) == third
    assert ("a: 1+1=2",) in nodes


def _grown(model: ScriptedSteps) -> Tree:
    found = Search(PROBLEMS[:1], model.session(), Budget(4))
    (ends,) = found.grow([(0, None, 4)])
    found.judge({0: ends})
    return found.trees[0]


@pytest.mark.parametrize("leaves", [1, 2, 5, 13])
def test_a_tree_has_no_more_sampled_leaves_than_its_budget(leaves: int) -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    for trace in tree_search.search(PROBLEMS, model.session(), Budget(leaves), rollout=0.0):
        assert 1 <= len(trace.leaves) <= leaves
        assert any(chain.answer is not None for chain in trace.completions)


# ------------------------------------------------------------------------------- refinement


def test_a_doubted_step_is_written_anew_and_the_better_chain_stays() -> None:
    script = {
        (): ["a: 1+1=2"],
        ("a: 1+1=2",): ["b: 2+5=7", "b: 2+6=8", "b: 2+4=6"],
        ("a: 1+1=2", "b: 2+5=7"): ["= 7"],
        ("a: 1+1=2", "b: 2+6=8"): ["= 8"],
        ("a: 1+1=2", "b: 2+4=6"): ["= 6"],
    }
    beliefs = {
        ("a: 1+1=2",): 0.9,
        ("a: 1+1=2", "b: 2+5=7"): 0.4,
        ("a: 1+1=2", "b: 2+5=7", "= 7"): 0.3,
        ("a: 1+1=2", "b: 2+6=8"): 0.2,
        ("a: 1+1=2", "b: 2+6=8", "= 8"): 0.2,  # worse: not accepted
        ("a: 1+1=2", "b: 2+4=6"): 0.8,
        ("a: 1+1=2", "b: 2+4=6", "= 6"): 0.9,
    }
    one = PROBLEMS[:1]
    for rounds, answer, ends in ((1, "7", 1), (2, "7", 2), (3, "6", 3), (9, "6", 3)):
        model = ScriptedSteps(script, beliefs)
        (solution,) = registry.named("self-refinement").solve(one, model.session(), Budget(rounds))
        assert (solution.answer, len(solution.trace.leaves)) == (answer, ends)
        assert model.asked[()] == 1  # the step that is believed stays
        assert solution.chosen == ends - 1 if answer == "6" else solution.chosen == 0


def test_the_cut_is_before_the_first_doubt() -> None:
    script = {(): ["s", "r"], ("s",): ["t"], ("s", "t"): ["= 1"], ("r",): ["= 2"]}
    for beliefs, again in (
        ({("s",): 0.4, ("s", "t"): 0.1}, ()),
        ({("s",): 0.9, ("s", "t"): 0.1}, ("s",)),
        ({("s",): 0.6, ("s", "t"): 0.7, ("s", "t", "= 1"): 0.2}, ()),  # the least believed step
        ({("s",): 0.8, ("s", "t"): 0.7, ("s", "t", "= 1"): 0.2}, ("s",)),
    ):
        model = ScriptedSteps(script, beliefs)
        registry.named("self-refinement").solve(PROBLEMS[:1], model.session(), Budget(2))
        assert [path for path in ((), ("s",)) if model.asked[path] == 2] == [again]
    model = ScriptedSteps(script, {("s", "t", "= 1"): 0.9})
    registry.named("self-refinement").solve(PROBLEMS[:1], model.session(), Budget(5))
    assert model.asked[()] == 1  # at a half and more nothing is in doubt


# ------------------------------------------------------------------------------- the session


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_is_kept_and_can_be_loaded(name: str, tmp_path: FilePath) -> None:
    def keep(name: str, problems: Sequence[Problem], style: Style, make: Make) -> list[Trace]:
        path = tmp_path / name
        if not path.is_file():
            save_traces(path, [*make(0, 1), *make(1)])
        return load_traces(path, problems, CharTokenizer(), style)

    model, again = (ScriptedSteps(SCRIPT, BELIEFS) for _ in range(2))
    method = registry.named(name)
    first = method.solve(PROBLEMS, model.session(keep), Budget(6))
    assert method.solve(PROBLEMS, again.session(keep), Budget(6)) == first
    assert (model.continued > 0, again.continued, again.read) == (True, 0, [])
    assert method.solve(PROBLEMS, ScriptedSteps(SCRIPT, BELIEFS).session(), Budget(6)) == first


@pytest.mark.parametrize("name", SEARCHES)
def test_a_chain_without_room_is_no_answer(name: str) -> None:
    model = ScriptedSteps(SCRIPT, BELIEFS)
    (solution,) = registry.named(name).solve(PROBLEMS[:1], model.session(room=3), Budget(4))
    assert solution.answer is None
    assert all(chain.answer is None for chain in solution.trace.completions)
    assert solution.cost.completion_tokens == model.written > 0


def test_searches_need_a_model_that_can_be_continued() -> None:
    model = ScriptedSteps(SCRIPT, continues_steps=False)
    assert "steps" in ScriptedSteps(SCRIPT).session().has
    for other in (model.session(), session(FixedModel({}, scored=True))):
        assert "steps" not in other.has
        with pytest.raises(ValueError, match="cannot continue a chain after a step"):
            other.step_model()
        for name in SEARCHES:
            method = registry.named(name)
            assert method not in registry.usable(other.has)
            said = f"{name} needs chains that can be continued after any step"
            with pytest.raises(UserError, match=said):
                registry.require(method, other.has)
            assert not method.in_ladder and method in registry.usable(
                {"chain", "steps", "verifier"}
            )
            assert method not in registry.usual({"chain", "steps", "verifier"})
