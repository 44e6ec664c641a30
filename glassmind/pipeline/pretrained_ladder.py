"""The ladder of a model from elsewhere: how published weights are taught to reason in steps.

    direct            the unchanged model, asked for its answer without steps
    chain of thought  the same weights, fine-tuned on worked solutions (all of them, or LoRA):
                      one step per line, and the answer in the last line
    vote, verifier    on the chains of the fine-tuned model, as for Glassmind's own models

A chat model is taught in conversations that are written by its own template. A base model has none
and is taught to continue ``Question: ...`` and ``Answer:``. With ``sampling.calculator``, solutions
are written as the calculator completes them.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, pack
from glassmind.data.chats import ASSISTANT, Chat
from glassmind.errors import UserError
from glassmind.interop.load import load_pretrained
from glassmind.interop.pretrained import Pretrained
from glassmind.llm import LocalLLM
from glassmind.llm.prompts import closing_line
from glassmind.pipeline.announcement import ladder_work
from glassmind.pipeline.answer_ends import AnswerEnd, ended_documents
from glassmind.pipeline.convert import is_own, load_any
from glassmind.pipeline.prepare import Slices, chain_steps
from glassmind.pipeline.stages import Job
from glassmind.pipeline.tuning import (
    Tuning,
    is_published,
    publish,
    tokenizer_of,
    train_and_measure,
    with_model_of,
)
from glassmind.progress import Progress
from glassmind.records import Problem
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer
from glassmind.train import SupervisedFineTuning

STAGE = "chain-of-thought"


def started_recipe(recipe: Recipe) -> Recipe:
    """The recipe with the model that ``start`` names in place of its own.

    Raises:
        UserError: there is no such model, it has no tokenizer, or it cannot be trained this way.
    """
    started = load_any(recipe.start)
    tokenizer_of(started)
    if is_own(recipe.start) and (recipe.lora.rank or recipe.finetune.freeze):
        raise UserError(
            "a ladder trains all weights of Glassmind's own models: lora.rank and finetune.freeze "
            "are for models from elsewhere"
        )
    if not is_own(recipe.start) and not started.stop_ids:
        raise UserError(f"{recipe.start} has no token that ends a text: it cannot learn to stop")
    return with_model_of(recipe, started)


def taught_models(
    run: RunFolder, recipe: Recipe, slices: Slices, device: torch.device, progress: Progress
) -> tuple[Job, dict[str, LocalLLM]]:
    """The unchanged model, and the one fine-tuned on worked solutions (loaded on resume).

    Raises:
        UserError: none of the problems can be used.
    """
    if not is_published(run):
        _teach(run, recipe, slices, device, progress)
    before, after = load_pretrained(recipe.start), load_pretrained(run.path)
    for pretrained in (before, after):
        pretrained.model.to(device)
    direct = replace(
        LocalLLM.of_pretrained(before, "direct"),
        style="direct",
        recipe=recipe,
        run=run,
        default_sampling=recipe.sampling,
    )
    taught = LocalLLM.of_tuned(after, STAGE, run, recipe)
    job = Job(run, recipe, tokenizer_of(after), device, progress)
    return job, {"direct": direct, STAGE: taught}


def _teach(
    run: RunFolder, recipe: Recipe, slices: Slices, device: torch.device, progress: Progress
) -> None:
    started = load_pretrained(recipe.start)
    llm = LocalLLM.of_tuned(started, STAGE, run, recipe)
    learned = solution_documents(llm, recipe, slices.train)
    if not learned:
        raise UserError(
            f"none of the {len(slices.train)} training problems has steps that fit into "
            f"{recipe.train.row_tokens} tokens: give steps, or raise train.row_tokens"
        )
    progress.end(f"{len(learned)} of {len(slices.train)} worked solutions are taught")
    job = Job(run, recipe, tokenizer_of(started), device, progress)
    with job.timed(STAGE):
        tuning = Tuning(run, recipe, device, progress, STAGE)
        tuning.prepare(started.model)
        objective = SupervisedFineTuning(started.model)
        rows = pack(learned, recipe.train.row_tokens, pad_id=0)
        held_out = solution_documents(llm, recipe, slices.validation)
        held = pack(held_out, recipe.train.row_tokens, pad_id=0) if held_out else None
        tests = sum(map(len, slices.tests().values()))
        then = ladder_work(recipe, tests)
        train_and_measure(tuning, objective, rows, held, len(held_out), then=then)
        publish(_named(started, run), run)
        tuning.forget_checkpoints()


def _named(started: Pretrained, run: RunFolder) -> Pretrained:
    return replace(started, model=started.model.cpu(), name=run.name)


def solution_documents(
    llm: LocalLLM, recipe: Recipe, problems: Sequence[Problem]
) -> list[Document]:
    """Every problem with one of its solutions, as prompt and reply of ``llm``.

    Problems without steps, and those too long for a row, are left out.
    """
    rng = random.Random(recipe.seed)
    most = recipe.train.row_tokens
    tokenizer, end = llm.tokenizer, None
    if llm.template is not None and isinstance(tokenizer, ComposedTokenizer):
        end = AnswerEnd.of(llm.template, tokenizer, llm.stop_ids)
    documents: list[Document] = []
    for problem in problems:
        if not problem.steps:
            continue
        lines = [*chain_steps(problem, recipe, rng), closing_line(problem)]
        found = _document(llm, problem.question, "\n".join(lines), most, end)
        documents += [] if found is None else [found]
    return documents


def _document(
    llm: LocalLLM, question: str, solution: str, most: int, end: AnswerEnd | None
) -> Document | None:
    tokenizer = llm.tokenizer
    if end is not None and llm.template is not None and isinstance(tokenizer, ComposedTokenizer):
        asked = llm.prompts.messages(question, "chain")
        chat = Chat((*asked, {"role": ASSISTANT, "content": solution}))
        found = ended_documents(
            [chat], tokenizer, llm.template, end, most_tokens=most, stop_ids=llm.stop_ids
        )
        return found.documents[0] if found.documents else None
    prompt = llm.prompt(question, "chain")
    ids = np.array([*prompt, *tokenizer.encode("\n" + solution), llm.eos_id], np.int32)
    if len(ids) > most:
        return None
    return Document(ids, {COMPLETION: np.arange(len(ids)) >= len(prompt)})
