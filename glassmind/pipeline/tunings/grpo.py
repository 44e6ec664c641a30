"""Learning from verifiable rewards: sample answers, reward them, make the better ones likelier.

Every step draws ``questions`` training problems, samples ``group`` chains of each with the current
weights, scores them by a reward (``glassmind methods`` lists the rewards), and trains on them with
``train.objectives.grpo`` (Shao et al. 2024, arXiv 2402.03300).

The completions come from the engine that also answers questions, sampling from the whole
distribution (no top-k or top-p), so that the log-probability with which each token was drawn is
known exactly. Its difference from the trainer's is in ``metrics.jsonl`` as ``logprob_diff``; above
``sampling.most_logprob_diff`` the run stops or warns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.packing import STRUCTURE, Document, PackedRows, pack
from glassmind.errors import UserError
from glassmind.generate import SamplingParams, derive_seed, logprob_difference
from glassmind.llm import LocalLLM
from glassmind.llm.familiarity import save_familiarity
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.tuning import FineTuning, Tuning, is_published, publish, with_model_of
from glassmind.progress import Progress
from glassmind.reason.reward import Reward
from glassmind.reason.reward_registry import named
from glassmind.records import Completion, Problem
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import load, save_model
from glassmind.runs.recipe import MOST_SAMPLES, Recipe
from glassmind.tokenize import save
from glassmind.train import State
from glassmind.train.objectives.grpo import (
    ADVANTAGE,
    GRPO,
    OLD_LOGPROB,
    REWARD,
    Normalisation,
    group_advantages,
)

STAGE = "chain-of-thought"
COLUMNS = (COMPLETION, ADVANTAGE, OLD_LOGPROB, REWARD)
CHECKED = 4  # chains of every sampling whose log-probabilities the trainer computes again


@dataclass(frozen=True)
class GRPOOptions:
    """``[options]`` of a recipe with ``objective = "grpo"``.

    ``passes`` is the number of steps on one set of samples. ``scaled`` divides advantages by the
    group's standard deviation. ``train.objectives.grpo`` explains the other options. Temperature
    and length of the samples are set in ``[sampling]``.
    """

    questions: int = 16
    group: int = 8
    passes: int = 1
    reward: str = "answer"
    scaled: bool = True
    normalisation: Normalisation = "token"
    clip_low: float = 0.2
    clip_high: float = 0.2
    kl: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.group <= MOST_SAMPLES:
            raise ValueError(
                f"group must be 2 to {MOST_SAMPLES}, not {self.group}: a completion is compared "
                "with the others of its group"
            )
        for name in ("questions", "passes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.clip_low <= 1 or not self.clip_high > 0 or not self.kl >= 0:
            raise ValueError("clip_low must be in (0, 1], clip_high above 0, and kl 0 or above")


class Rollouts:
    """Batches of fresh samples. See ``train.BatchSource``.

    Raises ``UserError`` if a reward is not a finite number, or if engine and trainer differ more
    than the recipe allows.
    """

    def __init__(
        self,
        llm: LocalLLM,
        problems: Sequence[Problem],
        recipe: Recipe,
        options: GRPOOptions,
        progress: Progress,
    ) -> None:
        self.llm, self.problems, self.recipe, self.options = llm, problems, recipe, options
        self.reward: Reward = named(options.reward)
        self.progress = progress
        self.drawn = 0  # questions so far
        self.left = 0  # steps left to take on ``rows``
        self.rows: PackedRows | None = None
        self._warned = False

    def next(self) -> PackedRows:
        """Rows of the questions' groups: the same ones for ``passes`` steps, then new ones."""
        if self.left == 0 or self.rows is None:
            self.rows, self.left = self._sample(), self.options.passes
        self.left -= 1
        return self.rows

    def state(self) -> State:
        state: dict[str, Any] = {"drawn": self.drawn, "left": self.left}
        if self.left and self.rows is not None:
            arrays = {name: getattr(self.rows, name) for name in STRUCTURE}
            arrays |= {column.name: self.rows[column] for column in COLUMNS}
            state |= {name: torch.from_numpy(array) for name, array in arrays.items()}
        return state

    def restore(self, state: State) -> None:
        self.drawn, self.left = int(state["drawn"]), int(state["left"])
        self.rows = None
        if self.left:
            structure = {name: state[name].numpy() for name in STRUCTURE}
            columns: dict[Column, Any] = {c: state[c.name].numpy() for c in COLUMNS}
            self.rows = PackedRows(**structure, columns=columns)

    def _sample(self) -> PackedRows:
        problems = [self._problem(self.drawn + n) for n in range(self.options.questions)]
        seed = derive_seed(self.recipe.seed, self.drawn)
        params = replace(
            SamplingParams.of(self.recipe.sampling, seed=seed), samples=self.options.group
        )
        model = self.llm.model
        model.eval()
        self.llm.refresh()
        traces = self.llm.sample(problems, params, self.llm.style)
        self._check([trace.completions[0] for trace in traces[:CHECKED]], problems)
        model.train()
        documents: list[Document] = []
        for problem, trace in zip(problems, traces, strict=True):
            documents += self._documents(problem, trace.completions)
        self.drawn += len(problems)
        return pack(documents, self.recipe.train.row_tokens, pad_id=0)

    def _problem(self, number: int) -> Problem:
        """Every problem once in random order, then all of them again in another order."""
        epoch, place = divmod(number, len(self.problems))
        order = np.random.default_rng([self.recipe.seed, epoch]).permutation(len(self.problems))
        return self.problems[int(order[place])]

    def _documents(self, problem: Problem, group: Sequence[Completion]) -> list[Document]:
        """A question with its completions as branches, split into documents that fit into rows."""
        prompt = self.llm.prompt(problem.question, self.llm.style)
        rewards = [self.reward.score(problem, completion) for completion in group]
        if not np.isfinite(rewards).all():
            raise UserError(
                f"the reward {self.reward.name} of {problem.id} is not a finite number: {rewards}"
            )
        advantages = group_advantages(rewards, scaled=self.options.scaled)
        documents: list[Document] = []
        members: list[tuple[Completion, float, float]] = []
        length = len(prompt)
        for member in zip(group, advantages, rewards, strict=True):
            n_tokens = len(member[0].token_ids)
            if members and length + n_tokens > self.recipe.train.row_tokens:
                documents.append(_document(prompt, members))
                members, length = [], len(prompt)
            if n_tokens:
                members.append(member)
                length += n_tokens
        return [*documents, _document(prompt, members)] if members else documents

    def _check(self, completions: Sequence[Completion], problems: Sequence[Problem]) -> None:
        """Compare the engine's log-probabilities with the trainer's."""
        prompts = [
            self.llm.prompt(problem.question, self.llm.style)
            for problem, _ in zip(problems, completions, strict=False)
        ]
        if not any(completion.token_ids for completion in completions):
            return
        found = logprob_difference(self.llm.model, prompts, completions)
        config = self.recipe.sampling
        if found.max <= config.most_logprob_diff:  # false for NaN
            return
        message = (
            f"the engine's log-probability of a token is {found.max:.2g} nats from the trainer's, "
            f"more than sampling.most_logprob_diff ({config.most_logprob_diff:g})"
        )
        if config.on_logprob_diff == "stop":
            raise UserError(f"{message}; raise it, or set sampling.on_logprob_diff to warn")
        if not self._warned:
            self.progress.end(message)
        self._warned = True


