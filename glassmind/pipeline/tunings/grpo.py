"""Learning from verifiable rewards: sample answers, reward them, make the better ones likelier.

Every set of samples consists of ``questions`` training problems with ``group`` completions each,
drawn with the current weights. They are scored by rewards (``glassmind methods`` lists them), and
trained on by ``train.objectives.grpo``; ``pipeline.rollouts`` has the code between.

The completions come from the engine that also answers questions, sampling from the whole
distribution (no top-k or top-p), so that the log-probability with which each token was drawn is
known exactly. Its difference from the trainer's is in ``metrics.jsonl`` as ``logprob_diff``; above
``sampling.most_logprob_diff`` the run stops or warns.

Under torchrun, each process samples the same completions with its copy of the weights and learns
from its share of them, so that all take the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import save_familiarity
from glassmind.llm.opening import open_local
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.rollouts.drift import DriftAlarm
from glassmind.pipeline.rollouts.options import GRPOOptions
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.rollouts.sampling import GroupSampler
from glassmind.pipeline.rollouts.source import Rollouts
from glassmind.pipeline.tuning import FineTuning, Tuning, is_published, publish, with_model_of
from glassmind.progress import Progress
from glassmind.reason.reward_sum import parse_reward
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import save
from glassmind.train import GRPO
from glassmind.train.processes.process_group import ProcessGroup

STAGE = "chain-of-thought"


def tune_by_reward(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool,
    device: torch.device,
    progress: Progress,
    group: ProcessGroup | None = None,
) -> RunFolder:
    """Train a model on rewards of its own chains. See ``FineTuning``."""
    group = group or ProcessGroup()
    options = GRPOOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    reward = parse_reward(options.reward)
    _check_recipe(recipe, options)
    started = load_any(recipe.start)
    recipe = with_model_of(recipe, started)
    own = load(recipe.start) if is_own(recipe.start) else None
    if own is not None:
        llm = LocalLLM.of_run(own, recipe.start)
    else:
        llm = LocalLLM.of_pretrained(started, recipe.start)
        scorer = open_local(recipe.start).scorer if "verifier" in reward.needs else None
        llm = llm if scorer is None else llm.with_scorer(scorer)
    model = llm.model.to(device)
    longest = recipe.sampling.max_new_tokens
    rewarding = Rewarding.of(
        llm,
        reward,
        seconds=options.reward_seconds,
        overlong=options.overlong,
        most_tokens=longest,
        reward_model=options.reward_model,
    )
    slices = make_slices(recipe, progress)
    fitting = _fitting(llm, slices.train, recipe, progress)
    run = RunFolder(folder)
    with group.first_process_first():
        if group.is_first:
            run = open_run(folder, recipe, resume=resume, warn=progress.end)
        done = is_published(run) or (run.model_folder(STAGE) / "model.json").is_file()
        if own is not None and group.is_first and not done:
            save(own.tokenizer, run.path / "tokenizer.json")
            save_familiarity(run.path / "familiarity.json", slices.train)
    if done:
        return run
    tuning = Tuning(run, recipe, device, progress, STAGE, group)
    tuning.prepare(model)
    policy = replace(options, constant_length=options.constant_length or longest)
    objective = GRPO(model, policy, temperature=recipe.sampling.temperature)
    alarm = DriftAlarm(recipe.sampling, progress)
    sampler = GroupSampler(llm, fitting, rewarding, recipe, options.group, alarm)
    source = Rollouts(llm, sampler, objective, recipe, options, run.path, group)
    tuning.train(objective, source, observe=source.observe)
    if group.is_first:
        if own is not None:
            save_model(run.model_folder(STAGE), model, own.tokenizer, STAGE)
        else:
            publish(replace(started, model=model.cpu(), name=run.name), run)
        tuning.forget_checkpoints()
    group.barrier()
    return run


def _check_recipe(recipe: Recipe, options: GRPOOptions) -> None:
    """Refuse settings that sample from another distribution than the one that is trained, and those
    that would do nothing."""
    sampling = recipe.sampling
    if sampling.temperature == 0:
        raise UserError("sampling.temperature is 0, which makes all chains equal: raise it")
    if sampling.top_k or sampling.top_p < 1:
        raise UserError(
            "sampling.top_k and sampling.top_p leave tokens out, so chains would be drawn from "
            "another distribution than the one that is trained: set them to 0 and 1"
        )
    if recipe.lora.dropout:
        raise UserError(
            "lora.dropout would train another distribution than the one that chains are drawn "
            "from: set it to 0"
        )
    if options.overlong > sampling.max_new_tokens:
        raise UserError(
            f"options.overlong ({options.overlong}) is more than sampling.max_new_tokens "
            f"({sampling.max_new_tokens}): lower it"
        )
    if recipe.train.parallel == "fsdp":
        raise UserError(
            "train.parallel is fsdp, with which no process has the whole model to sample with: set "
            "it to ddp"
        )


def _fitting(
    llm: LocalLLM, problems: Sequence[Problem], recipe: Recipe, progress: Progress
) -> list[Problem]:
    """The problems whose question and one chain of full length fit into a row."""
    room = recipe.train.row_tokens - recipe.sampling.max_new_tokens
    fitting = [p for p in problems if len(llm.prompt(p.question, llm.style)) <= room]
    if not fitting:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) must hold a question and a chain of "
            f"sampling.max_new_tokens ({recipe.sampling.max_new_tokens}), and it is too short for "
            "every problem: raise it"
        )
    if len(fitting) < len(problems):
        progress.end(
            f"{len(problems) - len(fitting):,} of {len(problems):,} problems are left out: "
            "question and chain would not fit into train.row_tokens"
        )
    return fitting


FINE_TUNING = FineTuning(tune_by_reward, GRPOOptions, together=tune_by_reward)
