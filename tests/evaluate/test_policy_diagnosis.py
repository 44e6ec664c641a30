"""Every way in which learning from reward goes wrong is named; a run that is well has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.evaluate.diagnosis.diagnose import diagnose
from glassmind.evaluate.policy_figures import PolicyFigures, PolicySettings
from glassmind.evaluate.run_files import Metric, read_metrics

STAGE = "chain-of-thought"
WOBBLE = (0.01, -0.02, 0.0, 0.02, -0.01)
WELL = PolicyFigures(
    reward=0.5,
    solve_rate=0.5,
    informative=0.5,
    length=40.0,
    truncated=0.0,
    entropy=0.12,
    kl=0.001,
    clipped=0.002,
    clipped_low=0.001,
    clipped_high=0.001,
    ratio_far=0.0005,
    ratio_first=1e-5,
    logprob_diff=1e-5,
    watched=0.5,
)


def metrics(sets: int = 12, **ends: float) -> list[Metric]:
    """Sets of samples in which each named figure goes from that of ``WELL`` to its end, which it
    reaches in the middle, with some noise in what is sampled."""
    found = []
    for number in range(sets):
        share = min(1.0, 2 * number / (sets - 1))
        values = {
            name: getattr(WELL, name) + (end - getattr(WELL, name)) * share
            for name, end in ends.items()
        }
        row = replace(WELL, **values)  # type: ignore[arg-type]
        noise = WOBBLE[number % len(WOBBLE)]
        assert row.reward is not None and row.solve_rate is not None and row.length is not None
        row = replace(
            row,
            reward=row.reward + noise,
            solve_rate=max(0.0, row.solve_rate + noise),
            length=row.length + 10 * noise,
        )
        found.append(Metric(STAGE, number + 1, loss=0.0, lr=1.0, policy=row))
    return found


def kinds(rows: list[Metric], **options: object) -> list[str]:
    settings = PolicySettings(options=options)
    return [found.kind for found in diagnose(rows, STAGE, settings)]


def test_a_run_that_is_well() -> None:
    assert kinds(metrics()) == ["healthy"]
    (found,) = diagnose(metrics(solve_rate=0.8, reward=0.8), STAGE)
    assert found.well
    assert "rose by more than chance" in found.means
    # A loss that stands still is no sign of anything here.
    assert kinds(metrics(40)) == ["healthy"]


@pytest.mark.parametrize(
    ("ends", "options", "kind"),
    [
        ({"solve_rate": 0.0, "reward": 0.0, "truncated": 1.0}, {}, "learning rate too high"),
        ({"solve_rate": 0.0, "reward": 0.0, "entropy": 0.9}, {}, "learning rate too high"),
        ({"logprob_diff": 1.5}, {}, "sampler and trainer differ"),
        ({"ratio_far": 0.2}, {"clip_high": 1e6, "passes": 8}, "ratios without bounds"),
        ({"clipped": 0.2}, {"passes": 8}, "stale samples"),
        ({"clipped": 0.6}, {"ratio": "sequence"}, "stale samples"),
        ({"reward": 0.9}, {"reward": "hole-copied"}, "reward hacking"),
        ({"length": 70.0}, {}, "length hacking"),
        ({"kl": 0.3}, {"kl": 0.1}, "KL blow-up"),
        ({"kl": 0.3}, {"kl": 1.0, "kl_estimator": "k1"}, "KL without a gradient"),
        ({"entropy": 0.01}, {}, "entropy collapse"),
        ({"informative": 0.0}, {}, "all rewards of a group equal"),
    ],
)
def test_each_problem_by_name(
    ends: dict[str, float], options: dict[str, object], kind: str
) -> None:
    found = diagnose(metrics(**ends), STAGE, PolicySettings(options=options))
    assert found[0].kind == kind
    assert not found[0].well
    assert found[0].try_  # a cure for each


def test_what_only_looks_like_a_problem() -> None:
    # Longer answers that solve more, a reward that rises with the solve rate, bounds of sequences.
    assert kinds(metrics(length=70.0, solve_rate=0.9, reward=0.9)) == ["healthy"]
    assert kinds(metrics(solve_rate=0.9, reward=0.9)) == ["healthy"]
    assert kinds(metrics(clipped=0.2), ratio="sequence") == ["healthy"]
    assert kinds(metrics(ratio_far=0.2)) == ["healthy"]  # the clip bounds them
    weighed = {"kl": 0.1, "kl_estimator": "k1", "kl_ratio": True}
    assert kinds(metrics(kl=0.3), **weighed) == ["KL blow-up"]


def test_the_mismatch_of_a_cut_distribution_is_named() -> None:
    settings = PolicySettings(sampling={"top_p": 0.7})
    (found,) = diagnose(metrics(logprob_diff=1.5), STAGE, settings)
    assert found.kind == "top-p mismatch"
    assert "top_p = 0.7" in found.seen


def test_the_reason_why_all_rewards_are_equal_decides_the_cure() -> None:
    hard = diagnose(metrics(informative=0.0, solve_rate=0.05, reward=0.05), STAGE)
    easy = diagnose(metrics(informative=0.0, solve_rate=0.98, reward=0.98), STAGE)
    assert "too hard" in hard[-1].try_
    assert "too easy" in easy[-1].try_


def test_a_group_of_one_is_seen_in_the_logged_groups() -> None:
    found = diagnose(metrics(), STAGE, PolicySettings(), group_sizes=[1, 1, 0, 1])
    assert [one.kind for one in found] == ["a group of one"]
    assert diagnose(metrics(), STAGE, PolicySettings(), group_sizes=[8, 8])[0].well


def test_passes_over_one_set_count_once() -> None:
    same = metrics(2)
    rows = [replace(row, step=step) for step in range(1, 9) for row in [same[step > 4]]]
    (found,) = diagnose(rows, STAGE)
    assert found.kind == "too short"
    assert "2 sets" in found.seen


def test_a_solve_rate_that_falls_without_another_sign() -> None:
    assert kinds(metrics(solve_rate=0.3, reward=0.3)) == ["solve rate falls"]


def test_a_loss_that_is_not_a_number() -> None:
    rows = [*metrics(), Metric(STAGE, 13, loss=None, lr=1.0, policy=WELL)]
    assert kinds(rows)[0] == "learning rate too high"


def test_figures_are_read_from_a_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"stage": "chain-of-thought", "step": 1, "loss": 0.1, "lr": 1.0, "reward": 0.5, '
        '"reward_answer": 0.25, "reward_steps": NaN, "solve_rate": 0.25, '
        '"informative": 0.5, "gradient_norm": 1.0}\n'
        '{"stage": "chain-of-thought", "step": 2, "loss": 0.1}\n'
    )
    first, second = read_metrics(path) or ()
    assert first.policy is not None
    assert first.policy.rewards == {"answer": 0.25, "steps": None}
    assert first.policy.solve_rate == 0.25
    assert second.policy is None


def test_a_damaged_recipe_has_no_settings() -> None:
    assert PolicySettings.of_recipe("options = [") == PolicySettings()
    assert PolicySettings.of_recipe(None) == PolicySettings()
    text = "[options]\nclip_high = 1e6\nreward = 3\n[sampling]\ntop_p = 0.7\n"
    assert PolicySettings.of_recipe(text).number("clip_high", 0.2) == 1e6
