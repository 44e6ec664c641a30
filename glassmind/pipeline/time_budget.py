"""Minutes into steps: time a few real steps once, and divide.

A run that stopped at a time limit could not be repeated: a busier machine would train less. So time
is measured at the start only, and the result is written into the recipe as a number of steps. From
then on the run is like any other, and is resumed without being timed again.

The timed steps are those of the real trainer on a model of the real shape, with made-up tokens. The
model is discarded, and the state of the random generators is restored.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.loader import RowLoader, Rows
from glassmind.data.batches.packing import Document, pack, stream
from glassmind.errors import UserError
from glassmind.model import Transformer
from glassmind.model.memory_plan import training_flops
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.text_rows import require_texts
from glassmind.progress import Progress, Silent, watched
from glassmind.runs.dial import (
    DEEPEST,
    batch_tokens,
    dialled,
    require_new,
    scaling_parameters,
    vocabulary,
    with_steps,
)
from glassmind.runs.recipe import Recipe
from glassmind.step_structure import Kind
from glassmind.tokenize import load
from glassmind.train import Pretrain, SupervisedFineTuning, Trainer
from glassmind.train.arithmetic.precision import computing_threads

MARGIN = 0.05
"""The share of the time left for validations, checkpoints and a slower moment."""

FEWEST_STEPS = 10

FIRST_GUESS = 4
"""The depth that is timed first."""

# Compiling happens in the first step, and the allocator settles in the next.
_WARM_UP, _TIMED, _SECONDS = 3, 25, 2.0
_DOCUMENTS = 3  # in a packed row of made-up tokens

Finish = Callable[[Recipe], Recipe]
"""Applies the changes of the command line, after the dial has shaped a recipe."""


def vocabulary_size(recipe: Recipe) -> int:
    """The size of the vocabulary, read from the tokenizer's file if the recipe names one."""
    file = recipe.tokenizer.file
    return load(file).vocab_size if file else vocabulary(recipe)


def require_data(recipe: Recipe) -> None:
    """Check that the data is there before time is spent on a measurement.

    Raises:
        UserError: the recipe's text or problems cannot be read.
    """
    if recipe.objective == "pretrain":
        require_texts(recipe)
    elif recipe.problems.file:
        make_slices(recipe)


def within(
    recipe: Recipe,
    minutes: float,
    depth: int | None,
    finish: Finish,
    *,
    device: torch.device,
    progress: Progress | None = None,
) -> Recipe:
    """The recipe of a run that trains for this many minutes on this machine.

    With a ``depth``, that model is trained for the steps that fit, and the batch is the one for
    that many tokens. Without it, the deepest model whose horizon fits is chosen. Only training is
    counted, from the first step to the last. ``finish`` can override every value.

    Raises:
        UserError: too few steps fit, or the dial cannot be used with the recipe.
    """
    require_new(recipe)
    watcher = progress or Silent()
    clock = _Clock(recipe, finish, device, watcher)
    seconds = minutes * 60 * (1 - MARGIN)
    chosen = clock.deepest(seconds) if depth is None else clock.filling(depth, seconds)
    watcher.end(
        f"{minutes:g} minutes: {chosen.train.steps:,} steps of {batch_tokens(chosen):,} tokens "
        f"at depth {chosen.model.n_layers}"
    )
    return chosen


