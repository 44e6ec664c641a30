"""PPO against its equation, written as a loop over single tokens of single completions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document, pack
from glassmind.model import ActorCritic, AttentionConfig, ModelConfig, Transformer
from glassmind.train import PPO, Batch, to_batch
from glassmind.train.objectives.grpo import ADVANTAGE, FIRST_PASS, OLD_LOGPROB, SAMPLED_LOGPROB
from glassmind.train.objectives.policy.options import PolicyOptions
from glassmind.train.objectives.ppo import OLD_VALUE, RETURN

VOCAB, TEMPERATURE, CLIP, VALUE_WEIGHT = 17, 0.7, 0.2, 0.3
CPU = torch.device("cpu")
LENGTHS = (5, 1, 3)


def model(own_trunk: bool) -> ActorCritic:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(VOCAB, max_tokens=32, d_model=16, n_layers=1, attention=attention)
    module = ActorCritic(Transformer(config), own_trunk=own_trunk)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)
    return module


Token = dict[str, float]


def completions(module: ActorCritic) -> list[tuple[list[int], list[int], list[Token]]]:
    """Three prompts with a completion each, whose numbers are near the module's own."""
    rng = np.random.default_rng(3)
    made = []
    for length in LENGTHS:
        prompt, ids = (
            rng.integers(VOCAB, size=3).tolist(),
            rng.integers(VOCAB, size=length).tolist(),
        )
        logp, values = looked_at(module, prompt, ids)
        tokens = [
            {
                "old": logp[t] + rng.normal(scale=0.4),
                "advantage": rng.normal(),
                "old_value": values[t] + rng.normal(scale=0.4),
                "return": values[t] + rng.normal(scale=0.4),
                "own": float(length < 5 or t != 2),  # a tool wrote one of them
            }
            for t in range(length)
        ]
        made.append((prompt, ids, tokens))
    return made


@torch.no_grad()
def looked_at(
    module: ActorCritic, prompt: list[int], ids: list[int]
) -> tuple[list[float], list[float]]:
    """Log-probability and value of each token of a completion."""
    read = torch.tensor([prompt + ids])
    at = range(len(prompt) - 1, len(prompt) + len(ids) - 1)
    logp = (module.trunk(read)[0] / TEMPERATURE).log_softmax(-1)
    hidden = (module.critic or module.trunk).hidden(read)[0]
    values = hidden @ module.value.weight[0] + module.value.bias[0]
    return [float(logp[t, i]) for t, i in zip(at, ids, strict=True)], [float(values[t]) for t in at]


def batch_of(made: list[tuple[list[int], list[int], list[Token]]]) -> Batch:
    documents = []
    for prompt, ids, tokens in made:

        def along(
            name: str, prompt: list[int] = prompt, tokens: list[Token] = tokens
        ) -> np.ndarray:
            return np.array([0.0] * len(prompt) + [token[name] for token in tokens])

        columns = {
            COMPLETION: along("own").astype(bool),
            ADVANTAGE: along("advantage"),
            SAMPLED_LOGPROB: along("old"),
            OLD_LOGPROB: along("old"),
            FIRST_PASS: np.full(len(prompt) + len(ids), -1),
            OLD_VALUE: along("old_value"),
            RETURN: along("return"),
        }
        branches = np.array([0] * len(prompt) + [1] * len(ids), np.int16)
        documents.append(Document(np.array(prompt + ids, np.int32), columns, branches))
    return to_batch(pack(documents, 12, pad_id=0), CPU)


def ppo(module: ActorCritic, value_clip: float = CLIP) -> PPO:
    return PPO(
        module,
        PolicyOptions(clip_low=0.2, clip_high=0.2, normalisation="token"),
        value_weight=VALUE_WEIGHT,
        value_clip=value_clip,
        temperature=TEMPERATURE,
    )


@pytest.mark.parametrize("value_clip", [CLIP, 0.0])
@pytest.mark.parametrize("own_trunk", [True, False])
def test_the_loss_is_the_equation_s(own_trunk: bool, value_clip: float) -> None:
    module = model(own_trunk)
    made = completions(module)
    policy = value = 0.0
    clipped, n = 0, 0
    for prompt, ids, tokens in made:
        logp, values = looked_at(module, prompt, ids)
        for now, v, token in zip(logp, values, tokens, strict=True):
            if not token["own"]:
                continue
            ratio, a = math.exp(now - token["old"]), token["advantage"]
            policy -= min(ratio * a, min(max(ratio, 0.8), 1.2) * a)
            errors = [(v - token["return"]) ** 2]
            if value_clip:
                moved = min(max(v - token["old_value"], -value_clip), value_clip)
                errors.append((token["old_value"] + moved - token["return"]) ** 2)
                clipped += errors[1] > errors[0]
            value += max(errors) / 2
            n += 1
    loss, figures = ppo(module, value_clip).loss(batch_of(made))
    assert n == 8
    assert float(figures["policy_loss"]) == pytest.approx(policy / n, rel=1e-4)
    assert float(figures["value_loss"]) == pytest.approx(value / n, rel=1e-4)
    assert loss.item() == pytest.approx((policy + VALUE_WEIGHT * value) / n, rel=1e-4)
    assert float(figures["value_clipped"]) == pytest.approx(clipped / n)
    assert not value_clip or 0 < clipped < n
    assert ppo(module).weight(batch_of(made)) == n


@pytest.mark.parametrize("own_trunk", [True, False])
def test_what_the_critic_moves(own_trunk: bool) -> None:
    """With a transformer of its own, its error has no gradient in the policy."""
    module = model(own_trunk)
    made = completions(module)
    for _, _, tokens in made:
        for token in tokens:
            token["advantage"] = 0.0
    ppo(module).loss(batch_of(made))[0].backward()
    moved = sum(float(p.grad.abs().sum()) for p in module.trunk.parameters() if p.grad is not None)
    assert (moved == 0) == own_trunk
    assert module.value.weight.grad is not None and module.value.weight.grad.abs().sum() > 0


def test_the_first_look_is_what_the_loss_computes() -> None:
    module = model(own_trunk=True)
    made = completions(module)
    batch = batch_of(made)
    look = ppo(module).first_look(batch)
    assert look.reference_N is None
    found = zip(look.logprob_N.tolist(), look.value_N.tolist(), strict=True)
    expected = [
        pair
        for prompt, ids, tokens in made
        for pair, token in zip(
            zip(*looked_at(module, prompt, ids), strict=True), tokens, strict=True
        )
        if token["own"]
    ]
    places = {round(a, 4): b for a, b in found}
    assert {a: pytest.approx(b, abs=1e-4) for a, b in places.items()} == {
        round(a, 4): b for a, b in expected
    }


def test_an_untrained_critic_expects_nothing() -> None:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(VOCAB, max_tokens=32, d_model=16, n_layers=1, attention=attention)
    module = ActorCritic(Transformer(config), own_trunk=False)
    assert module.values(torch.randn(4, 16)).tolist() == [0, 0, 0, 0]
