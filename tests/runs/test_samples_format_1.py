"""Samples that earlier versions wrote are still read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from glassmind.errors import UserError
from glassmind.records import Problem
from glassmind.runs.checkpoint import save_tensors
from glassmind.runs.samples import load_traces
from glassmind.tokenize import CharTokenizer, encode_completion

TOKENIZER = CharTokenizer()
PROBLEMS = [Problem(f"p{n}", "How many?", "3") for n in range(2)]


def old_file(path: Path, *, scored: bool) -> None:
    """Two chains of one problem, and one of the other, as format 1 kept them."""
    chains = [
        encode_completion(TOKENIZER, ["a: 1+2=3"], "3", "chain"),
        encode_completion(TOKENIZER, ["b: 1+1=2", "c: 2+2=4"], "4", "chain")[:-1],
        encode_completion(TOKENIZER, [], "7", "chain"),
    ]
    ids = [token for chain in chains for token in chain]
    tensors = {
        "counts": torch.tensor([2, 1]),
        "lengths": torch.tensor([len(chain) for chain in chains]),
        "ids": torch.tensor(ids, dtype=torch.int32),
        "logprobs": torch.full((len(ids),), -0.5),
        "stopped": torch.tensor([True, False, True]),
    }
    if scored:
        tensors["scores"] = torch.tensor([0.75, 0.0, 0.25], dtype=torch.float64)
        tensors["step_scores"] = torch.tensor([0.5, 0.125, 0.0625])
        tensors["step_counts"] = torch.tensor([1, 2, 0])
    save_tensors(tensors, path)


@pytest.mark.parametrize("scored", [True, False])
def test_an_old_file_is_read(scored: bool, tmp_path: Path) -> None:
    old_file(tmp_path / "old.safetensors", scored=scored)
    one, two = load_traces(tmp_path / "old.safetensors", PROBLEMS, TOKENIZER, "chain")
    right, cut = one.completions
    assert (right.steps, right.answer, right.finish) == (("a: 1+2=3",), "3", "stop")
    assert (cut.steps, cut.answer, cut.finish) == (("b: 1+1=2", "c: 2+2=4"), None, "length")
    assert two.completions[0].answer == "7"
    assert right.logprobs == (-0.5,) * len(right.token_ids)
    assert right.cost.completion_tokens == len(right.token_ids)
    scores = [(c.step_scores, c.score) for c in (*one.completions, *two.completions)]
    known = [((0.5,), 0.75), ((0.125, 0.0625), 0.0), ((), 0.25)]
    assert scores == (known if scored else [((), None)] * 3)


def test_an_old_file_of_other_problems_is_refused(tmp_path: Path) -> None:
    old_file(tmp_path / "old.safetensors", scored=True)
    with pytest.raises(UserError, match="samples of other problems"):
        load_traces(tmp_path / "old.safetensors", PROBLEMS[:1], TOKENIZER, "chain")
