"""The trainer: one loop for every objective.

    for step in steps:
        gradient of the next batches' loss  →  judge it  →  clip  →  optimizer step

Around that it keeps what a run needs: metrics as JSON lines, checkpoints that hold the *complete*
state (``saved_state`` says what that is), and the resumption from them, after which every number is
the one that an uninterrupted run would have had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from glassmind.errors import UserError
from glassmind.model import Transformer, rebalance
from glassmind.model.experts import Router
from glassmind.progress import Progress, Silent
from glassmind.quantity import quantity
from glassmind.runs.recipe import TrainConfig
from glassmind.runs.weights import copy_weights
from glassmind.train.arithmetic.calibration import compile_blocks
from glassmind.train.arithmetic.choice import choose
from glassmind.train.arithmetic.known_choices import note
from glassmind.train.arithmetic.precision import computing_threads
from glassmind.train.arithmetic.rehearsal import rehearsal
from glassmind.train.batch import Batch, to_batch
from glassmind.train.gradients import Figures, accumulate_gradients
from glassmind.train.objectives.objective import Objective
from glassmind.train.optimizers.groups import Optimizers
from glassmind.train.optimizers.schedules import learning_rate_factor
from glassmind.train.processes.process_group import ProcessGroup
from glassmind.train.processes.termination import EXIT_TERMINATED, Termination
from glassmind.train.saving.run_files import RunFiles
from glassmind.train.saving.saved_state import Counters, TrainingState, trained_parameters
from glassmind.train.state import BatchSource
from glassmind.train.watching.guard import Guard, Trouble
from glassmind.train.watching.inspection import Inspector
from glassmind.train.watching.trouble import keep_evidence

MOST_REWINDS = 3


@dataclass(frozen=True, slots=True)
class Step:
    """The results of the forward and backward passes of one step; tensors are on the device."""

    number: int
    batches: list[Batch]
    loss: Tensor
    gradient_norm: Tensor
    figures: Figures


class Trainer:
    """Train ``objective.module`` on the batches of ``source`` as ``config`` says.

    ``stage`` names the run in metrics and progress. With a ``folder`` (a run's), metrics are
    appended to ``folder/metrics.jsonl`` and checkpoints kept in ``folder/checkpoints/<stage>``;
    ``train`` continues from the newest one there is. ``validate`` returns the loss on held-out
    data and is called every ``config.validate_every`` steps. ``observe`` is called, in all
    processes, after every step that is logged, with its number, and returns more figures to log.
    ``group`` are the processes that train together.

    Raises:
        UserError: ``config`` asks for the best weights, but ``validate`` is missing.
    """

    def __init__(
        self,
        objective: Objective,
        source: BatchSource,
        config: TrainConfig,
        *,
        stage: str,
        folder: Path | None = None,
        device: torch.device | str = "cpu",
        progress: Progress | None = None,
        validate: Callable[[], float] | None = None,
        observe: Callable[[int], Mapping[str, float]] | None = None,
        group: ProcessGroup | None = None,
    ) -> None:
        if config.weights == "best" and validate is None:
            raise UserError(
                f'train.weights = "best" needs held-out data to measure on, and the stage {stage} '
                'has none: set it to "last", or hold some data out'
            )
        self.objective, self.source, self.config = objective, source, config
        self.stage, self.folder = stage, folder
        self.device = torch.device(device)
        self.progress = progress or Silent()
        self.validate, self.observe = validate, observe
        self.group = group or ProcessGroup()
        self.counters = Counters()
        self.guard = Guard(config.on_nan, config.on_spike, config.spike_sigmas)
        self._place_modules()
        self.choice = choose(
            objective, source, config, stage=stage, folder=folder, device=self.device,
            group=self.group, progress=self.progress,
        )  # fmt: skip
        self._prepare_modules()
        self.optimizers = Optimizers(objective.module, config, self.group.orthogonalise)
        self.state = TrainingState(
            stage, objective, source, self.optimizers, self.counters, self.guard, self.group,
            self.device,
        )  # fmt: skip
        self.inspector = Inspector(objective, config.inspect_every, config.steps)
        self.files = RunFiles(folder, self.state, self.progress)
        # Judging a step one step late saves waiting for the device (``guard``). On a CPU nothing is
        # saved, routers wait anyway, and sharded weights cannot suppress an update.
        modules = objective.module.modules()
        self.lagging = (
            self.device.type == "cuda"
            and self.guard.can_lag
            and self.group.holds_full_model
            and not any(isinstance(module, Router) for module in modules)
        )
        self._logged = 0, 0.0  # tokens and seconds at the last row
        self.termination = Termination()
        self._unjudged: Step | None = None  # taken, and not judged yet
        self._not_finite = torch.zeros((), device=self.device)  # 1 from the first such step on

    def _place_modules(self) -> None:
        self.objective.module.to(self.device).train()
        for other in self.objective.saved.values():
            if isinstance(other, nn.Module):
                other.to(self.device)
        for inner in self.objective.module.modules():
            if isinstance(inner, Transformer):
                inner.recompute = self.config.recompute

    def _prepare_modules(self) -> None:
        module = self.objective.module
        if self.choice.compile:
            compile_blocks(module, True)
        self.group.wrap(module, self.device, self.choice.autocast_dtype)

    # ------------------------------------------------------------------------- the loop

    def train(self) -> None:
        """Run to ``config.steps``.

        Raises:
            UserError: a step went wrong and the recipe says to stop, or the checkpoint to resume
                from belongs to another model.
            SystemExit: the process was asked to end by SIGTERM, and a checkpoint is written.
        """
        self.files.resume(self.config.trackers)
        if self.folder is not None and self.group.is_first:
            note(self.folder, self.stage, self.choice)
        try:
            with self.termination.noticed(), computing_threads(self.choice.threads):
                self._compile()
                self.progress.start(self.stage, self.config.steps)
                self._loop()
        except BaseException:
            self.progress.end()  # restores the terminal, also after Ctrl-C
            raise
        finally:
            self.files.close()
        if self.config.weights == "best":
            self._take_best()
        counters = self.counters
        steps = quantity(counters.step, "step")
        self.progress.end(f"{self.stage}: {steps} in {counters.seconds:.0f} s")

    def _compile(self) -> None:
        """Compile before the clock starts, and say how this stage computes."""
        seconds = 0.0
        if self.choice.compile and self.counters.step < self.config.steps:
            self.progress.start(f"{self.stage}: compiling", 1, "step")
            with rehearsal(self.objective, self.source, self.device, self.group) as rehearse:
                seconds = rehearse(self.choice)
        reason = f" ({self.choice.reason})" if self.choice.reason else ""
        after = f" in {seconds:.0f} s" if seconds else ""
        self.progress.end(f"{self.stage}: {self.choice}{after}{reason}")

    def _loop(self) -> None:
        config, counters = self.config, self.counters
        self.progress.update(counters.step)
        saved_at = time.monotonic()
        self._logged = counters.tokens, counters.seconds
        while counters.step < config.steps:
            step_started = time.monotonic()
            step = self.take_step()
            counters.seconds += time.monotonic() - step_started
            if step is None:  # back at the last checkpoint
                self.progress.update(counters.step)
                continue
            last = counters.step == config.steps
            if last or counters.step % config.log_every == 0:
                self._settle()
                self._log_step(step)
            if self.validate is not None and (last or counters.step % config.validate_every == 0):
                self._settle()
                self._validate(self.validate)
            minutes = (time.monotonic() - saved_at) / 60
            due = self.termination.asked or minutes >= config.checkpoint_minutes
            if last or self.group.broadcast(due):
                self._settle()
                self.files.save(config.keep_checkpoints)
                saved_at = time.monotonic()
                if not last and self.group.broadcast(self.termination.asked):
                    self.progress.end(
                        f"{self.stage}: ended by SIGTERM after step {counters.step}, with a "
                        "checkpoint; --resume goes on from there"
                    )
                    raise SystemExit(EXIT_TERMINATED)

    def take_step(self) -> Step | None:
        """One update from the next batches; ``None`` if the run went back to a checkpoint.

        Raises:
            UserError: the step (or, on a GPU, the one before) went wrong and the recipe says to
                stop.
        """
        rows = [self.source.next() for _ in range(self.config.accumulate)]
        batches = [to_batch(self.group.shard(part), self.device) for part in rows]
        watched = self.inspector.due(self.counters.step + 1)
        if watched:
            self.inspector.look(
                lambda: self.group.loss(self.objective, batches[0]),
                self.choice.autocast(self.device),
            )
        loss, figures = accumulate_gradients(
            self.objective, batches, self.group, self.choice.autocast(self.device)
        )
        if watched:
            self.inspector.before_step()
        gradients = [p.grad for p in self.objective.module.parameters() if p.grad is not None]
        norm = self.group.gradient_norm(gradients)
        self.counters.step += 1
        self.counters.tokens += sum(part.ids.size for part in rows)
        step = Step(self.counters.step, batches, loss, norm, figures)
        if self.lagging:
            sound = loss.isfinite() & norm.isfinite()
            self._not_finite = torch.maximum(self._not_finite, (~sound).float())
            self._update(step, watched, skip=self._not_finite)
            self._settle()
            self._unjudged = step
            return step
        policy = self._judge(step)
        if policy == "rewind":
            return None
        if policy != "skip":
            self._update(step, watched)
        return step

    def _update(self, step: Step, watched: bool, skip: Tensor | None = None) -> None:
        """Update the weights; if ``skip`` is 1, they stay as they are."""
        if self.config.clip > 0:
            parameters = self.objective.module.parameters()
            nn.utils.clip_grads_with_norm_(parameters, self.config.clip, step.gradient_norm)
        self.optimizers.step(self._factor(step.number - 1), skip)
        self.group.sum_router_loads(self.objective.module)
        rebalance(self.objective.module)
        self.objective.after_step()
        self.counters.recent.append(step.loss)
        if watched:
            self.files.log(step.number, {"inspection": self.inspector.after_step(step.loss)})

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

    def _settle(self) -> None:
        """Judge the last step, if it was taken without being judged."""
        step, self._unjudged = self._unjudged, None
        if step is not None:
            self._judge(step)

    def _judge(self, step: Step) -> str:
        """Judge a step and apply the recipe's policy; returns the policy, "" if all is well."""
        loss, norm = step.loss.item(), step.gradient_norm.item()
        trouble = self.guard.judge(loss, norm)
        if trouble is None:
            return ""
        where = self._keep_evidence(trouble, step, loss, norm)
        sentence = f"{self.stage}, step {step.number}: {trouble.sentence}"
        if trouble.policy != "rewind":  # which removes the row together with the steps
            row = {"trouble": trouble.sentence, "policy": trouble.policy}
            self.files.log(step.number, row)
        if trouble.policy == "stop":
            raise UserError(
                f"{sentence}: the learning rate is probably too high (lower train.muon_lr and "
                f"train.adamw_lr), or set train.on_nan or train.on_spike to skip or rewind{where}"
            )
        if trouble.policy != "note":
            self.optimizers.forget_gradients()
        if trouble.policy == "rewind":
            self._rewind(sentence, where)
        else:
            done = "left out" if trouble.policy == "skip" else "noted"
            self.progress.end(f"{sentence}: {done}{where}")
            self.progress.start(self.stage, self.config.steps)
        return trouble.policy

    def _keep_evidence(self, trouble: Trouble, step: Step, loss: float, norm: float) -> str:
        """Save the batch and the weights. Returns the end of a sentence that says where."""
        if self.folder is None or not (self.group.is_first and self.group.holds_full_model):
            return ""
        suppressed = bool(self._not_finite.item())  # this step's update, and those after it
        after = self.counters.step if self.lagging and not suppressed else step.number - 1
        module, folder = self.objective.module, self.folder / "trouble"
        kept = keep_evidence(
            folder, self.stage, step.number, trouble, step.batches, module, loss, norm, after
        )
        return f"; the batch and the weights are in {kept}" if kept else ""

    def _rewind(self, sentence: str, where: str) -> None:
        """Go back to the last checkpoint and continue with the batches after this one."""
        found = self.files.newest()
        if found is None or self.counters.rewinds == MOST_REWINDS:
            reason = "there is no checkpoint yet" if found is None else "it happened too often"
            raise UserError(f"{sentence}, and the run cannot be rewound: {reason}{where}")
        place, came_from = self.source.state(), self.counters.step
        rewinds, seconds = self.counters.rewinds + 1, self.counters.seconds
        self.files.restore(found)
        self.files.trackers.rewind(self.counters.step)
        self.source.restore(place)
        self.counters.rewinds, self.counters.seconds = rewinds, seconds
        self._logged = self.counters.tokens, seconds
        self.progress.end(
            f"{sentence}: back to step {self.counters.step}, continuing with other batches{where}"
        )
        self.progress.start(self.stage, self.config.steps)
        row = {"trouble": sentence, "policy": "rewind", "rewound_from": came_from}
        self.files.log(self.counters.step, row)
        # Saved at once, so that a run that is resumed from here does not meet the same batch again.
        self.files.save(self.config.keep_checkpoints)

    # ------------------------------------------------------------------ logging, validation

    def _log_step(self, step: Step) -> None:
        if not self.counters.recent:  # every step since the last row was left out
            return
        recent = [loss.to(self.device) for loss in self.counters.recent]
        mean = torch.stack(recent).mean().item()
        self.counters.recent.clear()
        # Of the steps since the last row: what is logged is the speed now, not the mean so far.
        tokens, seconds = self._logged
        self._logged = self.counters.tokens, self.counters.seconds
        speed = (self.counters.tokens - tokens) / max(1e-9, self.counters.seconds - seconds)
        row = {
            "loss": mean,
            "lr": self._factor(self.counters.step - 1),
            "tokens": self.counters.tokens,
            "seconds": round(self.counters.seconds, 3),
            "tokens_per_second": round(speed),
        }
        figures = step.figures.of_all(self.group)
        row |= figures | {"gradient_norm": step.gradient_norm.item()}
        if self.observe is not None:
            row |= self.observe(step.number)
        self.files.log(self.counters.step, row)
        self.progress.update(self.counters.step, loss=mean, tokens_per_second=speed)

    def _validate(self, validate: Callable[[], float]) -> None:
        measured = validate()
        # All processes follow the first one, because another machine may round differently.
        loss = self.group.sum([measured if self.group.is_first else 0.0])[0]
        self.files.log(self.counters.step, {"validation_loss": loss})
        if loss < self.counters.best:
            self.counters.best = loss
            if self.config.weights == "best":
                self.files.save(1, "best")

    def _take_best(self) -> None:
        found = self.files.newest("best")
        if found is not None:
            parameters = trained_parameters(self.objective.module)
            copy_weights(parameters, found.tensors["model"], "the best checkpoint")
            self.progress.end(f"{self.stage}: the weights are those of step {found.state['step']}")
