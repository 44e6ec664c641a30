"""Compiles the C++ code of ``kernels`` once, and loads it.

If there is a C++ compiler (``torch.compile`` on a CPU needs one too), the fast loops are used;
otherwise PyTorch computes the same results more slowly. The library is kept in the user's cache
folder under a name that depends on the source, the compiler and the machine's instruction set, and
that ends in the library's checksum. It is loaded only if nobody else can have written it
(``glassmind/cache_folder.py``) and the checksum is right; otherwise it is compiled again.

``GLASSMIND_NATIVE=0`` (or ``false``, ``no``, ``off``) disables the compiled loops, and ``CXX``
names another compiler than ``c++``.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from glassmind.cache_folder import NotPrivate, is_private, private_cache
from glassmind.errors import UserError
from glassmind.files import atomic_write

_LOG = logging.getLogger("glassmind.generate")

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
    if compiler is None or switched_off() or sys.platform == "win32":
        return None
    try:
        name = f"kernels-{_fingerprint(compiler)}"
        try:
            folder = private_cache("native")
        except NotPrivate as reason:
            _LOG.warning("the engine's kernels are compiled anew each time: %s", reason)
            with tempfile.TemporaryDirectory() as passing:  # a loaded library outlives its file
                return ctypes.CDLL(str(_compile(compiler, Path(passing), name)))
        kept = _kept(folder, name)
        if kept is not None:
            try:
                return ctypes.CDLL(str(kept))
            except OSError as error:  # what it was linked with is gone
                _LOG.warning("%s cannot be loaded, and is compiled again: %s", kept, error)
                kept.unlink()
        return ctypes.CDLL(str(_compile(compiler, folder, name)))
    except (OSError, subprocess.SubprocessError, UserError) as error:
        _LOG.warning("the engine uses the slower plain formulas: %s", _reason(error))
        return None


def switched_off() -> bool:
    """Whether ``GLASSMIND_NATIVE`` says so."""
    return os.environ.get("GLASSMIND_NATIVE", "").strip().lower() in ("0", "false", "no", "off")


def _kept(folder: Path, name: str) -> Path | None:
    """The library compiled earlier, if it is exactly that: the end of its name is its checksum.

    A damaged library would crash this process, a foreign one run what it likes.
    """
    for path in sorted(folder.glob(f"{name}-*.so")):
        if is_private(path) and path.is_file() and path.stem == f"{name}-{_checksum(path)}":
            return path
        _LOG.warning("%s is damaged or not this user's own; it is compiled again", path)
        path.unlink()
    return None


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = error.stderr.decode("utf-8", "replace").strip().splitlines()
        return f"{error.cmd[0]} failed ({said[0][:120] if said else 'without a word'})"
    return str(error)


def _fingerprint(compiler: str) -> str:
    source = b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.?pp")))
    version = subprocess.run([compiler, "--version"], capture_output=True, check=True, timeout=60)
    threads = _thread_library()
    machine = f"{platform.machine()} {_processor()} {torch.__version__} {FLAGS} {threads}"
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


def _compile(compiler: str, folder: Path, name: str) -> Path:
    """Compile the kernels into ``folder``; the library's path."""
    source = FOLDER / "kernels.cpp"
    tuned = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
    threads = _thread_library()
    flags = [*FLAGS, tuned, "-fopenmp"] if threads else [*FLAGS, tuned]
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        made, linked = f"{scratch}/object.o", Path(scratch) / "library.so"
        steps: list[list[str]] = [
            [*flags, "-c", str(source), "-o", made],
            ["-shared", made, *([threads] if threads else []), "-o", str(linked)],
        ]
        for step in steps:
            subprocess.run([compiler, *step], capture_output=True, check=True, timeout=SECONDS)
        target = folder / f"{name}-{_checksum(linked)}.so"
        with atomic_write(target) as temporary:
            shutil.copyfile(linked, temporary)
        target.chmod(0o700)
    return target


def _thread_library() -> str | None:
    """The OpenMP runtime that torch uses; two of them would compete for the cores."""
    try:
        maps = Path("/proc/self/maps").read_text("utf-8")
    except OSError:
        return None
    return thread_library_in(maps, Path(torch.__file__).parent)


def thread_library_in(maps: str, torch_folder: Path) -> str | None:
    """Of the files that are mapped into memory (``/proc/self/maps``), torch's OpenMP runtime.

    Other packages bring one too, under a name that nothing else finds. So torch's is the one in its
    own folder, and only if there is none there, whichever is loaded.
    """
    found = re.findall(r"(/\S*/lib(?:g|i)?omp\S*\.so\S*)$", maps, re.MULTILINE)
    own = [path for path in found if torch_folder in Path(path).parents]
    return next(iter(own or found), None)
