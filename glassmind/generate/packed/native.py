"""Compiles the C++ code of ``kernels`` once, and loads it.

If there is a C++ compiler (``torch.compile`` on a CPU needs one too), the fast loops are used;
otherwise PyTorch computes the same results more slowly. The library is kept in the user's cache
folder under a name that depends on the source, the compiler and the machine's instruction set.

``GLASSMIND_NATIVE=0`` disables the compiled loops, and ``CXX`` names another compiler than ``c++``.
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

# No flag that allows sums to be reordered: a result must not depend on how many rows a loop was
# compiled for. Nor -ffast-math: linked into a library, it disables denormal numbers for the whole
# process.
FLAGS = ("-std=c++17", "-O3", "-fPIC", "-fno-math-errno", "-fno-signed-zeros",
         "-fno-trapping-math")  # fmt: skip
FOLDER = Path(__file__).with_name("kernels")
SECONDS = 300


@functools.cache
def library() -> ctypes.CDLL | None:
    """The functions of ``kernels.cpp``; ``None`` if they cannot be compiled on this machine."""
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
    """The processor's features. A library compiled for one machine may crash on another that shares
    its home folder."""
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
        linked.replace(target)  # so that other processes never see half a file


def _thread_library() -> str | None:
    """The OpenMP runtime that torch has loaded; two of them would compete for the cores."""
    try:
        maps = Path("/proc/self/maps").read_text("utf-8")
    except OSError:
        return None
    found = re.search(r"(/\S*/lib(?:g|i)?omp\S*\.so\S*)$", maps, re.MULTILINE)
    return found[1] if found else None
