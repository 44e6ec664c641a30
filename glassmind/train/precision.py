"""Which precision to train in and whether to compile: one rule.

bfloat16 is faster only where the processor multiplies it natively: AVX-512-BF16 or AMX on x86, BF16
on Arm, compute capability 8 on NVIDIA. Elsewhere PyTorch emulates it, correctly and many times
slower (measured on an AVX2 machine: 9 times slower than float32), so the rule says float32 there.

``torch.compile`` is faster wherever it works; on a CPU it needs a C++ compiler. Blocks are compiled
one by one, not the whole model: all layers, and all stages of a run, then share one compiled block,
and compilation takes seconds instead of half a minute.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]
Switch = Literal["auto", "on", "off"]


@dataclass(frozen=True)
class PrecisionChoice:
    """``autocast_dtype`` is ``None`` for plain float32; ``reason`` is a sentence for the user."""

    autocast_dtype: torch.dtype | None
    compile: bool
    reason: str


def has_fast_bf16(device: torch.device) -> bool:
    """Whether ``device`` has native matrix products in bfloat16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(
            bool(capabilities.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")
        )
    return False


def has_compiler() -> bool:
    """Whether ``torch.compile`` can be used on the CPU: it needs C++ and Python's headers."""
    names = (os.environ.get("CXX", "g++"), "g++", "clang++")
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return any(shutil.which(name) for name in names) and headers.is_file()


def choose_precision(
    device: torch.device | str = "cpu", precision: Precision = "auto", compile: Switch = "auto"
) -> PrecisionChoice:
    """Apply the rule above; explicit choices are followed if the machine supports them."""
    device = torch.device(device)
    fast = has_fast_bf16(device)
    use_bf16 = precision == "bfloat16" or (precision == "auto" and fast)
    can_compile = device.type == "cuda" or has_compiler()
    use_compile = compile != "off" and can_compile
    reason = "bfloat16 autocast" if use_bf16 else "float32"
    if precision == "auto":
        reason += " (this machine multiplies bf16 natively)" if fast else " (no native bf16 here)"
    reason += ", compiled blocks" if use_compile else ", not compiled"
    if compile != "off" and not can_compile:
        reason += " (no C++ compiler with Python's headers found)"
    return PrecisionChoice(torch.bfloat16 if use_bf16 else None, use_compile, reason)
