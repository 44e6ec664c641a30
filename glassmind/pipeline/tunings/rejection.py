"""Learning from one's own right answers: rejection sampling, round after round.

    for each of ``rounds``:
        draw ``questions`` training problems, sample ``samples`` chains of each
        keep the right ones that differ, at most ``most_kept`` of a problem
        fine-tune on them for ``train.steps`` steps

One round is rejection-sampling fine-tuning (RFT: Yuan et al. 2023, arXiv 2308.01825), several are
expert iteration (STaR: Zelikman et al. 2022, arXiv 2203.14465). The loss is that of ``sft``:
maximum likelihood on samples that a reward accepts is the policy gradient for a reward of 0 or 1,
without the push away from wrong answers.

With ``restart``, every round trains the weights that the run started from, on chains of the latest
ones (ReST-EM: Singh et al. 2023, arXiv 2312.06585), so that errors of one round are not trained
into the next. Otherwise each round trains its predecessor's weights further. (STaR also asks for a
chain that leads to a given answer where none was right; that is left out here.)

``[train]`` describes one round. Each round has metrics of its own, ``round-1``, ``round-2``, ...,
and a line in ``rounds.json``.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import torch

from glassmind.data.batches.packing import Document, pack
from glassmind.data.problems.curriculum import Curriculum, CurriculumName, make_curriculum
from glassmind.errors import UserError
from glassmind.generate import SamplingParams, derive_seed
from glassmind.pipeline.opened_model import OpenedModel, open_model
from glassmind.pipeline.prepare import make_slices
from glassmind.pipeline.rollouts.groups import Group
from glassmind.pipeline.rollouts.learning import fitting
from glassmind.pipeline.rollouts.rewarding import Rewarding
from glassmind.pipeline.sampled_chains import (
    CHUNK,
    chain_document,
    sampled_chunk,
)
from glassmind.pipeline.tuning import FineTuning, Tuning, with_model_of
from glassmind.progress import Progress, watched
from glassmind.reason.kept_chains import KeptChains, keep_accepted
from glassmind.reason.reward_sum import parse_reward
from glassmind.runs.checkpoint import load_tensors, save_tensors
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.recipe import MOST_SAMPLES, Recipe
from glassmind.runs.weights import load_weights, named_weights
from glassmind.serialization import read_record, write_record
from glassmind.train import SupervisedFineTuning
from glassmind.train.watching.metrics_file import MetricsFile

MOST_ROUNDS = 100


@dataclass(frozen=True)
class RejectionOptions:
    """``[options]`` of a recipe with ``objective = "rejection"``.

    A chain is accepted if its ``reward`` (one of ``glassmind methods``, or a sum of several) is at
    least ``threshold``; no reward may take longer than ``reward_seconds`` for one chain. With
    ``balanced``, the chains of a problem are repeated until there are ``most_kept``, so that a
    problem that is rarely solved counts as much as one that is often solved. ``curriculum`` is the
    order of the problems (``data.problems.curriculum``); the share that it learns of is that of
    accepted chains. Temperature and length of the chains are set in ``[sampling]``.
    """

    rounds: int = 2
    questions: int = 512
    samples: int = 8
    reward: str = "answer"
    reward_seconds: float = 30.0
    threshold: float = 1.0
    most_kept: int = 4
    balanced: bool = True
    restart: bool = True
    curriculum: CurriculumName = "uniform"

    def __post_init__(self) -> None:
        limits = (("rounds", MOST_ROUNDS), ("samples", MOST_SAMPLES), ("most_kept", MOST_SAMPLES))
        for name, most in limits:
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, not {getattr(self, name)}")
        if self.questions < 1:
            raise ValueError(f"questions must be at least 1, not {self.questions}")
        if not self.reward_seconds > 0:
            raise ValueError(f"reward_seconds must be above 0, not {self.reward_seconds}")


@dataclass(frozen=True, slots=True)
class Round:
    """What was sampled in a round: numbers of ``questions`` and ``chains``; of chains with the
    ``right`` answer, and of those that the reward ``accepted``; of questions with at least one of
    these (``solved``); of accepted chains that differ in their equations (``distinct``), and of
    those that were ``kept``.
    """

    number: int
    questions: int
    chains: int
    right: int
    accepted: int
    solved: int
    distinct: int
    kept: int

    @property
    def solve_rate(self) -> float:
        """The share of chains with the right answer."""
        return self.right / self.chains

    def __str__(self) -> str:
        return (
            f"round {self.number}: {self.solve_rate:.1%} of {self.chains:,} chains have the right "
            f"answer; {self.accepted:,} are accepted, of {self.solved:,} of {self.questions:,} "
            f"problems; {self.distinct:,} of them differ, {self.kept:,} are kept"
        )


@dataclass(frozen=True, slots=True)
class Rounds:
    """``rounds.json``."""

    rounds: tuple[Round, ...] = ()


@dataclass(frozen=True)
class _Rejection:
    """A run in progress."""

    run: RunFolder
    recipe: Recipe
    options: RejectionOptions
    opened: OpenedModel
    curriculum: Curriculum
    rewarding: Rewarding
    device: torch.device
    progress: Progress

    def sample(self, number: int) -> tuple[list[Document], Round]:
        """The documents to learn from in a round."""
        options, llm = self.options, self.opened.llm
        seed = derive_seed(self.recipe.seed, number)
        params = SamplingParams.of(self.recipe.sampling, seed=seed)
        params = replace(params, samples=options.samples)
        documents: list[Document] = []
        right = accepted = solved = distinct = n_kept = 0
        stage = f"sampling round {number}"
        with watched(self.progress, stage, options.questions, "problems") as watch:
            for first in range(0, options.questions, CHUNK):
                problems = self.curriculum.draw(min(CHUNK, options.questions - first))
                traces = sampled_chunk(self.run, f"round-{number}", llm, problems, params, first)
                for group in self.rewarding.groups(problems, traces):
                    found = self._kept(group)
                    self.curriculum.report(group.problem, found.accepted / options.samples)
                    right += sum(group.right)
                    accepted += found.accepted
                    solved += found.accepted > 0
                    distinct += found.distinct
                    n_kept += len(found.kept)
                    learned = [chain_document(llm, group.problem, chain) for chain in found.kept]
                    documents += self._repeated(learned)
                watch(first + len(problems), options.questions)
        n = options.questions * options.samples
        counts = (options.questions, n, right, accepted, solved, distinct, n_kept)
        return documents, Round(number, *counts)

    def _kept(self, group: Group) -> KeptChains:
        rewards = group.rewards_GK @ np.asarray(self.rewarding.weights)
        return keep_accepted(
            group.completions,
            rewards.tolist(),
            threshold=self.options.threshold,
            most=self.options.most_kept,
        )

    def _repeated(self, learned: list[Document]) -> list[Document]:
        if not self.options.balanced:
            return learned
        return list(islice(cycle(learned), self.options.most_kept))

    def note(self, found: Round) -> None:
        """Keep a round's figures, once: a resumed run finds them again."""
        path = self.run.path / "rounds.json"
        known = read_record(Rounds, path).rounds if path.is_file() else ()
        if any(one.number == found.number for one in known):
            return
        metrics = MetricsFile(self.run.path / "metrics.jsonl", f"sampling round-{found.number}")
        metrics.forget_stage()
        metrics.append(0, asdict(found) | {"solve_rate": found.solve_rate})
        write_record(path, Rounds((*known, found)))
        self.progress.end(str(found))

    def weights_path(self, number: int) -> Path:
        """Where the weights after a round are, until the run is finished."""
        return self.run.path / "rounds" / f"{number}.safetensors"

    def train(self, number: int, documents: list[Document]) -> None:
        """Fine-tune on a round's chains."""
        stage, model = f"round-{number}", self.opened.model
        rows = pack(documents, self.recipe.train.row_tokens, pad_id=0)
        recipe = replace(self.recipe, seed=derive_seed(self.recipe.seed, number))
        tuning = Tuning(self.run, recipe, self.device, self.progress, stage)
        tuning.prepare(model)
        tuning.train(SupervisedFineTuning(model), tuning.loader(rows))
        path = self.weights_path(number)
        path.parent.mkdir(exist_ok=True)
        save_tensors(named_weights(model), path)
        tuning.forget_checkpoints()