class _Clock:
    """The recipe at any depth, and the time of one of its steps on this machine."""

    def __init__(
        self, recipe: Recipe, finish: Finish, device: torch.device, progress: Progress
    ) -> None:
        self.recipe, self.finish, self.device, self.progress = recipe, finish, device, progress
        self.vocab_size = vocabulary_size(recipe)

    def filling(self, depth: int, seconds: float) -> Recipe:
        """``depth`` with the steps that fit, in the batch for that many tokens."""
        recipe = dialled(self.recipe, depth, vocab_size=self.vocab_size)
        step = self._step(recipe)
        tokens = batch_tokens(recipe) * seconds / step
        ratio = tokens / scaling_parameters(recipe.model, self.vocab_size)
        settled = dialled(
            self.recipe, depth, tokens_per_parameter=ratio, vocab_size=self.vocab_size
        )
        if batch_tokens(self.finish(settled)) != batch_tokens(self.finish(recipe)):
            step = self._step(settled)
        return self._fitting(settled, seconds, step)

    def deepest(self, seconds: float) -> Recipe:
        """The greatest depth whose horizon fits into ``seconds``.

        One depth is timed, and the time of the others is estimated in proportion to their
        operations. The depth that should fit is timed next, until the result no longer changes.
        """
        steps: dict[int, float] = {}  # depth -> seconds of one step
        depth = FIRST_GUESS
        while depth not in steps:
            steps[depth] = self._step(self._at(depth))
            pace = steps[depth] * self._at(depth).train.steps / self._work(depth)
            expected = (d for d in range(DEEPEST, 1, -1) if pace * self._work(d) <= seconds)
            depth = next(expected, 1)
        fits = [d for d, step in steps.items() if step * self._at(d).train.steps <= seconds]
        if fits:
            return self.finish(self._at(max(fits)))
        depth = min(steps)
        return self._fitting(self._at(depth), seconds, steps[depth])

    def _at(self, depth: int) -> Recipe:
        return dialled(self.recipe, depth, vocab_size=self.vocab_size)

    def _work(self, depth: int) -> float:
        """Operations of a whole training run."""
        recipe = self._at(depth)
        model = replace(recipe.model, vocab_size=self.vocab_size)
        each = training_flops(model, recipe.train.row_tokens)
        return each * batch_tokens(recipe) * recipe.train.steps

    def _fitting(self, recipe: Recipe, seconds: float, step: float) -> Recipe:
        steps = int(seconds / step)
        if steps < FEWEST_STEPS:
            raise UserError(
                f"only {steps} steps of {step:.2g} seconds fit into --minutes, and a run needs at "
                f"least {FEWEST_STEPS}: give more minutes, or a smaller --depth"
            )
        return self.finish(with_steps(recipe, steps))

    def _step(self, recipe: Recipe) -> float:
        return step_seconds(self.finish(recipe), self.vocab_size, self.device, self.progress)


def step_seconds(
    recipe: Recipe, vocab_size: int, device: torch.device, progress: Progress | None = None
) -> float:
    """Seconds that one training step of ``recipe`` takes on ``device``, the median of several."""
    watcher = progress or Silent()
    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        watched(
            watcher, f"timing depth {recipe.model.n_layers}", _WARM_UP + _TIMED, "steps"
        ) as watch,
    ):
        config = replace(
            recipe.train,
            steps=max(recipe.train.steps, _WARM_UP + _TIMED),  # computing as the run will
            inspect_every=0,
            weights="last",
            trackers=(),
        )
        reasoning = replace(recipe.model.reasoning, token_kinds=Kind.WORD * vocab_size)
        model = Transformer(replace(recipe.model, vocab_size=vocab_size, reasoning=reasoning))
        objective = Pretrain if recipe.objective == "pretrain" else SupervisedFineTuning
        loader = RowLoader(made_up_rows(recipe, vocab_size), config.batch_rows, seed=0)
        trainer = Trainer(objective(model), loader, config, stage="timing", device=device)
        try:
            with computing_threads(trainer.choice.threads):
                return _median_step(trainer, watch)
        finally:
            # The run compiles anew, as it does when it is resumed, so that it has the same kernels.
            torch.compiler.reset()


def _median_step(trainer: Trainer, watch: Callable[[int, int], None]) -> float:
    """Train step by step until enough of them are timed."""
    times: list[float] = []
    for step in range(1, _WARM_UP + _TIMED + 1):
        started = time.perf_counter()
        trainer.take_step()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        times.append(time.perf_counter() - started)
        watch(step, _WARM_UP + _TIMED)
        if step > _WARM_UP and sum(times[_WARM_UP:]) > _SECONDS:
            break
    return statistics.median(times[_WARM_UP:])


def made_up_rows(recipe: Recipe, vocab_size: int) -> Rows:
    """A batch of made-up tokens in the shape of real ones."""
    rows, length = recipe.train.batch_rows, recipe.train.row_tokens
    ids = np.random.default_rng(0).integers(0, vocab_size, rows * length, np.int32)
    if recipe.objective == "pretrain" and not recipe.pretrain.document_mask:
        return stream(ids, length)
    # Each row has several documents; the second half of each is learned.
    size = max(2, length // _DOCUMENTS)
    document = Document(ids[:size], {COMPLETION: np.arange(size) >= size // 2})
    documents = [document] * (rows * (length // size))
    return pack(documents, length, pad_id=0)
