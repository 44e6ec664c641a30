"""Measure what is fastest on this machine: float32 or bfloat16, compiled or not, and the number of
threads.

The run's own model rehearses the run's own batch (``rehearsal``) a few times in each way, and the
shortest time counts, since other programs can only slow a pass down. Expensive trials come last,
and are skipped if they cannot win:

1. fewer and fewer threads, until that is slower;
2. bfloat16: first one matrix product of the model's own size, which shows at once if bfloat16 is
   emulated (80 times slower than float32 on a processor with AVX2 only); then, if that is not
   slower, whole passes;
3. compiled, if the run is long enough to make up for the time of compiling.

The usual way (float32, compiled, all threads) is given up only for a clearly faster one, so that
the result does not depend on a tie. ``known_choices`` stores the outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn

from glassmind.machine import OtherWork
from glassmind.model import Block
from glassmind.runs.recipe import TrainConfig
from glassmind.train.arithmetic.precision import (
    Precision,
    PrecisionChoice,
    Switch,
    computing_threads,
)
from glassmind.train.arithmetic.rehearsal import Rehearse
from glassmind.train.objectives.objective import Objective

LEAST_WORK = 3e11
"""A run of fewer operations is not measured: about ten seconds on two laptop cores."""

CLEARLY = 0.9
"""Another way is chosen only if it takes at most this share of the usual way's time."""

BEHIND = 2.0
"""A way that is slower than the best by this factor before compiling is not compiled."""

COMPILING = 10.0
"""Seconds that compiling is assumed to take; at best it halves the time of a pass."""

BUSY = 0.25
"""With this many cores busy with other work, a measurement of threads is not trusted."""

_REPEATS, _SECONDS = 5, 0.8  # at most so many passes are timed, for about so long
_LONG = 2.0  # a pass of this many seconds is not repeated
_MANY_THREADS = 0.5  # a pass of this many seconds has enough work for all threads
_PRODUCT_ROWS = 128


@dataclass(frozen=True, slots=True)
class Wishes:
    """The settings that a recipe fixes, and those to be measured (``auto``, or 0 threads)."""

    precision: Precision
    compile: Switch
    threads: int

    @classmethod
    def of(cls, config: TrainConfig, threads: int) -> Wishes:
        """The wishes of a recipe; ``threads`` is fixed by the user's environment, or 0."""
        return cls(config.precision, config.compile, config.threads or threads)

    @property
    def open(self) -> bool:
        """Whether anything is left to be measured."""
        return "auto" in (self.precision, self.compile) or not self.threads

    def applied_to(self, choice: PrecisionChoice) -> PrecisionChoice:
        """An earlier choice, changed by the settings that are fixed now."""
        if self.precision != "auto":
            choice = replace(choice, precision=self.precision)
        if self.compile == "off" and choice.compile:
            choice = replace(choice, compile=False)
        if self.threads not in (0, choice.threads) and choice.threads:
            choice = replace(choice, threads=self.threads)
        return choice


@dataclass(frozen=True, slots=True)
class Outcome:
    """A choice, and whether the machine was idle enough to reuse it for later runs."""

    choice: PrecisionChoice
    undisturbed: bool


def is_worth_it(objective: Objective, config: TrainConfig) -> bool:
    """Whether a run is long enough to gain from a measurement. This is decided by its operations, 6
    for each parameter and token, so that the answer is the same on every machine."""
    parameters = sum(p.numel() for p in objective.module.parameters() if p.requires_grad)
    tokens = config.batch_rows * config.row_tokens * config.accumulate * config.steps
    return 6.0 * parameters * tokens >= LEAST_WORK


def compile_blocks(module: nn.Module, on: bool) -> None:
    """Have every block compiled when it is next called, or undo this if not ``on``."""
    for inner in module.modules():
        if isinstance(inner, Block):
            if on:
                inner.compile(dynamic=False)
            else:
                inner._compiled_call_impl = None  # set by Module.compile(), which has no inverse


def calibrate(
    rehearse: Rehearse,
    usual: PrecisionChoice,
    wishes: Wishes,
    passes: int,
    *,
    product: Callable[[], float],
    others: Callable[[], float | None],
) -> Outcome:
    """Measure the settings that the wishes leave open.

    ``usual`` is the choice without a measurement, ``passes`` the number of passes of the run.
    ``product`` measures the time of a product in bfloat16 relative to float32 (``product_ratio``),
    and ``others`` the number of cores that are busy with other work (``machine.OtherWork``).
    """
    return _Calibration(rehearse, usual, wishes, passes, product, others).outcome()


