"""Training rows with joined problems."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glassmind.data import generate
from glassmind.pipeline.prepare import make_tokenizer, training_rows
from glassmind.runs.recipe import read_recipe
from glassmind.tokenize.special import QUESTION, STEP, THINK


def test_joined_problems_are_longer_chains() -> None:
    recipe = read_recipe("demo")
    problems = generate(recipe.problems.dial, 60, split="train", seed=0)
    tokenizer = make_tokenizer(recipe, problems)
    all_joined = replace(recipe, problems=replace(recipe.problems, joined=1.0))
    none_joined = replace(recipe, problems=replace(recipe.problems, joined=0.0))
    alone = training_rows(none_joined, tokenizer, problems, "chain").ids
    joined = training_rows(all_joined, tokenizer, problems, "chain").ids

    def count(ids: np.ndarray, token: str) -> int:
        return int((ids == tokenizer.special[token]).sum())

    assert (count(alone, QUESTION), count(alone, THINK)) == (60, 60)
    assert (count(joined, QUESTION), count(joined, THINK)) == (30, 30)
    assert count(joined, STEP) == count(alone, STEP) > 120  # each solution as before