def tune_by_rejection(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a model on its own right chains. See ``FineTuning``."""
    options = RejectionOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    reward = parse_reward(options.reward)
    _check(recipe, options)
    opened = open_model(recipe.start)
    rewarding = Rewarding.of(
        opened.llm,
        reward,
        seconds=options.reward_seconds,
        overlong=0,
        most_tokens=recipe.sampling.max_new_tokens,
    )
    recipe = with_model_of(recipe, opened.source)
    train = make_slices(recipe, progress).train
    problems = fitting(opened.llm, train, recipe, progress)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if opened.is_saved(run):
        return run
    opened.begin(run, train)
    model = opened.model.to(device)
    curriculum = make_curriculum(options.curriculum, problems, recipe.seed)
    job = _Rejection(run, recipe, options, opened, curriculum, rewarding, device, progress)
    start = {name: weight.clone() for name, weight in named_weights(model).items()}
    for number in range(1, options.rounds + 1):
        model.eval()
        documents, found = job.sample(number)
        job.note(found)
        if not documents:
            raise UserError(
                f"the reward accepts none of the {found.chains:,} chains of round {number}, so "
                "there is nothing to learn from: give easier problems, raise options.samples or "
                "options.questions, lower options.threshold, or start from a better model"
            )
        path = job.weights_path(number)
        if path.is_file():
            load_weights(model, load_tensors(path), str(path))
        else:
            if options.restart and number > 1:
                load_weights(model, start, recipe.start)
            job.train(number, documents)
        opened.llm.refresh()
    opened.save(run)
    for name in ("rounds", "checkpoints"):  # only needed to resume
        shutil.rmtree(run.path / name, ignore_errors=True)
    return run


def _check(recipe: Recipe, options: RejectionOptions) -> None:
    """Refuse what could only fail after the sampling."""
    if recipe.sampling.temperature == 0:
        raise UserError("sampling.temperature is 0, which makes all chains equal: raise it")
    if recipe.train.weights == "best":
        raise UserError(
            'train.weights = "best" needs held-out chains to measure on, and rejection sampling '
            'holds none out: set it to "last"'
        )
    if recipe.lora.rank and options.rounds > 1 and not options.restart:
        raise UserError(
            "lora.rank keeps one low-rank change of the model, and without options.restart each "
            "round adds another: set options.restart to true, options.rounds to 1, or lora.rank to "
            "0"
        )


FINE_TUNING = FineTuning(tune_by_rejection, RejectionOptions)
