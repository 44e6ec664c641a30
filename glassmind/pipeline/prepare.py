"""From a recipe to the input of training: problems, tokenizer, packed rows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glassmind.data import PROBLEM_SETS, Split, generate, load_problems, split_problems
from glassmind.data.batches.columns import COMPLETION, Column
from glassmind.data.batches.dependencies import dependency_columns
from glassmind.data.batches.gaps import random_positions
from glassmind.data.batches.packing import Document, PackedRows, pack
from glassmind.data.problems.joined import Group, joined_pairs, solved_together, told_together
from glassmind.errors import UserError
from glassmind.generate.calculator import annotated
from glassmind.grade import sample_solution
from glassmind.progress import Progress, Silent
from glassmind.records import Problem, Step
from glassmind.runs.folder import RunFolder
from glassmind.runs.recipe import Recipe, SolutionsConfig, calculator_use
from glassmind.tokenize import (
    SPECIAL_IDS,
    SavedTokenizer,
    Style,
    Tokenizer,
    encode_completion,
    encode_prompt,
    load,
    save,
    train_bpe,
    train_char,
)
from glassmind.tokenize.token_kinds import token_kinds

TEST_SLICES = ("test", "longer", "reworded")


@dataclass(frozen=True)
class Slices:
    """The problems of a run; ``longer`` and ``reworded`` are empty for problems from a file."""

    train: list[Problem]
    validation: list[Problem]
    test: list[Problem]
    longer: list[Problem]
    reworded: list[Problem]

    def tests(self) -> dict[str, list[Problem]]:
        """The test slices that have problems, by name."""
        return {name: problems for name in TEST_SLICES if (problems := getattr(self, name))}


def make_slices(recipe: Recipe, progress: Progress | None = None) -> Slices:
    """Generate the recipe's problems, or read and split its file; ``progress`` is told which rows
    of it were left out.

    Raises:
        UserError: the file cannot be read as problems, or is too small to split.
    """
    config = recipe.problems
    if config.file:
        return _slices_of_file(recipe, progress or Silent())
    counts: dict[Split, int] = {
        "train": config.train,
        "validation": config.validation,
        "test": config.test,
        "longer": config.longer,
        "reworded": config.reworded,
    }
    made = {
        split: generate(config.dial, count, split=split, seed=recipe.seed) if count else []
        for split, count in counts.items()
    }
    return Slices(**made)


def _slices_of_file(recipe: Recipe, progress: Progress) -> Slices:
    config = recipe.problems
    if config.file in PROBLEM_SETS:
        train = PROBLEM_SETS[config.file].train()
        test = PROBLEM_SETS[config.file].held_out()
        held = max(1, len(train) // 20)
        train, validation = train[held:], train[:held]
    else:
        problems = load_problems(
            config.file, config.columns, on_bad_row=recipe.on_bad_row, say=progress.end
        )
        train, validation, test = split_problems(
            problems, seed=recipe.seed, validation=0.1, test=0.2
        )
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        if not part:
            raise UserError(
                f"{config.file} has too few problems: none fell into the {name} part; "
                "give at least some dozens"
            )
    return Slices(
        train, validation[: config.validation], test[: config.test], longer=[], reworded=[]
    )


def make_tokenizer(recipe: Recipe, train: Sequence[Problem]) -> SavedTokenizer:
    """Train the recipe's tokenizer on training problems (or load the file it names)."""
    config = recipe.tokenizer
    if config.file:
        return load(config.file)
    texts = []
    for problem in train[: config.training_texts]:
        texts.append(problem.question)
        texts.extend(step.text for step in problem.steps)
    if config.kind == "char":
        return train_char(texts)
    return train_bpe(texts, config.vocab_size)


def run_tokenizer(run: RunFolder, recipe: Recipe, train: Sequence[Problem]) -> SavedTokenizer:
    """The run's tokenizer: the one it has, or a new one saved into it."""
    path = run.path / "tokenizer.json"
    if not path.is_file():
        save(make_tokenizer(recipe, train), path)
    return load(path)


