"""One logged group of a run, and its loss under the objective of the run and the published ones."""

from __future__ import annotations

from pathlib import Path

import torch

from glassmind.errors import UserError
from glassmind.evaluate.explanation.group_loss import explain_group
from glassmind.evaluate.explanation.objectives import of_recipe, published
from glassmind.evaluate.explanation.text import Explanation
from glassmind.llm.opening import open_local
from glassmind.pipeline.reinforce import reinforce_recipe
from glassmind.runs.folder import existing_run
from glassmind.runs.recipe import read_recipe
from glassmind.runs.reward_groups import LoggedGroup, read_group


def explain_loss(folder: Path, step: int, *, finished: bool = False) -> Explanation:
    """The group that ``step`` of the run in ``folder`` logged, explained.

    The policy is that of the first pass over the samples, or the run's finished model, for which
    the samples are as old as the rest of the run is long.

    Raises:
        UserError: it is no run, has no group of that step, or no finished model.
    """
    run = existing_run(folder)
    recipe = read_recipe(str(run.path))
    if recipe.reinforce.on and recipe.objective != "grpo":
        recipe = reinforce_recipe(recipe)
    group = read_group(run.path, step)
    logprobs = None
    if finished:
        logprobs = finished_logprobs(str(folder), group, recipe.sampling.temperature)
    longest = recipe.sampling.max_new_tokens
    own = of_recipe(recipe.options, longest)
    return Explanation(
        group,
        explain_group(group, own, recorded=True, logprobs=logprobs),
        tuple(explain_group(group, each, logprobs=logprobs) for each in published(longest)),
    )


def finished_logprobs(name: str, group: LoggedGroup, temperature: float) -> list[list[float]]:
    """The log-probability of every token of ``group`` under the finished model called ``name``.

    Raises:
        UserError: there is no such model, or its tokens are others.
    """
    llm = open_local(name)
    prompt = llm.prompt(group.question, llm.style)
    vocabulary = llm.model.config.vocab_size
    found = []
    for completion in group.completions:
        if any(not 0 <= token < vocabulary for token in completion.ids):
            raise UserError(f"step {group.step} has tokens that the model in {name} does not have")
        ids_1T = torch.tensor([[*prompt, *completion.ids]])
        with torch.inference_mode():
            hidden_ND = llm.model.hidden(ids_1T[:, :-1])[0, len(prompt) - 1 :]
            logprob_NV = (llm.model.logits(hidden_ND).float() / temperature).log_softmax(1)
        chosen_N = torch.tensor(completion.ids, dtype=torch.int64)[:, None]
        found.append(logprob_NV.gather(1, chosen_N)[:, 0].tolist())
    return found
