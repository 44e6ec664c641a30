"""How a run computes: number format, compiled or not, how many threads.

On a GPU one rule is enough: bfloat16 from compute capability 8 on, and compiled. On a CPU no rule
is right. Processors that multiply bfloat16 natively may still train faster in float32, because a
small model spends its time on everything but the products (an AVX-512 machine with bf16
instructions: 281 ms a step in bfloat16, 146 in float32), and where bfloat16 is emulated it is many
times slower. So there it is measured (``calibration``), for a run that is long enough to gain from
it; the others take what is right most often, float32 and compiled.

``torch.compile`` needs a C++ compiler on a CPU. Blocks are compiled one by one, not the whole
model: all layers, and all stages of a run, then share one compiled block, and compilation takes
seconds instead of half a minute.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """How a run computes. ``threads`` is 0 where that is not ours to say; ``reason`` is a sentence
    for people."""

    precision: Literal["float32", "bfloat16"]
    compile: bool
    threads: int = 0
    reason: str = ""

    @property
    def autocast_dtype(self) -> torch.dtype | None:
        """The type of products under autocast; ``None`` for plain float32."""
        return torch.bfloat16 if self.precision == "bfloat16" else None

    def autocast(self, device: torch.device) -> torch.autocast:
        """The context in which a loss is computed."""
        dtype = self.autocast_dtype
        return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def __str__(self) -> str:
        words = [self.precision, "compiled" if self.compile else "not compiled"]
        if self.threads:
            words.append("1 thread" if self.threads == 1 else f"{self.threads} threads")
        return ", ".join(words)


def has_fast_bf16(device: torch.device) -> bool:
    """True on a GPU whose matrix products in bfloat16 are native."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8


def has_compiler() -> bool:
    """True where ``torch.compile`` finds what its CPU backend needs: C++ and Python's headers."""
    names = (os.environ.get("CXX", "g++"), "g++", "clang++")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return any(shutil.which(name) for name in names) and headers.is_file()


def choose_precision(
    device: torch.device | str = "cpu",
    precision: Precision = "auto",
    compile: Switch = "auto",
    threads: int = 0,
) -> PrecisionChoice:
    """The choice without a measurement; explicit wishes are followed where the machine can."""
    device = torch.device(device)
    fast = has_fast_bf16(device)
    use_bf16 = precision == "bfloat16" or (precision == "auto" and fast)
    can_compile = device.type == "cuda" or has_compiler()
    reasons = []
    if precision == "auto" and device.type == "cuda":
        reasons.append(f"this GPU multiplies bf16 {'natively' if fast else 'slowly'}")
    if compile != "off" and not can_compile:
        reasons.append("no C++ compiler with Python's headers found")
    return PrecisionChoice(
        "bfloat16" if use_bf16 else "float32",
        compile != "off" and can_compile,
        (threads or torch.get_num_threads()) if device.type == "cpu" else 0,
        "; ".join(reasons),
    )


@contextmanager
def computing_threads(threads: int) -> Iterator[None]:
    """Compute with so many CPU threads while the block runs; 0 leaves them as they are."""
    before = torch.get_num_threads()
    if threads and threads != before:
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)