def _document(
    prompt: Sequence[int], members: Sequence[tuple[Completion, float, float]]
) -> Document:
    """A prompt and completions with advantage and reward. What a tool wrote is not learned."""
    lengths = [len(completion.token_ids) for completion, _, _ in members]
    nodes = [node for completion, _, _ in members for node in completion.nodes]
    written = [node.author == "model" for node in nodes for _ in node.token_ids]
    old = [value for node in nodes for value in node.sampled_logprobs]
    none = np.zeros(len(prompt))

    def along(values: Sequence[float]) -> np.ndarray[Any, Any]:
        """A value for each token: 0 in the prompt, then each completion's."""
        return np.concatenate([none, np.repeat(values, lengths)])

    return Document(
        ids=np.array([*prompt, *(t for c, _, _ in members for t in c.token_ids)], np.int32),
        columns={
            COMPLETION: np.concatenate([none, written]).astype(bool),
            ADVANTAGE: along([advantage for _, advantage, _ in members]),
            OLD_LOGPROB: np.concatenate([none, old]),
            REWARD: along([reward for _, _, reward in members]),
        },
        branches=along(range(1, len(members) + 1)).astype(np.int16),
    )


def tune_by_reward(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model on rewards of its own chains. See ``FineTuning``."""
    options = GRPOOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    if "verifier" in named(options.reward).needs:
        raise UserError(
            f"the reward {options.reward} needs a verifier's scores, which are not computed while "
            'training: set options.reward to one that does not, such as "answer"'
        )
    _check_sampling(recipe)
    started = load_any(recipe.start)
    recipe = with_model_of(recipe, started)
    own = load(recipe.start) if is_own(recipe.start) else None
    if own is None:
        llm = LocalLLM.of_pretrained(started, recipe.start)
    else:
        llm = LocalLLM.of_run(own, recipe.start)
    slices = make_slices(recipe, progress)
    fitting = _fitting(llm, slices.train, recipe, progress)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if is_published(run) or (run.model_folder(STAGE) / "model.json").is_file():
        return run
    if own is not None:
        save(own.tokenizer, run.path / "tokenizer.json")
        save_familiarity(run.path / "familiarity.json", slices.train)
    tuning = Tuning(run, recipe, device, progress, STAGE)
    model = llm.model.to(device)
    tuning.prepare(model)
    objective = GRPO(
        model,
        clip_low=options.clip_low,
        clip_high=options.clip_high,
        normalisation=options.normalisation,
        constant_length=recipe.sampling.max_new_tokens,
        kl=options.kl,
        temperature=recipe.sampling.temperature,
    )
    tuning.train(objective, Rollouts(llm, fitting, recipe, options, progress))
    if own is not None:
        save_model(run.model_folder(STAGE), model, own.tokenizer, STAGE)
    else:
        publish(replace(started, model=model.cpu(), name=run.name), run)
    tuning.forget_checkpoints()
    return run


def _check_sampling(recipe: Recipe) -> None:
    """Refuse settings that sample from another distribution than the one that is trained."""
    sampling = recipe.sampling
    if sampling.temperature == 0:
        raise UserError("sampling.temperature is 0, which makes all chains equal: raise it")
    if sampling.top_k or sampling.top_p < 1:
        raise UserError(
            "sampling.top_k and sampling.top_p leave tokens out, so chains would be drawn from "
            "another distribution than the one that is trained: set them to 0 and 1"
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


FINE_TUNING = FineTuning(tune_by_reward, GRPOOptions)
