"""Mixtral: Mistral with experts in place of every feed-forward network."""

from __future__ import annotations

from pathlib import Path

import torch
from family_parity import SIZES, FamilyParity, Pair, differs, logits, reference, reference_logits

from glassmind.interop.huggingface import load_folder

MIXTRAL = {**SIZES, "num_local_experts": 5, "num_experts_per_tok": 2}


class TestMixtral(FamilyParity):
    name = "MixtralForCausalLM"
    config = MIXTRAL

    def test_our_words_for_it(self, pair: Pair) -> None:
        experts = pair.ours.model.config.experts
        assert (experts.n_experts, experts.n_active, experts.d_hidden) == (5, 2, 40)
        assert not experts.balance


def test_with_a_window(tmp_path: Path) -> None:
    assert differs("MixtralForCausalLM", {**MIXTRAL, "sliding_window": 7}, tmp_path) < 1e-4


def test_experts_stored_together(tmp_path: Path) -> None:
    theirs = reference("MixtralForCausalLM", MIXTRAL)
    theirs.save_pretrained(tmp_path, save_original_format=False)
    ids = torch.arange(20)[None]
    ours = logits(load_folder(tmp_path).model, ids)
    assert (reference_logits(theirs, ids) - ours).abs().max() < 1e-4
