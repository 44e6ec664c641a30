"""The cache folder is the user's own, or there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glassmind.cache_folder import NotPrivate, is_private, private_cache


def test_it_is_made_closed_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "glassmind").mkdir()
    (tmp_path / "glassmind").chmod(0o777)  # as an older version, or a generous umask, made it
    folder = private_cache("native")
    assert folder == tmp_path / "glassmind" / "native"
    assert [path.stat().st_mode & 0o777 for path in (folder, folder.parent)] == [0o700, 0o700]
    assert private_cache("native") == folder


def test_a_relative_folder_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert private_cache("native").parent == tmp_path / "home" / ".cache" / "glassmind"
    assert not (tmp_path / "cache").exists()


def test_without_a_home_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(NotPrivate, match="no home folder"):
        private_cache("native")


def test_a_folder_that_others_could_replace_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "open" / "cache"))
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(NotPrivate, match=r"everybody can write to .*open"):
        private_cache("native")
    (tmp_path / "open").chmod(0o1777)  # as /tmp: whoever can write cannot replace
    assert private_cache("native").is_dir()


def test_somebody_elses_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = private_cache("native")
    monkeypatch.setattr(os, "geteuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(NotPrivate, match="belongs to somebody else"):
        private_cache("native")


def test_whose_a_file_is(tmp_path: Path) -> None:
    file, link = tmp_path / "a", tmp_path / "b"
    file.touch(0o600)
    link.symlink_to(file)
    assert is_private(file)
    assert not is_private(link)
    for mode in (0o620, 0o602):
        file.chmod(mode)
        assert not is_private(file)