def solution_steps(
    problem: Problem, solutions: SolutionsConfig, rng: random.Random
) -> tuple[Step, ...]:
    """One valid way to solve ``problem``: the given steps if there is no other."""
    if problem.steps and all(step.checkable for step in problem.steps):
        return sample_solution(
            problem,
            rng,
            regroup=solutions.regroup,
            reorder=solutions.reorder,
            swap=solutions.swap,
        )
    return problem.steps


def chain_steps(problem: Problem, recipe: Recipe, rng: random.Random) -> tuple[str, ...]:
    """The steps as a chain of thought is taught to write them."""
    return step_texts(solution_steps(problem, recipe.problems.solutions, rng), recipe)


def step_texts(steps: Sequence[Step], recipe: Recipe) -> tuple[str, ...]:
    """How these steps are written: annotated, if the calculator of sampling needs that."""
    texts = tuple(step.text for step in steps)
    annotates = calculator_use(recipe.sampling.calculator) == "annotations"
    return tuple(map(annotated, texts)) if annotates else texts


def training_rows(
    recipe: Recipe, tokenizer: Tokenizer, problems: Sequence[Problem], style: Style
) -> PackedRows:
    """Every problem with one of its solutions, packed into the recipe's rows; some problems in
    pairs, if the recipe says so (``problems.joined``).

    Raises:
        UserError: fewer than half of the problems can be used.
    """
    pairing = random.Random(f"joined {recipe.seed}")
    groups = joined_pairs(problems, recipe.problems.joined, pairing)
    documents = _documents(recipe, tokenizer, groups, style)
    if recipe.model.reasoning.positions == "random":
        kinds, limit = token_kinds(tokenizer), recipe.model.max_tokens
        rng = np.random.default_rng((recipe.seed, len(documents)))
        documents = [_with_gaps(document, kinds, limit, rng) for document in documents]
    if len(documents) < len(groups) / 2:
        limit = min(recipe.train.row_tokens, recipe.model.max_tokens)
        bare = sum(not p.steps for p in problems) if style == "chain" else 0
        raise UserError(
            f"only {len(documents)} of {len(groups)} training problems can be used "
            f"({bare} have no steps, the rest exceed {limit} tokens): "
            "give steps, or raise train.row_tokens and model.max_tokens"
        )
    return pack(documents, recipe.train.row_tokens, SPECIAL_IDS["<|pad|>"])


def _with_gaps(document: Document, kinds: str, limit: int, rng: np.random.Generator) -> Document:
    """The document at positions with random gaps, drawn once for the whole training."""
    own = "".join(kinds[token_id] for token_id in document.ids)
    return replace(document, positions=random_positions(own, limit, rng))


def validation_rows(
    recipe: Recipe, tokenizer: Tokenizer, problems: Sequence[Problem], style: Style
) -> PackedRows | None:
    """The same for validation problems; ``None`` if none of them can be used."""
    documents = _documents(recipe, tokenizer, [(problem,) for problem in problems], style)
    return pack(documents, recipe.train.row_tokens, SPECIAL_IDS["<|pad|>"]) if documents else None


def _documents(
    recipe: Recipe, tokenizer: Tokenizer, groups: Sequence[Group], style: Style
) -> list[Document]:
    """Prompt and completion of each group, without those that are too long for a row.

    In the chain style, groups with a problem without steps are left out too.
    """
    rng = random.Random(recipe.seed)
    documents = []
    limit = min(recipe.train.row_tokens, recipe.model.max_tokens)
    for group in groups:
        if style == "chain" and not all(problem.steps for problem in group):
            continue
        steps: tuple[Step, ...] = ()
        if style == "chain":
            steps = solved_together(
                solution_steps(problem, recipe.problems.solutions, rng) for problem in group
            )
        texts, question = step_texts(steps, recipe), told_together(group)
        prompt = encode_prompt(tokenizer, question, style)
        completion = encode_completion(tokenizer, texts, group[-1].answer, style)
        ids = np.array(prompt + completion, np.int32)
        if len(ids) > limit:
            continue
        columns: dict[Column, NDArray[Any]] = {COMPLETION: np.arange(len(ids)) >= len(prompt)}
        if style == "chain" and recipe.supervision.weight > 0:
            columns |= dependency_columns(tokenizer, question, steps, texts, len(ids))
        documents.append(Document(ids, columns))
    return documents
