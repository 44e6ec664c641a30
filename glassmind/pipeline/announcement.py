"""How long work on a model will take, said before it begins.

Published weights are large enough for minutes or hours of a laptop, and the first minutes can pass
before there is a step whose pace could be measured: fine-tuning begins with the held-out loss. So
the time is estimated from the operations that the work needs, 2 for each parameter and token of a
forward pass, and from how many a second a product of the model's own size does on this machine now.
That is right within a factor of about two; ``forecast`` corrects it by the pace of the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from glassmind.llm import LocalLLM
from glassmind.pipeline.forecast import LENGTH, SAMPLED, in_minutes, step_tokens, too_long
from glassmind.progress import Progress
from glassmind.records import Problem
from glassmind.runs.recipe import Recipe, TrainConfig
from glassmind.train.arithmetic.calibration import LEAST_WORK, product_operations

QUICK = 20.0
"""Seconds below which nothing is said."""

_PROMPTS = 16  # of which the mean length is taken


@dataclass(frozen=True)
class Work:
    """Numbers of tokens: to train on, to read (held-out rows, prompts, chains to be scored), and to
    write. Those that are written are an estimate, since a chain may end early."""

    trained: float = 0.0
    read: float = 0.0
    written: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.trained + other.trained, self.read + other.read, self.written + other.written
        )

    def operations(self, module: nn.Module) -> float:
        """Floating-point operations: 2 for each parameter and token of a forward pass, 2 for the
        way back, and 2 more for each parameter that is trained."""
        parameters = sum(p.numel() for p in module.parameters())
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        forward = self.read + 3 * SAMPLED * self.written
        return 2.0 * (parameters * (2 * self.trained + forward) + trained * self.trained)

    def __str__(self) -> str:
        parts = ((self.trained, "train on"), (self.read, "read"), (self.written, "write"))
        named = [f"{count:,.0f} to {verb}" for count, verb in parts if count]
        return "tokens: " + ", ".join(named)


def training_work(config: TrainConfig, held_out: int = 0, often: int = 0) -> Work:
    """Training, with ``held_out`` tokens read before and after it, and ``often`` during it."""
    during = -(-config.steps // config.validate_every) * often
    return Work(trained=config.steps * step_tokens(config), read=2 * held_out + during)


def answering_work(
    llm: LocalLLM, problems: Sequence[Problem], samples: int, max_new_tokens: int
) -> Work:
    """A greedy chain and ``samples`` others for each problem, and their scoring if there is a
    verifier. A prompt is read once for all the chains that begin with it."""
    some = problems[:: max(1, len(problems) // _PROMPTS)][:_PROMPTS]
    prompt = sum(len(llm.prompt(p.question, llm.style)) for p in some) / max(1, len(some))
    written = len(problems) * (1 + samples) * LENGTH * max_new_tokens
    scored = 0.0 if llm.scorer is None else written
    return Work(read=(2 if samples else 1) * len(problems) * prompt + scored, written=written)


def ladder_work(recipe: Recipe, tests: int) -> Work:
    """What a ladder does after its models are trained: the verifier, and ``tests`` problems."""
    verifier, sampling = recipe.verifier, recipe.sampling
    chains = verifier.problems * verifier.samples + tests * (2 + sampling.samples)
    scored = tests * sampling.samples
    length = LENGTH * sampling.max_new_tokens
    return training_work(verifier.train) + Work(read=scored * length, written=chains * length)


def announce(work: Work, module: nn.Module, progress: Progress, shorter: str) -> None:
    """Say how long ``work`` will take, if that is worth a sentence; ``shorter`` says what makes it
    shorter, for work of more than ten minutes.

    Nothing is measured for work that is short on every machine, nor on a GPU, where a product of
    this size says little.
    """
    operations = work.operations(module)
    device = next(module.parameters()).device
    if operations < LEAST_WORK or device.type != "cpu":
        return
    seconds = operations / product_operations(module)
    if seconds >= QUICK:
        remedy = f". To make it shorter, {shorter}" if too_long(seconds) else ""
        progress.end(f"This will take about {in_minutes(seconds)} ({work}){remedy}")
