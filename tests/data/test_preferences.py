"""Preferences: every form of a row, what is refused, and generated pairs whose truth is known."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from glassmind.data import ProblemDial, generate
from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import pack
from glassmind.data.preferences.documents import (
    PREFERENCE,
    EncodedPreference,
    mismatched_documents,
    preference_document,
)
from glassmind.data.preferences.files import (
    PreferenceColumns,
    check_preferences,
    load_preferences,
    split_preferences,
)
from glassmind.data.preferences.generated import chain_pairs, told, with_error
from glassmind.data.preferences.records import Preference
from glassmind.errors import UserError
from glassmind.grade import check_steps
from glassmind.records import Problem, Step

HI: dict[str, Any] = {"role": "user", "content": "Hi"}
HELLO = {"role": "assistant", "content": "Hello!"}
WHAT = {"role": "assistant", "content": "What?"}
TRANSCRIPT = "\n\nHuman: Hi\n\nAssistant: "


def written(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello!", "rejected": "What?"},
        {"question": "Hi", "chosen": [HELLO], "rejected": [WHAT]},
        {"prompt": [HI], "chosen": "Hello!", "rejected": "What?"},
        {"prompt": "Hi", "chosen": [HI, HELLO], "rejected": [HI, WHAT]},
        {"chosen": [HI, HELLO], "rejected": [HI, WHAT]},
        {"chosen": json.dumps([HI, HELLO]), "rejected": json.dumps([HI, WHAT])},
        {"chosen": f"{TRANSCRIPT}Hello!", "rejected": f"{TRANSCRIPT}What?"},
        {"prompt": TRANSCRIPT, "chosen": "Hello!", "rejected": "What?"},
        {"instruction": "Hi", "input": "", "output": "x", "chosen": "Hello!", "rejected": "What?"},
    ],
)
def test_every_form_of_a_pair_is_read(tmp_path: Path, row: dict[str, object]) -> None:
    path = written(tmp_path / "a.jsonl", row)
    assert load_preferences(path) == [Preference((HI,), "Hello!", "What?", f"{path} line 1")]


def test_rows_of_a_table_may_be_pairs_or_single_answers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("q,good,bad,text,ok\nHi,Hello!,What?,,\nHi,,,Hello!,1\nHi,,,What?,False\n")
    columns = PreferenceColumns("q", "good", "bad", "text", "ok")
    found = [(one.chosen, one.rejected) for one in load_preferences(path, columns)]
    assert found == [("Hello!", "What?"), ("Hello!", None), (None, "What?")]
    assert [one.paired for one in load_preferences(path, columns)] == [True, False, False]


def test_a_dialogue_keeps_its_turns(tmp_path: Path) -> None:
    begun = "\n\nHuman: Hi\n\nAssistant: Yes: a\n\nHuman: b?\n\nAssistant: "
    path = written(tmp_path / "a.jsonl", {"chosen": begun + "c", "rejected": begun + "d\n\ne"})
    [one] = load_preferences(path)
    assert [m["content"] for m in one.prompt] == ["Hi", "Yes: a", "b?"]
    assert (one.chosen, one.rejected) == ("c", "d\n\ne")


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": " b "}, "two equal answers"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, 'an empty answer in "rejected"'),
        ({"prompt": "a", "chosen": "b"}, 'needs "rejected"'),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, 'has an empty "prompt"'),
        ({"chosen": "b", "rejected": "c"}, "needs a prompt: 'prompt' or 'question'"),
        ({"prompt": "a", "chosen": [HELLO, HI], "rejected": "c"}, "does not end with a message"),
        ({"prompt": "a", "chosen": [{"role": 1}], "rejected": "c"}, "a message 1 without a role"),
        ({"chosen": [HI, HELLO], "rejected": [WHAT, WHAT]}, "differ before their last answer"),
        ({"prompt": "a", "completion": "b", "label": "maybe"}, "'maybe': it must be true or false"),
        ({"prompt": "a", "completion": "b"}, "is no preference: each is"),
        ({"prompt": "a", "completion": "", "label": 1}, 'an empty answer in "completion"'),
        ({"prompt": 3, "chosen": "b", "rejected": "c"}, 'needs "prompt": a text'),
        ([1], "is no preference"),
    ],
)
def test_a_bad_row_is_named_and_may_be_skipped(tmp_path: Path, row: object, said: str) -> None:
    good = {"prompt": "a", "chosen": "b", "rejected": "c"}
    path = written(tmp_path / "a.jsonl", good, row)
    with pytest.raises(UserError, match=r"line 2 .*--skip-bad-rows") as refused:
        load_preferences(path)
    assert said in str(refused.value)
    told_of: list[str] = []
    assert len(load_preferences(path, on_bad_row="skip", say=told_of.append)) == 1
    assert said in told_of[0]


def test_prompts_stay_on_one_side() -> None:
    rows = [Preference(({"role": "user", "content": str(n % 50)},), "a", "b") for n in range(200)]
    training, held_out = split_preferences(rows, 0, 0.3)
    prompts = [{one.prompt[0]["content"] for one in part} for part in (training, held_out)]
    assert len(training) + len(held_out) == 200
    assert prompts[0] and prompts[1] and not prompts[0] & prompts[1]


def test_a_public_set_of_transcripts(data_folder: Path) -> None:
    checked = check_preferences(data_folder / "instructions" / "hh_harmless_base.jsonl.gz")
    assert (len(checked.good), len(checked.bad)) == (2303, 9)
    assert all(one.prompt[-1]["role"] == "user" for one in checked.good)


# --------------------------------------------------------------------------------- generated


def problems(n: int) -> list[Problem]:
    return generate(ProblemDial(1, 4, max_number=15, max_result=60), n, split="train", seed=1)


def test_right_chains_are_preferred_to_wrong_ones() -> None:
    pairs = chain_pairs(problems(150), "right", 0)
    assert len(pairs) > 140
    shapes = set()
    for pair in pairs:
        checks = check_steps(pair.problem, [step.text for step in pair.chosen.steps])
        assert checks[-1].complete and pair.chosen.answer == pair.problem.answer
        assert pair.rejected.answer != pair.problem.answer
        assert pair.rejected.answer == pair.rejected.steps[-1].value
        wrong = check_steps(pair.problem, [step.text for step in pair.rejected.steps])
        assert not wrong[-1].complete
        shapes.add((len(pair.rejected.steps) < len(pair.chosen.steps), wrong[-1].arithmetic))
        assert sum(not check.arithmetic for check in wrong) <= 1  # one error, then consequences
    assert len(shapes) == 3  # an early end, a wrong result at the end, and another error


def test_short_chains_are_preferred_to_longer_ones() -> None:
    for pair in chain_pairs(problems(40), "short", 0):
        assert pair.chosen.answer == pair.rejected.answer == pair.problem.answer
        assert len(pair.rejected.steps) == len(pair.chosen.steps) + 1
        texts = [step.text for step in pair.rejected.steps]
        twice = next(n for n, text in enumerate(texts) if text in texts[:n])
        del texts[twice]
        assert check_steps(pair.problem, texts)[-1].complete


def test_pairs_depend_on_their_problem_and_the_seed_alone() -> None:
    some = problems(12)
    pairs = chain_pairs(some, "right", 7)
    assert chain_pairs(some[6:], "right", 7) == pairs[6:]
    assert chain_pairs(some, "right", 8) != pairs


def test_every_step_can_go_wrong_and_bare_text_cannot() -> None:
    step = Step("0*0=0", "*", ("0", "0"), "0", (None, None))
    wrong = with_error([step], random.Random(0))
    assert wrong is not None and wrong.answer != "0"
    bare = Problem("a", "How many?", "3", (Step("three"),))
    assert chain_pairs([bare], "right", 0) == []


def test_told_pairs_end_with_their_answer() -> None:
    [pair] = chain_pairs(problems(1), "right", 0)
    said = told(pair)
    assert said.paired and said.prompt[0]["content"] == pair.problem.question
    for chain, text in ((pair.chosen, said.chosen), (pair.rejected, said.rejected)):
        assert str(text).splitlines()[-1] == f"The answer is {chain.answer}."


# --------------------------------------------------------------------------------- documents


def test_both_answers_follow_the_prompt() -> None:
    row = pack([preference_document(EncodedPreference((5, 6), (7, 8, 9), (1,)))], 8, pad_id=0)
    assert row.ids[0].tolist() == [5, 6, 7, 8, 9, 1, 0, 0]
    assert row.positions[0, :6].tolist() == [0, 1, 2, 3, 4, 2]
    assert row.previous[0, 2] == row.previous[0, 5] == 1
    assert row[PREFERENCE][0].tolist() == [0, 0, 1, 1, 1, -1, 0, 0]
    assert row[COMPLETION][0].tolist() == [False] * 2 + [True] * 4 + [False] * 2


def test_a_mismatched_answer_is_one_to_another_prompt() -> None:
    same = [EncodedPreference((1,), (n,), ()) for n in (10, 11)]
    other = EncodedPreference((2,), (), (20, 21, 22))
    found = [document.ids.tolist() for document in mismatched_documents([*same, other], 4)]
    assert found == [[1, 10, 20, 21], [1, 11, 20, 21], [2, 20, 21, 22]]  # the last has no room