class _Calibration:
    """One measurement: the seconds of a pass by choice, and a sentence about the result."""

    def __init__(
        self,
        rehearse: Rehearse,
        usual: PrecisionChoice,
        wishes: Wishes,
        passes: int,
        product: Callable[[], float],
        others: Callable[[], float | None],
    ) -> None:
        self.rehearse, self.usual, self.wishes = rehearse, replace(usual, reason=""), wishes
        self.passes, self.product, self.others = passes, product, others
        self.seconds: dict[PrecisionChoice, float] = {}
        self.undisturbed = True
        self.slow_product = 0.0

    def outcome(self) -> Outcome:
        plain = self._fewest_threads(replace(self.usual, compile=False))
        ways = [plain, *self._in_bfloat16(plain)]
        if self._compiles(plain):
            compiled = [replace(way, compile=True) for way in ways]
            ways = compiled if self.wishes.compile == "on" else [compiled[0], plain, *compiled[1:]]
        best = ways[0]
        for way in ways[1:]:
            if self._time(way) < CLEARLY * self._time(best):
                best = way
        self._time(best)
        return Outcome(replace(best, reason=self._reason(best)), self.undisturbed)

    def _time(self, way: PrecisionChoice) -> float:
        if way not in self.seconds:
            self.seconds[way] = shortest(self.rehearse, way)
        return self.seconds[way]

    def _fewest_threads(self, way: PrecisionChoice) -> PrecisionChoice:
        """``way`` with half the threads, repeatedly, as long as that is faster. If other work is
        running, fewer threads are only faster for the moment, and ``way`` is returned."""
        most = self._time(way)
        self.undisturbed = self._left_alone()
        while not self.wishes.threads and way.threads > 1 and most < _MANY_THREADS:
            fewer = replace(way, threads=way.threads // 2)
            tried = self._time(fewer)
            self.undisturbed = self.undisturbed and self._left_alone()
            if not self.undisturbed or tried > CLEARLY * self._time(way):
                break
            way = fewer
        return way if self.undisturbed else replace(way, threads=self.usual.threads)

    def _left_alone(self) -> bool:
        return (self.others() or 0.0) <= BUSY

    def _in_bfloat16(self, way: PrecisionChoice) -> list[PrecisionChoice]:
        """``way`` in bfloat16, if that is allowed and not slower."""
        if self.wishes.precision != "auto":
            return []
        with computing_threads(way.threads):
            ratio = self.product()
        if ratio >= 1.0:  # everything but products is slower in bfloat16, due to conversions
            self.slow_product = ratio
            return []
        rival = replace(way, precision="bfloat16")
        return [rival] if self._time(rival) <= BEHIND * self._time(way) else []

    def _compiles(self, way: PrecisionChoice) -> bool:
        """Whether compiling is allowed, and can save more time than it takes."""
        if not self.usual.compile:
            return False
        return self.wishes.compile == "on" or self._time(way) / 2 * self.passes > COMPILING

    def _reason(self, best: PrecisionChoice) -> str:
        others = [f"{_ms(t)} {way}" for way, t in self.seconds.items() if way != best]
        reason = f"measured: {_ms(self.seconds[best])} a pass"
        if others:
            reason += f" against {'; '.join(others)}"
        if self.slow_product:
            reason += f"; a product in bfloat16 takes {self.slow_product:.2g} times as long"
        return reason if self.undisturbed else f"{reason}; the machine was busy"


def shortest(rehearse: Rehearse, way: PrecisionChoice) -> float:
    """Seconds of a pass, the shortest of a few. The first pass allocates memory and compiles
    blocks; it counts only if it is too long to be repeated."""
    first = rehearse(way)
    if way.compile:
        first = rehearse(way)
    times = [first]
    while first < _LONG and len(times) <= _REPEATS and sum(times[1:]) < _SECONDS:
        times.append(rehearse(way))
    return min(times)


def product_ratio(module: nn.Module) -> float:
    """The time of a matrix product of the module's own size in bfloat16, relative to float32."""
    width = _width(module)
    return _product_seconds(width, torch.bfloat16) / _product_seconds(width, torch.float32)


def product_operations(module: nn.Module) -> float:
    """Floating-point operations a second of a float32 product of the module's own size."""
    width = _width(module)
    return 2.0 * _PRODUCT_ROWS * width * width / _product_seconds(width, torch.float32)


def _width(module: nn.Module) -> int:
    """The width of the module's matrices, at most 1024."""
    matrices = [p.shape for p in module.parameters() if p.dim() == 2]
    return min(1024, max((min(shape) for shape in matrices), default=128))


def _product_seconds(width: int, dtype: torch.dtype) -> float:
    """The shortest of a few products of 128 x ``width`` x ``width`` numbers, so few that an
    emulation costs a fraction of a second."""
    a = torch.ones(_PRODUCT_ROWS, width, dtype=dtype)
    b = torch.ones(width, width, dtype=dtype)
    times: list[float] = []
    while len(times) < _REPEATS and sum(times) < _SECONDS / 4:
        started = time.perf_counter()
        torch.mm(a, b)
        times.append(time.perf_counter() - started)
    return min(times)


def measure(
    rehearse: Rehearse, objective: Objective, usual: PrecisionChoice, wishes: Wishes, passes: int
) -> Outcome:
    """``calibrate`` on this machine. No block stays compiled, but the run finds the compiled code
    in the compiler's cache."""
    module = objective.module
    work = OtherWork()
    compile_blocks(module, usual.compile)
    try:
        return calibrate(
            rehearse,
            usual,
            wishes,
            passes,
            product=lambda: product_ratio(module),
            others=work.since,
        )
    finally:
        compile_blocks(module, False)


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
