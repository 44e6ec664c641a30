"""The trainer: one loop for every objective.

    for step in steps:
        loss = objective.loss(next batch);  backward;  clip;  optimizer step

Around that it keeps what a run needs: metrics as JSON lines, checkpoints that hold the *complete*
state (weights, optimizers, data cursor, random generator, place in the metrics file), and the
resumption from them, after which every number is the one an uninterrupted run would have had.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from glassmind.data.loader import RowLoader
from glassmind.errors import UserError
from glassmind.model import Block, rebalance
from glassmind.progress import Progress, Silent
from glassmind.runs import checkpoint
from glassmind.runs.files import write_text
from glassmind.runs.recipe import TrainConfig
from glassmind.runs.weights import load_weights, named_weights
from glassmind.train.objective import Objective, to_batch
from glassmind.train.optimizers import Optimizers
from glassmind.train.precision import choose_precision
from glassmind.train.schedules import learning_rate_factor


class Trainer:
    """Train ``objective.module`` on ``loader``'s batches as ``config`` says.

    ``stage`` names the run in metrics and progress. With a ``folder`` (a run's), metrics are
    appended to ``folder/metrics.jsonl`` and checkpoints kept in ``folder/checkpoints/<stage>``;
    ``train`` goes on from the newest one there is. ``validate`` is asked for the loss on held-out
    data every ``config.validate_every`` steps.
    """

    def __init__(
        self,
        objective: Objective,
        loader: RowLoader,
        config: TrainConfig,
        *,
        stage: str,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
        validate: Callable[[], float] | None = None,
    ) -> None:
        self.objective, self.loader, self.config = objective, loader, config
        self.stage, self.folder = stage, folder
        self.device = torch.device(device)
        self.progress = progress or Silent()
        self.validate = validate
        self.step = self.tokens = 0
        self.seconds = 0.0
        self._recent: list[Tensor] = []  # losses since the last logged row
        objective.module.to(self.device).train()
        self.optimizers = Optimizers(objective.module, config)
        self.choice = choose_precision(self.device, config.precision, config.compile)
        if self.choice.compile:
            for block in objective.module.modules():
                if isinstance(block, Block):
                    block.compile(dynamic=False)

    # ------------------------------------------------------------------------- the loop

    def train(self) -> None:
        """Run to ``config.steps``.

        Raises:
            UserError: the loss stopped being a number, or a checkpoint to resume from is foreign.
        """
        self._resume()
        self.progress.start(self.stage, self.config.steps)
        try:
            self._loop()
        except BaseException:
            self.progress.end()  # gives the terminal back, also after Ctrl-C
            raise
        self.progress.end(f"{self.stage}: {self.step} steps in {self.seconds:.0f} s")

    def _loop(self) -> None:
        config = self.config
        self.progress.update(self.step)
        saved_at = time.monotonic()
        recent = self._recent
        started, done_before = time.monotonic(), self.tokens
        while self.step < config.steps:
            step_started = time.monotonic()
            loss, figures = self._one_step()
            recent.append(loss)
            self.step += 1
            self.seconds += time.monotonic() - step_started
            last = self.step == config.steps
            log = last or self.step % config.log_every == 0
            minutes = (time.monotonic() - saved_at) / 60
            save = self.folder is not None and (last or minutes >= config.checkpoint_minutes)
            if log or save:
                mean = self._finite(torch.stack(recent).mean().item())
            if log:
                recent.clear()
                speed = (self.tokens - done_before) / max(1e-9, time.monotonic() - started)
                self._log(
                    loss=mean,
                    lr=self._factor(self.step - 1),
                    tokens=self.tokens,
                    seconds=round(self.seconds, 3),
                    tokens_per_second=round(speed),
                    **{name: float(value) for name, value in figures.items()},
                )
                self.progress.update(self.step, loss=mean, tokens_per_second=speed)
            if self.validate is not None and (last or self.step % config.validate_every == 0):
                self._log(validation_loss=self.validate())
            if save:
                self._save()
                saved_at = time.monotonic()

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            raise UserError(
                f"the loss of {self.stage} is {loss} at step {self.step}: the learning "
                "rate is too high for this model; lower train.muon_lr and train.adamw_lr"
            )
        return loss

    def _one_step(self) -> tuple[Tensor, dict[str, float | Tensor]]:
        """Accumulate gradients over the micro-batches, clip, step."""
        total = torch.zeros((), device=self.device)
        figures: dict[str, float | Tensor] = {}
        for _ in range(self.config.accumulate):
            batch = to_batch(self.loader.next(), self.device)
            with self._autocast():
                loss, figures = self.objective.loss(batch)
            (loss / self.config.accumulate).backward()
            total += loss.detach() / self.config.accumulate
            self.tokens += batch.n_tokens
        if self.config.clip > 0:
            nn.utils.clip_grad_norm_(self.objective.module.parameters(), self.config.clip)
        self.optimizers.step(self._factor(self.step))
        rebalance(self.objective.module)
        return total, figures

    def _autocast(self) -> torch.autocast:
        dtype = self.choice.autocast_dtype
        return torch.autocast(self.device.type, dtype or torch.bfloat16, enabled=dtype is not None)

    def _factor(self, step: int) -> float:
        config = self.config
        return learning_rate_factor(
            step,
            config.steps,
            schedule=config.schedule,
            warmup=config.warmup,
            decay_fraction=config.decay_fraction,
        )

    # -------------------------------------------------------------- metrics, save, resume

    def _log(self, **figures: float) -> None:
        if self.folder is None:
            return
        line = json.dumps({"stage": self.stage, "step": self.step} | figures)
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def _save(self) -> None:
        assert self.folder is not None
        metrics = self.folder / "metrics.jsonl"
        state = {
            "stage": self.stage,
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "recent": [loss.item() for loss in self._recent],
            "loader": self.loader.state(),
            "metrics_bytes": metrics.stat().st_size if metrics.exists() else 0,
        }
        tensors = {
            "model": named_weights(self.objective.module),
            "optimizer": self.optimizers.state(),
            "random": {"torch": torch.get_rng_state()},
        }
        target = self.folder / "checkpoints" / self.stage
        checkpoint.save(
            target, self.step, checkpoint.Checkpoint(tensors, state), self.config.keep_checkpoints
        )

    def _resume(self) -> None:
        if self.folder is None:
            return
        warnings: list[str] = []
        found = checkpoint.newest(self.folder / "checkpoints" / self.stage, warnings.append)
        for sentence in warnings:
            self.progress.end(sentence)
        metrics = self.folder / "metrics.jsonl"
        if found is None:
            self._forget_metrics(metrics)
            return
        load_weights(self.objective.module, found.tensors["model"], "the checkpoint")
        self.optimizers.restore(found.tensors["optimizer"])
        torch.set_rng_state(found.tensors["random"]["torch"])
        state = found.state
        try:
            self.step, self.tokens = int(state["step"]), int(state["tokens"])
            self.seconds, kept = float(state["seconds"]), int(state["metrics_bytes"])
            self._recent = [torch.tensor(x, device=self.device) for x in state["recent"]]
            self.loader.restore(state["loader"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"the checkpoint of {self.stage} in {self.folder} lacks a part of its state "
                f"({error}): delete its checkpoints folder to start the stage over"
            ) from None
        if metrics.exists():
            with metrics.open("rb+") as file:  # rows written after the checkpoint come again
                file.truncate(min(kept, metrics.stat().st_size))

    def _forget_metrics(self, metrics: Path) -> None:
        """Drop this stage's rows: it starts over."""
        if metrics.exists():
            lines = metrics.read_text("utf-8").splitlines(keepends=True)
            whole = [line for line in lines if line.endswith("\n")]  # not what a kill cut off
            kept = [line for line in whole if json.loads(line).get("stage") != self.stage]
            write_text(metrics, "".join(kept))
