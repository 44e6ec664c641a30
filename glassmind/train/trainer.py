"""The trainer: one loop for every objective.

    for step in steps:
        gradient of the next batches' loss;  is it sound?;  clip;  optimizer step

Around that it keeps what a run needs: metrics as JSON lines, checkpoints that hold the *complete*
state (``saved_state`` says what that is), and the resumption from them, after which every number is
the one an uninterrupted run would have had.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from glassmind.data.loader import RowLoader
from glassmind.errors import UserError
from glassmind.model import Block, Transformer, rebalance
from glassmind.progress import Progress, Silent
from glassmind.runs import checkpoint
from glassmind.runs.checkpoint import Checkpoint
from glassmind.runs.recipe import TrainConfig
from glassmind.runs.weights import copy_weights
from glassmind.train import saved_state
from glassmind.train.distributed import World
from glassmind.train.guard import Guard, Trouble
from glassmind.train.inspection import Inspector
from glassmind.train.objective import Batch, Objective, to_batch
from glassmind.train.optimizers import Optimizers
from glassmind.train.precision import choose_precision
from glassmind.train.schedules import learning_rate_factor
from glassmind.train.trackers import Trackers, last_step
from glassmind.train.trouble import keep_evidence

MOST_REWINDS = 3


class Trainer:
    """Train ``objective.module`` on ``loader``'s batches as ``config`` says.

    ``stage`` names the run in metrics and progress. With a ``folder`` (a run's), metrics are
    appended to ``folder/metrics.jsonl`` and checkpoints kept in ``folder/checkpoints/<stage>``;
    ``train`` goes on from the newest one there is. ``validate`` is asked for the loss on held-out
    data every ``config.validate_every`` steps. ``world`` are the processes that train together.
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
        world: World | None = None,
    ) -> None:
        self.objective, self.loader, self.config = objective, loader, config
        self.stage, self.folder = stage, folder
        self.device = torch.device(device)
        self.progress = progress or Silent()
        self.validate = validate
        self.world = world or World()
        self.step = self.tokens = self.rewinds = 0
        self.seconds = 0.0
        self.best = math.inf  # the lowest validation loss so far
        self.recent: list[Tensor] = []  # losses since the last logged row
        self.guard = Guard(config.on_nan, config.on_spike, config.spike_sigmas)
        self.metrics = self.writer = None
        if folder is not None:
            self.metrics = self.world.metrics(folder, stage)
            self.writer = self.world.writer(folder / "checkpoints" / stage)
        objective.module.to(self.device).train()
        self.choice = choose_precision(self.device, config.precision, config.compile)
        for module in objective.module.modules():
            if isinstance(module, Block) and self.choice.compile:
                module.compile(dynamic=False)
            elif isinstance(module, Transformer):
                module.recompute = config.recompute
        self.world.adopt(objective.module, self.device, self.choice.autocast_dtype)
        self.optimizers = Optimizers(objective.module, config, self.world.orthogonalise)
        self.inspector = Inspector(objective, config.inspect_every, config.steps)
        self.trackers = Trackers((), folder, stage, warn=self.progress.end)

    # ------------------------------------------------------------------------- the loop

    def train(self) -> None:
        """Run to ``config.steps``.

        Raises:
            UserError: a step went wrong and the recipe says to stop, or a checkpoint to resume
                from is foreign.
        """
        sent = 0 if self.folder is None else last_step(self.folder / "metrics.jsonl", self.stage)
        self._resume()
        self._open_trackers(sent)
        self.progress.start(self.stage, self.config.steps)
        try:
            self._loop()
        except BaseException:
            self.progress.end()  # gives the terminal back, also after Ctrl-C
            raise
        finally:
            self.trackers.close()
            if self.writer is not None:
                self.writer.wait()
        if self.config.weights == "best" and self.validate is not None:
            self._take_best()
        self.progress.end(f"{self.stage}: {self.step} steps in {self.seconds:.0f} s")

    def _loop(self) -> None:
        config = self.config
        self.progress.update(self.step)
        saved_at = time.monotonic()
        started, done_before = time.monotonic(), self.tokens
        while self.step < config.steps:
            step_started = time.monotonic()
            figures = self._one_step()
            self.seconds += time.monotonic() - step_started
            if figures is None:  # back at the last checkpoint
                self.progress.update(self.step)
                continue
            last = self.step == config.steps
            if last or self.step % config.log_every == 0:
                speed = (self.tokens - done_before) / max(1e-9, time.monotonic() - started)
                self._log_step(figures, speed)
            if self.validate is not None and (last or self.step % config.validate_every == 0):
                self._validate(self.validate)
            minutes = (time.monotonic() - saved_at) / 60
            if last or self.world.together(minutes >= config.checkpoint_minutes):
                self._save(config.keep_checkpoints)
                saved_at = time.monotonic()

    def _one_step(self) -> dict[str, float] | None:
        """One update from the next batches, and figures worth logging; ``None`` after a rewind."""
        rows = [self.world.share(self.loader.next()) for _ in range(self.config.accumulate)]
        batches = [to_batch(share, self.device) for share in rows]
        watched = self.inspector.due(self.step + 1)
        if watched:
            self.inspector.look(
                lambda: self.world.loss(self.objective, batches[0]), self._autocast()
            )
        loss, figures = self._gradients(batches)
        if watched:
            self.inspector.before_step()
        gradients = [p.grad for p in self.objective.module.parameters() if p.grad is not None]
        norm = self.world.gradient_norm(gradients)
        trouble = self.guard.judge(loss.item(), norm.item())
        self.step += 1
        self.tokens += self.world.size * sum(batch.n_tokens for batch in batches)
        if trouble is not None:
            where = self._evidence(trouble, batches, loss.item(), norm.item())
            if not self._react(trouble, where):
                return None
        if trouble is None or trouble.policy == "note":
            if self.config.clip > 0:
                nn.utils.clip_grads_with_norm_(
                    self.objective.module.parameters(), self.config.clip, norm
                )
            self.optimizers.step(self._factor(self.step - 1))
            self.world.add_up_loads(self.objective.module)
            rebalance(self.objective.module)
            self.recent.append(loss)
            if watched:
                self._log({"inspection": self.inspector.after_step(loss)})
        return figures | {"gradient_norm": norm.item()}

    def _gradients(self, batches: list[Batch]) -> tuple[Tensor, dict[str, float]]:
        """Leave in ``grad`` the gradient of the mean loss over all terms of all batches.

        A batch with more terms weighs more: the update is then that of one large batch.
        """
        weights = [self.objective.weight(batch) for batch in batches]
        alone = self.world.size == 1 and len(batches) == 1
        total = max(1.0, *self.world.sum([sum(weights)]))
        mean = torch.zeros((), device=self.device)
        figures: dict[str, float] = {}
        for number, (batch, weight) in enumerate(zip(batches, weights, strict=True)):
            share = 1.0 if alone else weight / total
            with self.world.waiting(last=number == len(batches) - 1):
                with self._autocast():
                    loss, told = self.world.loss(self.objective, batch)
                (loss * (share * self.world.size)).backward()  # for gradients are averaged
            if share:  # a share without a term has a mean of nothing, which is no number
                mean += loss.detach() * share
            for name, value in told.items():
                figures[name] = figures.get(name, 0.0) + float(value) * share
        return self._over_all(mean, figures)

    def _over_all(self, mean: Tensor, figures: dict[str, float]) -> tuple[Tensor, dict[str, float]]:
        """The sums over all processes of what each of them counted by its share."""
        if self.world.size == 1:
            return mean, figures
        sums = self.world.sum([mean.item(), *figures.values()])
        return torch.tensor(sums[0], device=self.device), dict(zip(figures, sums[1:], strict=True))

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

    # ------------------------------------------------------------------ a step went wrong

    def _evidence(self, trouble: Trouble, batches: list[Batch], loss: float, norm: float) -> str:
        """Keep what the step met; the end of a sentence that says where."""
        if self.folder is None or not (self.world.first and self.world.holds_all):
            return ""
        module, folder = self.objective.module, self.folder / "trouble"
        kept = keep_evidence(folder, self.stage, self.step, trouble, batches, module, loss, norm)
        return f"; the batch and the weights are in {kept}" if kept else ""

    def _react(self, trouble: Trouble, where: str) -> bool:
        """Do as the recipe says; False where training went back to an earlier step."""
        sentence = f"{self.stage}, step {self.step}: {trouble.sentence}"
        if trouble.policy != "rewind":  # which takes the row back with the steps
            self._log({"trouble": trouble.sentence, "policy": trouble.policy})
        if trouble.policy == "stop":
            raise UserError(
                f"{sentence}: the learning rate is probably too high (lower train.muon_lr and "
                f"train.adamw_lr), or set train.on_nan or train.on_spike to skip or rewind{where}"
            )
        if trouble.policy != "note":
            self.optimizers.forget_gradients()
        if trouble.policy == "rewind":
            self._rewind(sentence, where)
            return False
        did = "left out" if trouble.policy == "skip" else "noted"
        self.progress.end(f"{sentence}: {did}{where}")
        self.progress.start(self.stage, self.config.steps)
        return True

    def _rewind(self, sentence: str, where: str) -> None:
        """Back to the last checkpoint, but on with the batches that follow this one."""
        found = self._newest()
        if found is None or self.rewinds == MOST_REWINDS:
            reason = "there is no checkpoint yet" if found is None else "it happened too often"
            raise UserError(f"{sentence}, and cannot be rewound: {reason}{where}")
        cursor, rewinds, seconds = self.loader.state(), self.rewinds + 1, self.seconds
        came_from = self.step
        self._restore(found)
        self.trackers.rewind(self.step)
        self.loader.restore(cursor)
        self.rewinds, self.seconds = rewinds, seconds
        self.progress.end(f"{sentence}: back to step {self.step}, on with other batches{where}")
        self.progress.start(self.stage, self.config.steps)
        self._log({"trouble": sentence, "policy": "rewind", "rewound_from": came_from})
        self._save(self.config.keep_checkpoints)  # or a crash would meet the same batch again

    # -------------------------------------------------------------- metrics, save, resume

    def _log_step(self, figures: dict[str, float], speed: float) -> None:
        if not self.recent:  # every step since the last row was left out
            return
        mean = torch.stack(self.recent).mean().item()
        self.recent.clear()
        row = {
            "loss": mean,
            "lr": self._factor(self.step - 1),
            "tokens": self.tokens,
            "seconds": round(self.seconds, 3),
            "tokens_per_second": round(speed),
        }
        self._log(row | figures)
        self.progress.update(self.step, loss=mean, tokens_per_second=speed)

    def _open_trackers(self, sent: int) -> None:
        names = self.config.trackers if self.world.first else ()
        self.trackers = Trackers(
            names, self.folder, self.stage, done=self.step, sent=sent, warn=self.progress.end
        )

    def _log(self, figures: dict[str, Any]) -> None:
        if self.metrics is not None:
            self.metrics.append(self.step, figures)
            self.trackers.log(self.step, figures)

    def _validate(self, validate: Callable[[], float]) -> None:
        measured = validate()
        # What follows is decided by one process's number, were another machine's a bit off.
        loss = self.world.sum([measured if self.world.first else 0.0])[0]
        self._log({"validation_loss": loss})
        if loss < self.best:
            self.best = loss
            if self.config.weights == "best":
                self._save(1, "best")

    def _save(self, keep: int, kind: checkpoint.Kind = "step") -> None:
        if self.writer is not None and self.metrics is not None:
            found = saved_state.snapshot(self, self.metrics.n_bytes())
            self.writer.write(self.step, found, keep, kind)

    def _newest(self, kind: checkpoint.Kind = "step") -> Checkpoint | None:
        if self.writer is None:
            return None
        self.writer.wait()
        return self.world.newest(self.writer.folder, self.progress.end, kind)

    def _resume(self) -> None:
        if self.metrics is None:
            return
        found = self._newest()
        if found is None:
            self.metrics.forget_stage()
        else:
            self._restore(found)

    def _restore(self, found: Checkpoint) -> None:
        assert self.metrics is not None
        self.metrics.cut(saved_state.restore(self, found))

    def _take_best(self) -> None:
        found = self._newest("best")
        if found is not None:
            copy_weights(
                saved_state.changing(self.objective.module),
                found.tensors["model"],
                "the best checkpoint",
            )
            self.progress.end(f"{self.stage}: the weights are those of step {found.state['step']}")
