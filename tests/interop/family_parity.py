"""What every family must do: be equal to ``transformers``, in every way of running a model.

A module per family subclasses ``FamilyParity`` and says which class and config of transformers it
is held against; ``window`` and lengths are chosen so that 64 new tokens go past every window.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.interop.canonical import differences
from glassmind.interop.huggingface import load_folder, save_folder
from glassmind.interop.pretrained import Pretrained
from glassmind.model import KVCache, Transformer, causal, left_padding

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

VOCAB, TOKENS, NEW = 61, 96, 64
# Sizes that most families share, small and all different.
SIZES: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "intermediate_size": 40,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": TOKENS,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
PROMPTS = [[3, 1, 4, 1, 5, 9, 2, 6, 5, 35, 8], [27, 18, 28]]


def reference(name: str, config: dict[str, Any]) -> Any:
    """A random model of transformers in which every weight matters."""
    torch.manual_seed(0)
    model_class = getattr(transformers, name)
    model = model_class(model_class.config_class(**config)).eval()
    for key, weight in model.state_dict().items():
        if weight.is_floating_point() and "embed_positions" not in key:  # a table of sines
            weight.add_(torch.randn_like(weight) * 0.2)
    return model


def reference_logits(model: Any, ids_BT: Tensor) -> Tensor:
    with torch.no_grad():
        return model(input_ids=ids_BT).logits


def logits(model: Transformer, ids_BT: Tensor, **how: Any) -> Tensor:
    with torch.no_grad():
        return model(ids_BT, **how)


def greedy(model: Transformer, prompt: list[int]) -> list[int]:
    """Without any cache: the whole text again for every token."""
    ids = list(prompt)
    for _ in range(NEW):
        ids.append(int(logits(model, torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def pad(prompts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """The prompts with zeros at their left, and how many."""
    longest = max(map(len, prompts))
    padding = torch.tensor([longest - len(prompt) for prompt in prompts])
    return torch.tensor([[0] * (longest - len(p)) + p for p in prompts]), padding


def greedy_cached(model: Transformer, prompts: list[list[int]]) -> list[list[int]]:
    """With the KV cache, all prompts in one batch, padded at the left where they differ."""
    ids, padding = pad(prompts)
    cache = KVCache(
        model.config, len(ids), TOKENS, padding_B=padding if bool(padding.any()) else None
    )
    new: list[Tensor] = []
    for _ in range(NEW):
        ids = logits(model, ids, cache=cache)[:, -1].argmax(dim=-1, keepdim=True)
        new.append(ids)
    return torch.cat(new, dim=1).tolist()


@dataclass(frozen=True)
class Pair:
    """One model twice: in transformers, and loaded by us from what transformers saved."""

    theirs: Any
    ours: Pretrained
    folder: Path


class FamilyParity:
    """The tests. Subclasses set ``name`` and ``config``."""

    name: str
    config: dict[str, Any]

    @pytest.fixture(scope="class")
    @classmethod
    def pair(cls, tmp_path_factory: pytest.TempPathFactory) -> Pair:
        folder = tmp_path_factory.mktemp("theirs")
        theirs = reference(cls.name, cls.config)
        theirs.save_pretrained(folder)
        return Pair(theirs, load_folder(folder), folder)

    @pytest.fixture(scope="class")
    @classmethod
    def expected(cls, pair: Pair) -> list[list[int]]:
        """What transformers goes on with after each prompt, each by itself."""
        pair.theirs.generation_config.eos_token_id = None
        continued = []
        for prompt in PROMPTS:
            ids = torch.tensor([prompt])
            out = pair.theirs.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=NEW,
                pad_token_id=0,
            )
            continued.append(out[0, len(prompt) :].tolist())
        return continued

    def test_logits(self, pair: Pair) -> None:
        ids = torch.randint(VOCAB, (2, TOKENS - 8), generator=torch.Generator().manual_seed(1))
        difference = reference_logits(pair.theirs, ids) - logits(pair.ours.model, ids)
        assert difference.abs().max() < 1e-4

    def test_logits_of_padded_rows(self, pair: Pair) -> None:
        ids, padding = pad(PROMPTS)
        positions = (torch.arange(ids.shape[1]) - padding[:, None]).clamp(min=0)
        mask = causal & left_padding(padding)
        ours = logits(pair.ours.model, ids, positions=positions, mask=mask)
        for row, prompt in enumerate(PROMPTS):
            theirs = reference_logits(pair.theirs, torch.tensor([prompt]))[0]
            assert (ours[row, -len(prompt) :] - theirs).abs().max() < 1e-4

    def test_greedy_tokens(self, pair: Pair, expected: list[list[int]]) -> None:
        model = pair.ours.model
        assert greedy(model, PROMPTS[0]) == expected[0]
        assert greedy_cached(model, PROMPTS[:1]) == expected[:1]
        assert greedy_cached(model, PROMPTS) == expected  # padded

    def test_greedy_tokens_of_the_engine(self, pair: Pair, expected: list[list[int]]) -> None:
        params = SamplingParams(max_new_tokens=NEW, temperature=0)
        requests = [Request(tuple(prompt), params) for prompt in PROMPTS]
        answers = Engine(pair.ours.model).generate(requests)
        assert [list(answer[0].token_ids) for answer in answers] == expected

    def test_export(self, pair: Pair, tmp_path: Path) -> None:
        save_folder(pair.ours, tmp_path / "ours", pair.theirs.config.model_type)
        again, found = transformers.AutoModelForCausalLM.from_pretrained(
            tmp_path / "ours", output_loading_info=True
        )
        assert not any(found.values()), found
        ids = torch.tensor(PROMPTS[:1])
        difference = reference_logits(again.eval(), ids) - reference_logits(pair.theirs, ids)
        assert difference.abs().max() < 1e-5
        exported = load_folder(tmp_path / "ours").model
        assert differences(exported.config, pair.ours.model.config) == []
        assert torch.equal(logits(exported, ids), logits(pair.ours.model, ids))


def differs(name: str, config: dict[str, Any], folder: Path) -> float:
    """How far the logits are apart, for one more config of a family."""
    theirs = reference(name, config)
    theirs.save_pretrained(folder)
    ids = torch.randint(VOCAB, (1, 40), generator=torch.Generator().manual_seed(2))
    ours = logits(load_folder(folder).model, ids)
    return float((reference_logits(theirs, ids) - ours).abs().max())
