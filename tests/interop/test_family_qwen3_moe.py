"""Qwen3-MoE: Qwen3 with many small experts, whose weights need not sum to one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_parity import SIZES, FamilyParity, Pair, differs, logits, reference, reference_logits

from glassmind.errors import UserError
from glassmind.interop.huggingface import FAMILIES, load_folder
from glassmind.interop.huggingface.json_fields import Fields

QWEN = {
    **SIZES,
    "head_dim": 16,
    "num_experts": 6,
    "num_experts_per_tok": 3,
    "moe_intermediate_size": 24,
    "mlp_only_layers": [0],
}


class TestQwen3Moe(FamilyParity):
    name = "Qwen3MoeForCausalLM"
    config = QWEN

    def test_our_words_for_it(self, pair: Pair) -> None:
        config = pair.ours.model.config
        assert config.experts.n_dense_layers == 1 and not config.experts.normalise
        assert (config.feed_forward.d_hidden, config.experts.d_hidden) == (40, 24)


def test_normalised_and_with_experts_everywhere(tmp_path: Path) -> None:
    change = {"norm_topk_prob": True, "mlp_only_layers": [], "attention_bias": True}
    assert differs("Qwen3MoeForCausalLM", {**QWEN, **change}, tmp_path) < 1e-4


def test_experts_stored_together(tmp_path: Path) -> None:
    theirs = reference("Qwen3MoeForCausalLM", QWEN)
    theirs.save_pretrained(tmp_path, save_original_format=False)
    ids = torch.arange(20)[None]
    ours = logits(load_folder(tmp_path).model, ids)
    assert (reference_logits(theirs, ids) - ours).abs().max() < 1e-4


@pytest.mark.parametrize("change", [{"mlp_only_layers": [1]}, {"decoder_sparse_step": 2}], ids=str)
def test_refused(change: dict[str, object]) -> None:
    with pytest.raises(UserError, match=next(iter(change))):
        FAMILIES["qwen3_moe"].read(Fields({**QWEN, **change}, "config.json"))
