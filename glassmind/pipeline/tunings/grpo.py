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

from dataclasses import replace
from pathlib import Path

import torch

from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import save_familiarity
from glassmind.llm.opening import open_local
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.rollouts.learning import (
    AnyOptions,
    Learning,
    check_recipe,
    fitting,
    reward_learning,
    rewarding,
)
from glassmind.pipeline.rollouts.options import GRPOOptions
from glassmind.pipeline.tuning import FineTuning, Tuning, is_published, publish, with_model_of
from glassmind.progress import Progress
from glassmind.reason.reward_sum import parse_reward
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import Recipe
from glassmind.tokenize import save
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
    options = GRPOOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    return tune_on_rollouts(
        recipe, folder, options, reward_learning, resume=resume, device=device, progress=progress,
        group=group,
    )  # fmt: skip


def tune_on_rollouts(
    recipe: Recipe,
    folder: Path,
    options: AnyOptions,
    learning: Learning[AnyOptions],
    *,
    resume: bool,
    device: torch.device,
    progress: Progress,
    group: ProcessGroup | None = None,
) -> RunFolder:
    """Train the model of the recipe by what ``learning`` makes of its rewarded completions."""
    group = group or ProcessGroup()
    reward = parse_reward(options.reward)
    check_recipe(recipe, options)
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
    rewards = rewarding(llm, recipe, options)
    slices = make_slices(recipe, progress)
    problems = fitting(llm, slices.train, recipe, progress)
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
    objective, source = learning(llm, problems, rewards, recipe, options, run.path, progress, group)
    tuning.train(objective, source, observe=source.observe)
    if group.is_first:
        if own is not None:
            save_model(run.model_folder(STAGE), model, own.tokenizer, STAGE)
        else:
            publish(replace(started, model=model.cpu(), name=run.name), run)
        tuning.forget_checkpoints()
    group.barrier()
    return run


FINE_TUNING = FineTuning(tune_by_reward, GRPOOptions, together=tune_by_reward)
