"""The rule without a measurement, on machines that are not this one."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from glassmind.train.arithmetic.precision import (
    PrecisionChoice,
    choose_precision,
    computing_threads,
    has_compiler,
)


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    """A folder with Python's headers, as a compiler needs them."""
    (tmp_path / "Python.h").touch()
    return tmp_path


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, headers: Path) -> Callable[..., None]:
    """Make this machine one with or without a C++ compiler."""

    def become(*, compiler: bool = True) -> None:
        monkeypatch.setattr(shutil, "which", lambda name: f"/bin/{name}" if compiler else None)
        monkeypatch.setattr(sysconfig, "get_path", lambda name: str(headers))
        monkeypatch.delenv("CXX", raising=False)

    return become


def test_a_cpu_computes_in_float32_unless_something_else_was_measured(
    machine: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine()
    able = {"avx512_bf16": True, "amx_bf16": True}  # which does not make a run faster
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    choice = choose_precision("cpu")
    assert (choice.precision, choice.autocast_dtype, choice.compile) == ("float32", None, True)
    assert choice.threads == torch.get_num_threads()


def test_wishes_are_obeyed(machine: Callable[..., None]) -> None:
    machine()
    assert choose_precision("cpu", "float32").autocast_dtype is None
    assert choose_precision("cpu", "bfloat16").autocast_dtype == torch.bfloat16
    assert not choose_precision("cpu", compile="off").compile
    assert choose_precision("cpu", compile="on").compile
    assert choose_precision("cpu", threads=3).threads == 3


def test_a_choice_says_what_it_is() -> None:
    assert str(PrecisionChoice("float32", True, 2)) == "float32, compiled, 2 threads"
    assert str(PrecisionChoice("bfloat16", False, 1)) == "bfloat16, not compiled, 1 thread"
    assert str(PrecisionChoice("bfloat16", True)) == "bfloat16, compiled"


def test_threads_are_set_for_a_block_only() -> None:
    before = torch.get_num_threads()
    with computing_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with computing_threads(0):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


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
    assert choice.threads == 0
    assert ("natively" in choice.reason) == fast


def test_other_devices_stay_in_float32(machine: Callable[..., None]) -> None:
    machine()
    assert choose_precision("mps").autocast_dtype is None
