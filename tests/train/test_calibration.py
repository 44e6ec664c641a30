"""What is measured, on machines made of numbers: what they choose, and what they try for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from glassmind.runs.recipe import TrainConfig
from glassmind.train.arithmetic.calibration import Wishes, calibrate, is_worth_it, product_ratio
from glassmind.train.arithmetic.precision import PrecisionChoice
from glassmind.train.objectives.pretrain import Pretrain

USUAL = PrecisionChoice("float32", compile=True, threads=4)
ANYTHING = Wishes("auto", "auto", 0)


class Machine:
    """Passes that take the seconds said: of float32 on all four threads, and times as long else.

    ``tried`` are the ways that were tried, in order. Its clock is its own, so nothing is waited
    for and nothing depends on this machine.
    """

    def __init__(
        self,
        seconds: float = 0.1,
        *,
        bfloat16: float = 3.0,
        compiled: float = 0.7,
        compiled_bfloat16: float | None = None,
        threads: dict[int, float] | None = None,
        product: float = 80.0,
        others: float | None = 0.0,
    ) -> None:
        self.seconds, self.bfloat16, self.compiled = seconds, bfloat16, compiled
        self.compiled_bfloat16 = compiled_bfloat16
        self.threads = threads or {4: 1.0, 2: 1.5, 1: 2.5}
        self.product, self.others = product, others
        self.tried: list[PrecisionChoice] = []

    def rehearse(self, way: PrecisionChoice) -> float:
        if way not in self.tried:
            self.tried.append(way)
        seconds = self.seconds * self.threads[way.threads]
        if way.compile and way.precision == "bfloat16" and self.compiled_bfloat16 is not None:
            return seconds * self.compiled_bfloat16
        seconds *= self.bfloat16 if way.precision == "bfloat16" else 1.0
        return seconds * (self.compiled if way.compile else 1.0)

    def choose(
        self, wishes: Wishes = ANYTHING, usual: PrecisionChoice = USUAL, passes: int = 1000
    ) -> PrecisionChoice:
        outcome = calibrate(
            self.rehearse,
            usual,
            wishes,
            passes,
            product=lambda: self.product,
            others=lambda: self.others,
        )
        self.undisturbed = outcome.undisturbed
        self.reason = outcome.choice.reason
        return replace(outcome.choice, reason="")


def test_emulated_bfloat16_costs_one_product_and_no_pass() -> None:
    """The processor with AVX2 only: float32, compiled, all threads, as ever."""
    machine = Machine()
    assert machine.choose() == USUAL
    assert all(way.precision == "float32" for way in machine.tried)
    assert "a product in bfloat16 takes 80 times as long" in machine.reason
    assert "70 ms a pass against 100 ms float32, not compiled, 4 threads" in machine.reason


def test_native_bfloat16_that_makes_a_small_model_slower_is_not_taken() -> None:
    """The AVX-512 machine: its products are faster in bfloat16, the demo's steps are not."""
    machine = Machine(product=0.5, bfloat16=1.4, compiled_bfloat16=1.35)
    assert machine.choose() == USUAL
    assert replace(USUAL, precision="bfloat16") in machine.tried  # compiled, which decides
    assert Machine(product=0.5, bfloat16=2.1, compiled_bfloat16=0.1).choose() == USUAL


def test_bfloat16_that_is_faster_is_taken() -> None:
    fast = Machine(product=0.2, bfloat16=0.6)
    assert fast.choose() == replace(USUAL, precision="bfloat16")
    # In one's first impression slower, compiled faster: it is compiled to see.
    machine = Machine(product=0.2, bfloat16=1.2, compiled_bfloat16=0.4)
    assert machine.choose() == replace(USUAL, precision="bfloat16")


def test_a_tie_leaves_things_as_they_are() -> None:
    assert Machine(product=0.9, bfloat16=0.95).choose() == USUAL
    assert Machine(threads={4: 1.0, 2: 0.95, 1: 0.94}).choose() == USUAL
    assert Machine(compiled=1.05).choose() == USUAL
    assert Machine(compiled=1.3).choose() == replace(USUAL, compile=False)


def test_threads_are_halved_as_long_as_that_helps() -> None:
    small = Machine(0.01, threads={4: 1.0, 2: 0.6, 1: 0.5})
    assert small.choose(passes=10_000) == replace(USUAL, threads=1)
    assert Machine(threads={4: 1.0, 2: 0.6, 1: 0.9}).choose() == replace(USUAL, threads=2)
    long = Machine(3.0)  # a pass with work for all threads
    assert long.choose() == USUAL
    assert {way.threads for way in long.tried} == {4}


def test_a_busy_machine_teaches_nothing_about_threads() -> None:
    machine = Machine(others=1.0, threads={4: 1.0, 2: 0.3, 1: 0.3})
    assert machine.choose() == USUAL
    assert not machine.undisturbed and "the machine was busy" in machine.reason
    unknown = Machine(others=None)
    assert unknown.choose() == USUAL and unknown.undisturbed


def test_a_run_that_cannot_win_the_time_back_is_not_compiled() -> None:
    machine = Machine(0.1)
    assert machine.choose(passes=100) == replace(USUAL, compile=False)
    assert not any(way.compile for way in machine.tried)
    assert machine.choose(Wishes("auto", "on", 0), passes=100) == USUAL


def test_what_is_fixed_is_not_measured() -> None:
    machine = Machine(product=0.1, bfloat16=0.1, threads={4: 1.0, 2: 0.1})
    fixed = machine.choose(Wishes("float32", "on", 4))
    assert fixed == USUAL
    assert {way.precision for way in machine.tried} == {"float32"}
    assert {way.threads for way in machine.tried} == {4}
    plain = replace(USUAL, compile=False)
    assert Machine(compiled=0.1).choose(Wishes("auto", "off", 0), usual=plain) == plain
    assert not Wishes("float32", "on", 4).open and Wishes("float32", "on", 0).open


def test_wishes_change_an_earlier_choice_only_where_they_say_something() -> None:
    assert ANYTHING.applied_to(USUAL) == USUAL
    assert Wishes("bfloat16", "off", 1).applied_to(USUAL) == PrecisionChoice("bfloat16", False, 1)


def test_products_are_compared_at_the_model_s_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[torch.dtype, int]] = []

    def mm(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        seen.append((a.dtype, a.shape[1]))
        return a

    monkeypatch.setattr(torch, "mm", mm)
    assert product_ratio(nn.Sequential(nn.Linear(96, 400), nn.LayerNorm(8))) > 0
    assert set(seen) == {(torch.float32, 96), (torch.bfloat16, 96)}
    seen.clear()
    product_ratio(nn.Linear(5000, 5000, device="meta"))
    assert {width for _, width in seen} == {1024}  # bounded, however large the model


def test_short_runs_are_not_measured() -> None:
    with torch.device("meta"):
        from glassmind.model import ModelConfig, Transformer

        model = Transformer(ModelConfig(vocab_size=1000))
    objective = Pretrain(model)
    assert is_worth_it(objective, TrainConfig(steps=1000))
    assert not is_worth_it(objective, TrainConfig(steps=1, batch_rows=1))
    model.requires_grad_(False)
    assert not is_worth_it(objective, TrainConfig(steps=1000))
