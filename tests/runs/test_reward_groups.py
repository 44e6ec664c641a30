"""``groups.jsonl``: written, read, cut for a run that is resumed, and kept small."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.runs import reward_groups
from glassmind.runs.reward_groups import (
    NAME,
    LoggedCompletion,
    LoggedGroup,
    cut_groups,
    read_groups,
    write_group,
)

COMPLETION = LoggedCompletion(
    pieces=("4", "2", "<|end|>"),
    ids=(7, 5, 3),
    written=(True, True, False),
    sampled_logprobs=(-0.25, -1.5, 0.0),
    logprobs=(-0.25, -1.5, 0.0),
    reference_logprobs=None,
    rewards={"answer": 1.0, "steps": 0.5},
    reward=1.1,
    advantage=-0.7,
    finish="stop",
)
GROUP = LoggedGroup(1, "p-1", "How many?\u2028 Many?", "42", (COMPLETION,))
SECOND = replace(
    GROUP, step=2, completions=(replace(COMPLETION, reference_logprobs=(-1.0, -2.0, 0.0)),)
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    assert read_groups(tmp_path) == []
    for group in (GROUP, SECOND):
        write_group(tmp_path, group)
    assert read_groups(tmp_path) == [GROUP, SECOND]


def test_a_resumed_run_has_no_step_twice(tmp_path: Path) -> None:
    for group in (GROUP, SECOND, replace(GROUP, step=3)):
        write_group(tmp_path, group)
    with (tmp_path / NAME).open("a", encoding="utf-8") as file:
        file.write('{"step": 4, "prob')  # killed in the middle of a line
    assert [group.step for group in read_groups(tmp_path)] == [1, 2, 3]
    cut_groups(tmp_path, 1)
    write_group(tmp_path, SECOND)
    assert read_groups(tmp_path) == [GROUP, SECOND]


def test_the_file_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_group(tmp_path, GROUP)
    line = (tmp_path / NAME).stat().st_size
    monkeypatch.setattr(reward_groups, "MOST_BYTES", 4 * line + 8)
    for step in range(2, 12):
        write_group(tmp_path, replace(GROUP, step=step))
        assert (tmp_path / NAME).stat().st_size <= 4 * line + 8
    steps = [group.step for group in read_groups(tmp_path)]
    assert steps[0] == 1 and steps[-1] == 11
    monkeypatch.setattr(reward_groups, "MOST_TOKENS", 2)
    write_group(tmp_path, replace(GROUP, step=12))
    assert [group.step for group in read_groups(tmp_path)] == steps


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"step": "one"}\n', "utf-8")
    with pytest.raises(UserError, match=r"groups.jsonl, line 1"):
        read_groups(tmp_path)
    with pytest.raises(UserError, match=r"groups.jsonl, line 1 has no step"):
        cut_groups(tmp_path, 3)
    (tmp_path / NAME).write_text("[]\n", "utf-8")
    with pytest.raises(UserError, match=r"groups.jsonl, line 1"):
        cut_groups(tmp_path, 3)
