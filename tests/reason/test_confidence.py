"""How likely an answer is right: the evidence, the fit, and the file."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path

import pytest
from fixed_model import chain

from glassmind.errors import UserError
from glassmind.reason.confidence import (
    UNSOUND_LIMIT,
    Calibration,
    Evidence,
    Weights,
    fit,
    gather,
    load_calibration,
    save_calibration,
)
from glassmind.records import Completion, Trace
from glassmind.runs.models import shipped_run

QUESTION = "3 boxes of 12 pencils and 7 caps"


def completions(*scored: tuple[str, str, float | None]) -> tuple[Completion, ...]:
    """Of (the steps as lines, the answer, the verifier's score)."""
    nodes = [
        [replace(chain(answer, 5, -1.0, score), kind="text", text=steps)]
        for steps, answer, score in scored
    ]
    return Trace.of_chains("p", nodes).completions  # type: ignore[arg-type]


def test_the_evidence() -> None:
    chains = completions(("3*12=36", "36", 0.9), ("3*12=35", "36", 0.7), ("7+3=10", "10", 0.2))
    found = gather(QUESTION, chains, "36", chains[0], 0.25)
    assert found is not None
    odds = [(p / (1 - p)) ** 0.7 for p in (0.9, 0.7, 0.2)]
    share, mean = sum(odds[:2]) / sum(odds), 0.6
    assert found.agreement == pytest.approx(math.log(share / (1 - share)))
    assert found.belief == pytest.approx(math.log(mean / (1 - mean)))
    assert found.strangeness == 0.25
    assert found.unused == pytest.approx(1 / 3)  # the 7
    assert found.unsound == 0.5 and not found.chosen_unsound
    other = gather(QUESTION, chains, "36", chains[1], 0.25)
    assert other is not None and other.chosen_unsound


def test_without_evidence_nothing_is_said() -> None:
    chains = completions(("3*12=36", "36", None))
    assert gather(QUESTION, chains, "36", chains[0], 0.1) is None  # not scored
    chains = completions(("3*12=36", "36", 0.9))
    assert gather(QUESTION, chains, "36", chains[0], None) is None
    assert gather(QUESTION, chains, None, None, 0.1) is None
    sure = completions(("3*12=36", "36", 1.0))
    found = gather("no number here", sure, "36", sure[0], 0.0)
    assert found is not None and found.unused == 0 and math.isfinite(found.agreement)


def test_fitting_finds_what_made_the_answers() -> None:
    rng = random.Random(1)
    true = Calibration(1, -0.5, Weights(0.8, 0.5, -2.0, -3.0, -1.0))
    evidence = [
        Evidence(rng.gauss(0, 2), rng.gauss(0, 2), *(rng.random() for _ in range(3)))
        for _ in range(4000)
    ]
    right = [rng.random() < true.confidence(found) for found in evidence]
    found = fit(evidence, right)
    for name in ("agreement", "belief", "strangeness", "unused", "unsound"):
        value = getattr(found.weights, name)
        assert value == pytest.approx(getattr(true.weights, name), abs=0.35), name
    # At the maximum, what is said and what came true agree in the mean.
    said = sum(found.confidence(one) for one in evidence)
    assert said == pytest.approx(sum(right), rel=0.01)
    with pytest.raises(ValueError, match="right and wrong"):
        fit(evidence, [True] * len(evidence))


def test_an_unsound_chain_is_never_trusted() -> None:
    sure = Calibration(1, 20.0, Weights(0, 0, 0, 0, 0))
    sound = Evidence(0, 0, 0, 0, 0)
    assert sure.confidence(sound) > 0.99
    assert sure.confidence(replace(sound, chosen_unsound=True)) == UNSOUND_LIMIT


def test_it_is_kept_in_the_run_s_folder(tmp_path: Path) -> None:
    assert load_calibration(tmp_path) is None
    kept = Calibration(1, 0.5, Weights(1, 2, 3, 4, 5), about="a test")
    save_calibration(tmp_path, kept)
    assert load_calibration(tmp_path) == kept
    (tmp_path / "confidence.json").write_text('{"format": 1}')
    with pytest.raises(UserError, match=r"confidence\.json"):
        load_calibration(tmp_path)


def test_the_shipped_model_is_calibrated() -> None:
    found = load_calibration(shipped_run().path)
    assert found is not None and sum(source.n for source in found.fitted_on) == 650
    assert "asdiv" not in {source.source for source in found.fitted_on}
    good = Evidence(4.5, 3.0, 0.0, 0.0, 0.0)
    assert found.confidence(good) > 0.85
    for worse in (
        replace(good, agreement=-1.0),
        replace(good, belief=-2.0),
        replace(good, strangeness=0.7),
        replace(good, unused=0.5),
        replace(good, unsound=1.0),
    ):
        assert found.confidence(worse) < found.confidence(good)
