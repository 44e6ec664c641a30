"""A logged group taken apart: its numbers are those of the formula written out with loops."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.cli.main import main
from glassmind.errors import UserError
from glassmind.evaluate.explanation.group_loss import alignment, explain_group
from glassmind.evaluate.explanation.objectives import of_recipe, published
from glassmind.evaluate.explanation.page import render_explanation
from glassmind.evaluate.explanation.text import Explanation, explanation_text, finding
from glassmind.runs.recipe import Recipe, recipe_toml
from glassmind.runs.reward_groups import LoggedCompletion, LoggedGroup, write_group

LONGEST = 10


def completion(reward: float, advantage: float, moved: list[float], **changes: object) -> object:
    """Tokens that the sampler drew with probability 1/2, and the policy now gives e^moved times
    that."""
    n = len(moved)
    base = math.log(0.5)
    made = LoggedCompletion(
        pieces=tuple(f"<t{i}>" for i in range(n)),
        ids=tuple(range(n)),
        written=(True,) * n,
        sampled_logprobs=(base,) * n,
        logprobs=tuple(base + move for move in moved),
        reference_logprobs=None,
        rewards={"answer": reward},
        reward=reward,
        advantage=advantage,
        finish="stop",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def group(*completions: object) -> LoggedGroup:
    return LoggedGroup(4, "p-1", "Mia has <3> pens?", "3", tuple(completions))  # type: ignore[arg-type]


GROUP = group(
    completion(1.0, 9.0, [0.0, 0.5, -0.1]),
    completion(0.0, 9.0, [-0.5, 0.02, 0.3, 0.0, 0.1]),
)
NAMED = {objective.name: objective for objective in published(LONGEST)}
CENTRED = [0.5, -0.5]
STANDARD = [x / (math.sqrt(0.5) + 1e-4) for x in CENTRED]


def written_out(name: str) -> list[list[float]]:
    """∂L/∂log π of each token of GROUP, by hand."""
    lengths = [len(each.ids) for each in GROUP.completions]
    found = []
    for number, each in enumerate(GROUP.completions):
        moves = [now - then for now, then in zip(each.logprobs, each.sampled_logprobs, strict=True)]
        row = []
        for move in moves:
            ratio = math.exp(move)
            advantage = STANDARD[number]
            low, high = 0.8, 1.2
            share = 1 / sum(lengths)
            if name in ("GRPO", "GSPO"):
                share = 1 / (2 * lengths[number])
            if name == "Dr. GRPO":
                advantage, share = CENTRED[number], 1 / (2 * LONGEST)
            if name == "RLOO":
                advantage, low, high = 2 * CENTRED[number], 0.0, math.inf
                share = 1 / (2 * LONGEST)
            if name in ("DAPO", "CISPO"):
                high = 1.28 if name == "DAPO" else 5.0
            if name == "GSPO":
                ratio = math.exp(sum(moves) / len(moves))
                low, high = 1 - 3e-4, 1 + 4e-4
            if name == "CISPO":
                row.append(-min(max(ratio, 0.0), high) * advantage * share)
                continue
            dead = ratio > high if advantage > 0 else ratio < low
            row.append(0.0 if dead else -ratio * advantage * share)
        found.append(row)
    return found


@pytest.mark.parametrize("name", NAMED)
def test_gradients_are_those_of_the_formula(name: str) -> None:
    found = explain_group(GROUP, NAMED[name])
    for one, expected in zip(found.completions, written_out(name), strict=True):
        assert [token.gradient for token in one.learned] == pytest.approx(expected, abs=1e-12)


def test_what_the_run_used_is_taken_from_its_line() -> None:
    own = of_recipe({"normalisation": "constant", "questions": 3}, LONGEST)
    assert own.options.constant_length == LONGEST
    found = explain_group(GROUP, own, recorded=True)
    assert [one.advantage for one in found.completions] == [9.0, 9.0]
    # The second token of the first completion is past its upper bound, and has no gradient.
    assert [token.clipped for token in found.completions[0].learned] == ["", "high", ""]
    assert found.completions[0].learned[1].gradient == 0
    assert found.completions[0].clipped == 1


def test_tokens_that_are_not_learned_have_no_part() -> None:
    given = completion(1.0, 1.0, [0.0, 0.0, 0.0], written=(True, False, True))
    found = explain_group(group(given, GROUP.completions[1]), NAMED["GRPO"])
    assert found.completions[0].tokens[1] is None
    assert len(found.gradients) == 2 + 5
    assert found.completions[0].learned[0].gradient == pytest.approx(-STANDARD[0] / 4)


def test_directions_of_objectives_are_compared() -> None:
    grpo, dapo, rloo = (explain_group(GROUP, NAMED[name]) for name in ("GRPO", "DAPO", "RLOO"))
    assert alignment(grpo, grpo) == pytest.approx(1)
    between = alignment(dapo, rloo)
    assert between is not None
    assert 0 < between < 1  # they disagree about the clipped tokens
    still = explain_group(group(completion(1, 0, [0.0]), completion(1, 0, [0.0])), NAMED["GRPO"])
    assert alignment(grpo, replace(still, completions=grpo.completions)) == pytest.approx(1)
    assert still.norm == 0


def explained(logged: LoggedGroup) -> Explanation:
    own = of_recipe({}, LONGEST)
    others = tuple(explain_group(logged, each) for each in published(LONGEST))
    return Explanation(logged, explain_group(logged, own, recorded=True), others)


def test_findings() -> None:
    equal = explained(group(completion(1.0, 0.0, [0.0]), completion(1.0, 0.0, [0.0])))
    assert "All 2 rewards are 1." in finding(equal)
    assert "the loss is 0" in finding(equal)
    assert "group of one" in finding(explained(group(completion(1.0, 0.0, [0.0]))))
    assert "no completions" in finding(explained(group()))
    real = explained(group(completion(1.0, 1.0, [0.0]), completion(0.0, -1.0, [0.0])))
    assert finding(real) == (
        "Rewards go from 0 to 1: 1 completion made likelier, 1 made less likely."
    )


@pytest.mark.parametrize("logged", [GROUP, group(), group(completion(0.0, 0.0, []))])
def test_the_text_fits_a_terminal(logged: LoggedGroup) -> None:
    lines = explanation_text(explained(logged), None, 40, 80).splitlines()
    assert max(map(len, lines)) <= 80
    narrow = explanation_text(explained(logged), None, 40, 44)
    assert "RF++" not in narrow  # columns go, never digits


def test_the_page_escapes_what_a_model_wrote() -> None:
    nasty = completion(1.0, 1.0, [0.0], pieces=("<script>alert(1)</script>\x1b[2J",))
    page = render_explanation(explained(group(nasty, GROUP.completions[1])))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page
    assert "Mia has &lt;3&gt; pens?" in page
    assert 'class="up-' in page
    assert 'class="down-' in page


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("explained")
    recipe = Recipe(name="r", objective="grpo", options={"normalisation": "token"})
    (folder / "recipe.toml").write_text(recipe_toml(recipe))
    write_group(folder, GROUP)
    write_group(folder, replace(GROUP, step=8))
    return folder


def test_the_command(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "loss.html"
    assert main(["explain", "loss", str(run), "--step", "8", "--page", str(page)]) == 0
    text = capsys.readouterr().out
    for name in NAMED:
        assert name in text
    assert "<t4>" in text or "<t2>" in text
    assert "Step 8" in page.read_text("utf-8")
    assert main(["explain", "loss", str(run), "--step", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["objective"]["name"] for one in found["others"]] == list(NAMED)
    assert found["own"]["completions"][0]["tokens"][0]["gradient"] == pytest.approx(-9 / 8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--step", "5"], "near it are 4, 8"),
        (["--step", "8", "--completion", "2"], "0 to 1, not 2"),
        (["--step", "8", "--show", "0"], "--show must be at least 1"),
        (["--step", "8", "--page", "x.txt"], ".html"),
    ],
)
def test_mistakes(
    run: Path, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "loss", str(run), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_a_run_without_groups_and_a_damaged_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "recipe.toml").write_text(recipe_toml(Recipe(name="r")))
    assert main(["explain", "loss", str(tmp_path), "--step", "1"]) == 2
    assert "glassmind train grpo" in capsys.readouterr().err
    short = completion(1.0, 1.0, [0.0, 0.0], logprobs=(-0.1,))
    with pytest.raises(UserError, match="completion 0 of step 4"):
        explain_group(group(short), NAMED["GRPO"])
    with pytest.raises(UserError, match="log-probabilities of the reference"):
        explain_group(GROUP, of_recipe({"kl": 0.1}, LONGEST))
