"""The rule for bf16 and compilation, on machines that are not this one."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from glassmind.train.precision import choose_precision, has_compiler, has_fast_bf16


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    """A folder with Python's headers, as a compiler needs them."""
    (tmp_path / "Python.h").touch()
    return tmp_path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, headers: Path) -> Callable[..., None]:
    """Make this machine a CPU with the capabilities named, with or without a C++ compiler."""

    def become(*able: str, compiler: bool = True) -> None:
        named = dict.fromkeys(("avx2", "avx512_bf16", "amx_bf16"), False)
        named |= dict.fromkeys(able, True)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: named)
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if compiler else None)
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(headers))
        monkeypatch.delenv("CXX", raising=False)

    return become


@pytest.mark.parametrize(
    ("able", "fast"),
    [((), False), (("avx2",), False), (("avx512_bf16",), True), (("amx_bf16",), True)],
)
def test_auto_takes_bf16_only_where_it_is_native(
    able: tuple[str, ...], fast: bool, machine: Callable[..., None]
) -> None:
    machine(*able)
    assert has_fast_bf16(torch.device("cpu")) == fast
    choice = choose_precision("cpu")
    assert choice.autocast_dtype == (torch.bfloat16 if fast else None)
    assert choice.compile
    assert ("natively" in choice.reason) == fast


@pytest.mark.parametrize("able", [(), ("amx_bf16",)])
def test_wishes_are_obeyed(able: tuple[str, ...], machine: Callable[..., None]) -> None:
    machine(*able)
    assert choose_precision("cpu", "float32").autocast_dtype is None
    assert choose_precision("cpu", "bfloat16").autocast_dtype == torch.bfloat16
    assert not choose_precision("cpu", compile="off").compile
    assert choose_precision("cpu", compile="on").compile


@pytest.mark.parametrize("wish", ["auto", "on"])
def test_without_a_compiler_nothing_is_compiled(wish: Any, machine: Callable[..., None]) -> None:
    machine(compiler=False)
    assert not has_compiler()
    choice = choose_precision("cpu", compile=wish)
    assert not choice.compile
    assert "no C++ compiler" in choice.reason
    assert "compiler" not in choose_precision("cpu", compile="off").reason


def test_a_compiler_without_python_s_headers_is_none(
    headers: Path, machine: Callable[..., None]
) -> None:
    machine()
    assert has_compiler()
    (headers / "Python.h").unlink()
    assert not has_compiler()


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), False), ((8, 0), True), ((9, 0), True)])
def test_gpus_by_compute_capability(
    capability: tuple[int, int],
    fast: bool,
    monkeypatch: pytest.MonkeyPatch,
    machine: Callable[..., None],
) -> None:
    machine(compiler=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    choice = choose_precision("cuda")
    assert choice.autocast_dtype == (torch.bfloat16 if fast else None)
    assert choice.compile  # its compiler comes with PyTorch


def test_other_devices_stay_in_float32(machine: Callable[..., None]) -> None:
    machine("amx_bf16")
    assert choose_precision("mps").autocast_dtype is None


def test_this_machine_has_an_answer() -> None:
    assert choose_precision().reason
