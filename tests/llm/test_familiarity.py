"""How strange a question is to a model that kept what its training was like."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glassmind.data import ProblemDial, generate
from glassmind.errors import UserError
from glassmind.llm.familiarity import Familiarity, load_familiarity, save_familiarity
from glassmind.records import Problem
from glassmind.runs.models import shipped_run


def known_by(folder: Path, *questions: str) -> Familiarity:
    problems = [Problem(str(n), q, "1", source=f"s{n % 3}") for n, q in enumerate(questions)]
    save_familiarity(folder / "familiarity.json", problems)
    found = load_familiarity(folder / "familiarity.json")
    assert found is not None
    return found


def test_pairs_of_neighbours_are_counted(tmp_path: Path) -> None:
    known = known_by(tmp_path, "Tom has 3 apples.", "Mia has 12 red pens.")
    assert known.strangeness("Mia has 5 apples.") == 0.0
    # ^ tom | tom has | has apples | apples # | # . | . /
    assert known.strangeness("Tom has apples 7.") == pytest.approx(3 / 6)
    assert known.warning("Mia has 5 apples.") is None
    assert "never occurred side by side" in str(known.warning("apples red 5 has Tom pens"))
    assert "words never occurred" in str(known.warning("Elephants swim 3 miles."))
    assert known.examples == ("Tom has 3 apples.", "Mia has 12 red pens.")
    assert known.strangeness("") == 1.0


def test_a_file_without_pairs_still_warns(tmp_path: Path) -> None:
    path = tmp_path / "familiarity.json"
    path.write_text(json.dumps({"largest": 20, "words": ["tom", "has", "apples"]}))
    old = load_familiarity(path)
    assert old is not None and old.strangeness("Tom has 3 apples") is None and old.examples == ()
    assert "went up to 20" in str(old.warning("Tom has 300 apples"))
    path.write_text('{"words": [], "followers": []}')
    with pytest.raises(UserError, match="must hold"):
        load_familiarity(path)
    assert load_familiarity(tmp_path / "none.json") is None


def test_the_shipped_model_knows_its_own_kind_best() -> None:
    known = load_familiarity(shipped_run().path / "familiarity.json")
    assert known is not None and len(known.examples) == 6
    strange = {}
    for split in ("validation", "reworded"):
        questions = [p.question for p in generate(ProblemDial(), 40, split=split, seed=9)]  # type: ignore[arg-type]
        values = [known.strangeness(question) or 0.0 for question in questions]
        strange[split] = sum(values) / len(values)
    foreign = known.strangeness("Donna weighs 69 pounds. How much heavier is Donna than Willie?")
    assert strange["validation"] < 0.02 < 0.1 < strange["reworded"] < 0.3
    assert foreign is not None and foreign > 0.5
