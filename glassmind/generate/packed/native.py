"""Compile the C++ of ``kernels`` once, and load it: loops that Python is too slow for.

Whoever has a C++ compiler (``torch.compile`` on a CPU needs one too) gets the fast loops; everyone
else the same results from the formula, slower. The library is kept in the user's cache folder
under a name that depends on the source, the compiler and the machine's instruction set.

``GLASSMIND_NATIVE=0`` does without, and ``CXX`` names another compiler than ``c++``.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

# Nothing that lets sums be reordered: a result must not depend on how many rows a loop was
# compiled for. (And not -ffast-math: linked into a library, that switches off denormal numbers for
# the whole process.)
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-signed-zeros",
         "-fno-trapping-math")  # fmt: skip
FOLDER = Path(__file__).with_name("kernels")
SECONDS = 300


@functools.cache
def library() -> ctypes.CDLL | None:
    """The functions of ``kernels.cpp``, or ``None`` where they cannot be compiled here."""
    compiler = shutil.which(os.environ.get("CXX") or "c++")
    if compiler is None or os.environ.get("GLASSMIND_NATIVE") == "0" or sys.platform == "win32":
        return None
    try:
        target = cache_folder() / f"kernels-{_fingerprint(compiler)}.so"
        if not target.exists():
            _compile(compiler, FOLDER / "kernels.cpp", target)
        return ctypes.CDLL(str(target))
    except (OSError, subprocess.SubprocessError):
        return None


def cache_folder() -> Path:
    """Where compiled libraries are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "glassmind" / "native"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _fingerprint(compiler: str) -> str:
    source = b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.?pp")))
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=60)
    machine = f"{platform.machine()} {_processor()} {torch.__version__} {FLAGS}"
    return hashlib.sha256(source + version.stdout + machine.encode()).hexdigest()[:24]


def _processor() -> str:
    """What this machine can do: a library tuned to one may crash another that shares a home."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return platform.processor()
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", text, re.MULTILINE)
    return found[1] if found else ""


def _compile(compiler: str, source: Path, target: Path) -> None:
    tuned = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
    threads = _thread_library()
    flags = [*FLAGS, tuned, "-fopenmp"] if threads else [*FLAGS, tuned]
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        made, linked = f"{scratch}/object.o", Path(scratch) / "library.so"
        steps: list[list[str]] = [
            [*flags, "-c", str(source), "-o", made],
            ["-shared", made, *([threads] if threads else []), "-o", str(linked)],
        ]
        for step in steps:
            subprocess.run([compiler, *step], capture_output=True, check=True, timeout=SECONDS)
        linked.replace(target)  # complete, or not there


def _thread_library() -> str | None:
    """The OpenMP runtime that torch has loaded: two of them would fight over the cores."""
    try:
        maps = Path("/proc/self/maps").read_text("utf-8")
    except OSError:
        return None
    found = re.search(r"(/\S*/lib(?:g|i)?omp\S*\.so\S*)$", maps, re.MULTILINE)
    return found[1] if found else None
