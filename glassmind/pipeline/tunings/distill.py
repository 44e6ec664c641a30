"""Distillation: a small student learns from the chains, or the distributions, of a teacher.

    options.loss         what is minimised at every token of a chain
      text               -log p_student(token): sequence-level distillation, ``sft`` on the chains
      forward-kl, reverse-kl, jsd, policy-gradient     see ``train.objectives.divergences``
    options.chains       whose chains: the teacher's (sampled once), or the problems' own solutions
    options.on_policy    share of steps on chains that the student has just sampled itself

``start`` is the student: a run, the shipped model, or a model from elsewhere. Without ``start`` it
is a new model with the shape of ``[model]`` and the teacher's tokenizer. Teacher and student must
have the same tokens, because distributions over different ones cannot be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast, get_args

import torch

from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.data.problems.curriculum import InTurn
from glassmind.errors import UserError
from glassmind.generate import SamplingParams, derive_seed
from glassmind.llm import LocalLLM
from glassmind.pipeline.announcement import announce, training_work
from glassmind.pipeline.opened_model import OpenedModel, open_model
from glassmind.pipeline.prepare import Slices, make_slices, training_rows, validation_rows
from glassmind.pipeline.rollouts.learning import fitting
from glassmind.pipeline.sampled_chains import (
    CHUNK,
    chain_document,
    sampled_chunk,
)
from glassmind.pipeline.student_chains import StudentChains
from glassmind.pipeline.tuning import FineTuning, Tuning, with_model_of
from glassmind.progress import Progress, watched
from glassmind.reason.kept_chains import keep_accepted
from glassmind.reason.reward_scoring import score_all
from glassmind.reason.rewards.answer import REWARD as RIGHT_ANSWER
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder, open_run
from glassmind.runs.models import Loaded
from glassmind.runs.recipe import MOST_SAMPLES, Recipe
from glassmind.train import BatchSource, Distill, Objective, SupervisedFineTuning, validation_loss
from glassmind.train.objectives.divergences import Divergence, DivergenceName

STAGE = "distill"
LossName = Literal["text", DivergenceName]


@dataclass(frozen=True)
class DistillOptions:
    """``[options]`` of a recipe with ``objective = "distill"``.

    ``teacher`` is named like ``start``. It answers the first ``questions`` training problems with
    ``samples`` chains each; with ``only_right``, wrong chains and repeated ones are left out.
    ``temperature`` divides the logits of both models in the loss, and ``beta`` is that of ``jsd``.
    In an on-policy step the student answers ``drawn`` problems. Temperature and length of sampled
    chains are set in ``[sampling]``.
    """

    teacher: str = "word-problems"
    loss: LossName = "forward-kl"
    beta: float = 0.5
    temperature: float = 1.0
    chains: Literal["teacher", "solutions"] = "teacher"
    questions: int = 4000
    samples: int = 1
    only_right: bool = True
    on_policy: float = 0.0
    drawn: int = 64

    def __post_init__(self) -> None:
        for name in ("questions", "drawn"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 1 <= self.samples <= MOST_SAMPLES:
            raise ValueError(f"samples must be 1 to {MOST_SAMPLES}, not {self.samples}")
        if not 0 <= self.on_policy <= 1:
            raise ValueError(f"on_policy is a share of steps, 0 to 1, not {self.on_policy}")
        if self.loss == "text" and self.on_policy > 0:
            raise ValueError(
                "on_policy must be 0 for the loss text: in its own chains the student would only "
                "learn what it does already"
            )
        if self.loss == "policy-gradient" and self.on_policy < 1:
            raise ValueError(
                "on_policy must be 1 for the loss policy-gradient, which is right only for tokens "
                "that the student has drawn"
            )
        self.divergence()

    def divergence(self) -> Divergence | None:
        """The loss on logits; ``None`` for the loss on text.

        Raises:
            ValueError: ``beta`` or ``temperature`` has a value that cannot be used.
        """
        name = self.loss if self.loss in get_args(DivergenceName) else "forward-kl"
        found = Divergence(cast(DivergenceName, name), self.beta, self.temperature)
        return None if self.loss == "text" else found


def distill(
    recipe: Recipe, folder: Path, *, resume: bool, device: torch.device, progress: Progress
) -> RunFolder:
    """Train a student on a teacher. See ``FineTuning``."""
    options = DistillOptions(**recipe.options)  # type: ignore[arg-type]  # decoded by fine_tune
    _check_sampling(recipe, options)
    teacher = open_model(options.teacher)
    student = (
        open_model(recipe.start) if recipe.start else teacher.new_model(recipe.model, recipe.seed)
    )
    vocabulary = require_same_tokens(student.llm, teacher.llm)
    if options.chains == "solutions" and not isinstance(student.source, Loaded):
        raise UserError(
            f"{student.llm.name} was not made by Glassmind, so the problems' solutions are not "
            'written in its format: set options.chains to "teacher"'
        )
    recipe = with_model_of(recipe, student.source)
    if recipe.train.row_tokens > teacher.llm.context:
        raise UserError(
            f"train.row_tokens ({recipe.train.row_tokens}) exceeds the teacher's context of "
            f"{teacher.llm.context} tokens: lower it"
        )
    slices = make_slices(recipe, progress)
    held_out = _held_out(recipe, options, student, slices)
    problems = fitting(student.llm, slices.train, recipe, progress)
    run = open_run(folder, recipe, resume=resume, warn=progress.end)
    if student.is_saved(run):
        return run
    student.begin(run, slices.train)
    tuning = Tuning(run, recipe, device, progress, STAGE)
    model = student.model.to(device)
    teacher.model.to(device)
    tuning.prepare(model)
    divergence = options.divergence()
    objective: Objective = SupervisedFineTuning(model)
    if divergence is not None:
        objective = Distill(model, teacher.model, divergence, vocabulary)
    source: BatchSource | None = None
    if options.on_policy < 1:
        source = given = tuning.loader(_rows(tuning, options, student, teacher, slices))
    else:
        given = None
    if options.on_policy > 0:
        turns = InTurn(problems, recipe.seed)
        source = StudentChains(student.llm, turns, recipe, options.drawn, options.on_policy, given)
    assert source is not None
    validate = None
    if held_out is not None:
        validate = partial(validation_loss, objective, held_out, device)
    announce(training_work(recipe.train), model, progress, "lower train.steps")
    tuning.train(objective, source, validate)
    student.save(run)
    tuning.forget_checkpoints()
    return run


def require_same_tokens(student: LocalLLM, teacher: LocalLLM) -> int:
    """The number of tokens that both models have.

    Their numbers of logits may differ: published models are padded to round numbers.

    Raises:
        UserError: the tokens differ, or one of the two writes steps and the other does not.
    """
    mine, theirs = student.tokenizer, teacher.tokenizer
    if student.style != teacher.style:
        raise UserError(
            f"{student.name} answers in the style {student.style!r} and {teacher.name} in the "
            f"style {teacher.style!r}: a student learns from a teacher of its own style"
        )
    n = mine.vocab_size
    same = (
        n == theirs.vocab_size
        and mine.special == theirs.special
        and student.vocabulary.token_bytes[:n] == teacher.vocabulary.token_bytes[:n]
    )
    if not same:
        raise UserError(
            f"{student.name} cannot learn from {teacher.name}: their tokens differ, and a "
            "student's distribution can only be compared with a teacher's over the same tokens. "
            "Give a student with the teacher's tokenizer, or leave out start for a new one"
        )
    return n


def _check_sampling(recipe: Recipe, options: DistillOptions) -> None:
    """Refuse settings under which the policy gradient would be that of another distribution."""
    sampling = recipe.sampling
    exact = sampling.temperature == options.temperature
    if options.loss == "policy-gradient" and (not exact or sampling.top_k or sampling.top_p < 1):
        raise UserError(
            "the loss policy-gradient is right only for tokens drawn from the distribution that is "
            "trained: set sampling.temperature to options.temperature, sampling.top_k to 0 and "
            "sampling.top_p to 1"
        )
    if options.loss == "policy-gradient" and recipe.lora.dropout:
        raise UserError(
            "lora.dropout would train another distribution than the one that tokens are drawn "
            "from: set it to 0"
        )


def _held_out(
    recipe: Recipe, options: DistillOptions, student: OpenedModel, slices: Slices
) -> PackedRows | None:
    """Worked solutions to measure the loss on, where the model has a format for them."""
    loaded = isinstance(student.source, Loaded)
    if options.loss == "policy-gradient" or not loaded:
        return None
    style = student.llm.style
    return validation_rows(recipe, student.llm.tokenizer, slices.validation, style)


def _rows(
    tuning: Tuning,
    options: DistillOptions,
    student: OpenedModel,
    teacher: OpenedModel,
    slices: Slices,
) -> PackedRows:
    """The chains that are learned in steps that are not on-policy."""
    recipe = tuning.recipe
    if options.chains == "solutions":
        return training_rows(recipe, student.llm.tokenizer, slices.train, student.llm.style)
    problems = fitting(teacher.llm, slices.train, recipe, tuning.progress)
    documents = _teacher_chains(tuning, options, teacher.llm, problems[: options.questions])
    return pack(documents, recipe.train.row_tokens, pad_id=0)


def _teacher_chains(
    tuning: Tuning, options: DistillOptions, llm: LocalLLM, problems: Sequence[Problem]
) -> list[Document]:
    """Sample the teacher's chains, or find them in the run's folder."""
    seed = derive_seed(tuning.recipe.seed, 0)
    params = SamplingParams.of(tuning.recipe.sampling, seed=seed)
    params = replace(params, samples=options.samples)
    documents: list[Document] = []
    right = 0
    llm.model.eval()
    with watched(tuning.progress, "sampling the teacher", len(problems), "problems") as watch:
        for first in range(0, len(problems), CHUNK):
            here = problems[first : first + CHUNK]
            traces = sampled_chunk(tuning.run, "teacher", llm, here, params, first)
            for problem, trace in zip(here, traces, strict=True):
                chains = trace.completions
                rewards = score_all([RIGHT_ANSWER], problem, chains)[:, 0].tolist()
                found = keep_accepted(chains, rewards, threshold=1, most=options.samples)
                right += found.accepted
                learned = found.kept if options.only_right else chains
                documents += [chain_document(llm, problem, chain) for chain in learned]
            watch(first + len(here), len(problems))
    n = len(problems) * options.samples
    tuning.progress.end(
        f"{right / n:.1%} of the teacher's {n:,} chains are right; {len(documents):,} are learned"
    )
    if not documents:
        raise UserError(
            f"none of the teacher's {n:,} chains is right, so there is nothing to learn from: set "
            "options.only_right to false, or give easier problems"
        )
    return documents


FINE_TUNING = FineTuning(distill, DistillOptions, starts_new=True)
