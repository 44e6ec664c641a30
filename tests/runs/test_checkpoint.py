"""Checkpoints and weight files: whole or refused, never half believed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.files import require_space, write_json, write_text
from glassmind.runs import checkpoint, checkpoint_state
from glassmind.runs.checkpoint import Checkpoint, OtherVersion, Writer, load_tensors, save_tensors
from glassmind.runs.weights import load_weights, named_weights
from glassmind.serialization import read_json

TENSORS = {
    "matrix": torch.arange(12.0).reshape(3, 4),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "scalar": torch.tensor(7.0),
    "whole": torch.tensor([2**40, -1]),
}


def make(step: int) -> Checkpoint:
    tensors = {"model": TENSORS, "optimizer": {"a|step": torch.tensor(float(step))}}
    return Checkpoint(tensors, {"step": step, "text": "é"})


def same(one: dict[str, Tensor], two: dict[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(
        torch.equal(one[n], two[n]) and one[n].dtype == two[n].dtype for n in one
    )


def files(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


# --------------------------------------------------------------------------- one tensor file


def test_tensors_come_back(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(TENSORS | {"turned": TENSORS["matrix"].T}, path)
    assert files(tmp_path) == ["t.safetensors"]
    found = load_tensors(path)
    assert torch.equal(found.pop("turned"), TENSORS["matrix"].T)
    assert same(found, TENSORS)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("not tensors at all, but a text of some length", "utf-8")


def pickled(path: Path) -> None:
    torch.save(TENSORS, path)


def huge_header(path: Path) -> None:
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")


def broken_header(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[9] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [truncate, empty, text, pickled, huge_header, broken_header])
def test_files_that_are_no_tensors_are_refused(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(TENSORS, path)
    damage(path)
    with pytest.raises(UserError, match=r"t\.safetensors is damaged or not a safetensors file"):
        load_tensors(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.safetensors is missing"):
        load_tensors(tmp_path / "gone.safetensors")


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t.safetensors"
    save_tensors(TENSORS, path)

    def fail(tensors: object, where: Path) -> None:
        where.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(UserError, match="No space"):
        save_tensors({"other": torch.zeros(3)}, path)
    assert files(tmp_path) == ["t.safetensors"]
    assert same(load_tensors(path), TENSORS)


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_full_disk_is_noticed_before_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 2**20 + 40))
    require_space(tmp_path, 40)
    with pytest.raises(UserError, match=r"1 MiB free .* make room, then continue with --resume"):
        save_tensors(TENSORS, tmp_path / "t.safetensors")
    with pytest.raises(UserError, match="make room"):
        checkpoint.save(tmp_path / "checkpoints", 1, make(1), keep=2)
    assert files(tmp_path) == ["checkpoints"]
    assert files(tmp_path / "checkpoints") == []


# ------------------------------------------------------------------------------- checkpoints


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, make(5), keep=2)
    assert files(tmp_path) == ["step-000005"]
    assert files(tmp_path / "step-000005") == [
        "model.safetensors",
        "optimizer.safetensors",
        "state.json",
    ]
    found = checkpoint.load(tmp_path / "step-000005")
    assert found.tensors.keys() == {"model", "optimizer"}
    assert same(found.tensors["model"], TENSORS)
    assert found.state["step"] == 5
    assert found.state["text"] == "é"


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 9, 10):
        checkpoint.save(tmp_path, step, make(step), keep=2)
    assert files(tmp_path) == ["step-000009", "step-000010"]
    newest = checkpoint.newest(tmp_path)
    assert newest is not None
    assert newest.state["step"] == 10


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 3, make(3), keep=2)
    checkpoint.save(tmp_path, 3, Checkpoint({"model": {}}, {"step": 3, "again": True}), keep=2)
    assert checkpoint.load(tmp_path / "step-000003").state["again"] is True
    assert files(tmp_path) == ["step-000003"]


def test_nowhere_there_is_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "missing") is None


def flip(name: str) -> Callable[[Path], None]:
    """Change one bit of the last byte: a number, not the header."""

    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[-1] ^= 1
        (folder / name).write_bytes(bytes(data))

    return damage


def lose(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def rewrite(**changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        state = json.loads((folder / "state.json").read_text("utf-8")) | changes
        (folder / "state.json").write_text(json.dumps(state), "utf-8")

    return damage


def foreign(folder: Path) -> None:
    save_file({"theirs": torch.zeros(2)}, folder / "model.safetensors")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip("model.safetensors"),
    "a flipped bit in the optimizer": flip("optimizer.safetensors"),
    "a truncated part": lambda folder: truncate(folder / "model.safetensors"),
    "a missing part": lose("optimizer.safetensors"),
    "a missing state": lose("state.json"),
    "another file of tensors": foreign,
    "no format": rewrite(format=None),
    "no checksums": rewrite(checksums=None),
    "a path in the checksums": rewrite(checksums={"../../elsewhere.safetensors": "0"}),
    "a state that is a list": lambda folder: (folder / "state.json").write_text("[]", "utf-8"),
    "a state that is no JSON": lambda folder: truncate(folder / "state.json"),
    "a state that is no text": lambda folder: (folder / "state.json").write_bytes(b"\xff{}"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_checkpoints_are_passed_over(name: str, tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, make(step), keep=2)
    DAMAGES[name](tmp_path / "step-000002")
    with pytest.raises(UserError):
        checkpoint.load(tmp_path / "step-000002")
    said: list[str] = []
    found = checkpoint.newest(tmp_path, said.append)
    assert found is not None
    assert found.state["step"] == 1
    assert len(said) == 1
    assert "going back to the checkpoint before it" in said[0]
    assert "\n" not in said[0]


def test_an_unfinished_checkpoint_is_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, 1, make(1), keep=2)

    def interrupt(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint_state, "write_json", interrupt)
    with pytest.raises(KeyboardInterrupt):
        checkpoint.save(tmp_path, 2, make(2), keep=2)
    assert files(tmp_path) == ["step-000001"]


def test_more_than_a_million_steps(tmp_path: Path) -> None:
    for step in (999_999, 1_000_000):
        checkpoint.save(tmp_path, step, make(step), keep=2)
    newest = checkpoint.newest(tmp_path)
    assert newest is not None
    assert newest.state["step"] == 1_000_000


# ------------------------------------------------------------------------- weights and texts


def test_weights_go_out_and_in(tmp_path: Path) -> None:
    one, two = nn.Linear(3, 2), nn.Linear(3, 2)
    save_tensors(named_weights(one), tmp_path / "w.safetensors")
    load_weights(two, load_tensors(tmp_path / "w.safetensors"), "the file")
    assert torch.equal(one.weight, two.weight)
    assert torch.equal(one.bias, two.bias)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"weight": torch.zeros(2, 3)}, "lacks tensor bias"),
        (
            {"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "more": torch.zeros(1)},
            "has the unknown tensor more",
        ),
        (
            {"weight": torch.zeros(3, 2), "bias": torch.zeros(2)},
            r"weight has shape \(3, 2\) instead of \(2, 3\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tensors: dict[str, Tensor], said: str) -> None:
    with pytest.raises(UserError, match=f"the file is for another model: .*{said}"):
        load_weights(nn.Linear(3, 2), tensors, "the file")


def test_json_and_texts_appear_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"é": [1, None]})
    assert read_json(path) == {"é": [1, None]}
    monkeypatch.setattr("os.fsync", lambda file: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_text(path, "half")
    assert files(tmp_path) == ["a.json"]
    assert read_json(path) == {"é": [1, None]}


def test_files_that_are_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is missing"):
        read_json(tmp_path / "no.json")
    for content in (b"{", b"\xff\xfe", b""):
        (tmp_path / "bad.json").write_bytes(content)
        with pytest.raises(UserError, match="is not valid JSON"):
            read_json(tmp_path / "bad.json")


def test_deeply_nested_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deep.json").write_text("[" * 200_000, "utf-8")
    with pytest.raises(UserError):
        read_json(tmp_path / "deep.json")


@pytest.mark.parametrize(("number", "age"), [(99, "a newer"), (1, "an older")])
def test_a_checkpoint_of_another_version_is_not_passed_over(
    number: int, age: str, tmp_path: Path
) -> None:
    checkpoint.save(tmp_path, 1, make(1), keep=2)
    checkpoint.save(tmp_path, 2, make(2), keep=2)
    rewrite(format=number)(tmp_path / "step-000002")
    with pytest.raises(OtherVersion, match=f"written by {age} version"):
        checkpoint.newest(tmp_path)
    assert files(tmp_path) == ["step-000001", "step-000002"]


# ------------------------------------------------------------------------ in the background


def test_the_writer_writes_what_was_there_when_it_was_asked(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    moving = {"w": torch.zeros(1000, 1000)}
    for step in range(1, 5):
        moving["w"].fill_(step)
        writer.write(step, Checkpoint({"model": moving}, {"step": step}), keep=3)
        moving["w"].fill_(-1)  # training goes on
    writer.wait()
    assert files(tmp_path) == ["step-000002", "step-000003", "step-000004"]
    for step in (2, 3, 4):
        found = checkpoint.load(tmp_path / f"step-{step:06d}")
        assert (found.tensors["model"]["w"] == step).all()


def test_the_writer_tells_what_went_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 0))
    writer = Writer(tmp_path)
    writer.write(1, make(1), keep=1)
    with pytest.raises(UserError, match="make room"):
        writer.wait()


def test_the_best_is_kept_beside_the_newest(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, make(step), keep=1)
        if step < 3:
            checkpoint.save(tmp_path, step, make(step), keep=1, kind="best")
    assert files(tmp_path) == ["best-000002", "step-000003"]
    best = checkpoint.newest(tmp_path, kind="best")
    assert best is not None
    assert best.state["step"] == 2


def test_a_changed_number_of_the_state_is_noticed(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, step, make(step), keep=2)
    state = tmp_path / "step-000002" / "state.json"
    state.write_text(state.read_text("utf-8").replace('"step": 2', '"step": 7'), "utf-8")
    said: list[str] = []
    found = checkpoint.newest(tmp_path, said.append)
    assert found is not None
    assert found.state["step"] == 1
    assert "state.json does not match its checksum" in said[0]


def test_a_checkpoint_without_a_checksum_of_its_state_is_read(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 1, make(1), keep=1)
    path = tmp_path / "step-000001" / "state.json"
    state = json.loads(path.read_text("utf-8")) | {"format": 2}
    del state["state_checksum"]
    path.write_text(json.dumps(state), "utf-8")
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found.state["step"] == 1


def test_strangers_among_the_checkpoints_push_none_out(tmp_path: Path) -> None:
    (tmp_path / "step-000999").mkdir()  # empty, or half of one that somebody copied here
    for name in ("step-²²²²²²", "step-" + "9" * 200, "step-7",
                 "step-0000001", "step-000001.bak", "step--00001"):  # fmt: skip
        (tmp_path / name).mkdir()
    (tmp_path / "step-000002").touch()
    said: list[str] = []
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, make(step), keep=1)
        found = checkpoint.newest(tmp_path, said.append)
        assert found is not None
        assert found.state["step"] == step
    assert "step-000003" in files(tmp_path)
    assert not {"step-000001", "step-000002"} & set(files(tmp_path))
    # The file is in the way once, before step 2 is written in its place.
    assert [("999" in sentence, "000002" in sentence) for sentence in said] == [
        (True, False), (False, True), (True, False), (True, False)
    ]  # fmt: skip
