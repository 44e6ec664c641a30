"""Files appear whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from glassmind.errors import UserError
from glassmind.files import atomic_folder, atomic_write, atomic_writes, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "é\r\n\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\r\n\n".encode()
    write_json(tmp_path / "a.txt", {"é": [1, None]})  # replaces it
    assert (tmp_path / "a.txt").read_text("utf-8") == '{\n "é": [\n  1,\n  null\n ]\n}\n'
    assert names(tmp_path) == ["a.txt"]


def test_the_old_file_stays_where_the_block_fails(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as temporary:
        temporary.write_text("half")
        assert path.read_text() == "before"
        raise KeyboardInterrupt
    assert path.read_text() == "before"
    assert names(tmp_path) == ["a.txt"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a") as temporary:
            temporary.chmod(0o600)  # as some libraries do
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_what_the_system_refuses_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^cannot write \S*no/a\.txt: No such file or directory$"):
        write_text(tmp_path / "no" / "a.txt", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot write"):
        write_text(tmp_path / "folder", "text")

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=r"a\.txt: No space left on device"):
        write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == ["folder"]


def test_folders_are_made_on_request(tmp_path: Path) -> None:
    with atomic_write(tmp_path / "a" / "b" / "c.bin", make_folder=True) as temporary:
        temporary.write_bytes(b"\0")
    assert (tmp_path / "a" / "b" / "c.bin").read_bytes() == b"\0"


def test_a_name_of_the_greatest_length(tmp_path: Path) -> None:
    write_text(tmp_path / ("x" * 255), "text")
    assert names(tmp_path) == ["x" * 255]


@pytest.mark.parametrize("failing", [0, 1])
def test_of_files_that_belong_together_the_last_vouches_for_all(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, facts = tmp_path / "ids.bin", tmp_path / "ids.json"
    write_text(ids, "old ids")
    write_text(facts, "old facts")
    real, renamed = Path.replace, 0

    def killed(self: Path, target: Path) -> Path:
        nonlocal renamed
        if renamed == failing:
            raise KeyboardInterrupt
        renamed += 1
        return real(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt), atomic_writes(ids, facts) as (new_ids, new_facts):
        new_ids.write_text("new ids")
        new_facts.write_text("new facts")
    monkeypatch.undo()
    assert names(tmp_path) == ["ids.bin"]  # either version, and nothing that vouches for it

    with atomic_writes(ids, facts) as (new_ids, new_facts):
        new_ids.write_text("newer ids")
        new_facts.write_text("newer facts")
    assert (ids.read_text(), facts.read_text()) == ("newer ids", "newer facts")


def test_a_folder_appears_complete(tmp_path: Path) -> None:
    target = tmp_path / "models" / "mine"
    with pytest.raises(ValueError, match="half"), atomic_folder(target) as temporary:
        (temporary / "a").write_text("a")
        raise ValueError("half")
    assert names(tmp_path / "models") == []
    target.mkdir()  # an empty folder may be replaced
    with atomic_folder(target) as temporary:
        (temporary / "a").write_text("a")
    assert names(target) == ["a"]
    with pytest.raises(UserError, match="cannot write"), atomic_folder(target) as temporary:
        (temporary / "b").write_text("b")
    assert names(target) == ["a"]
