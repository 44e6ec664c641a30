"""T5's bias against loops, with every cache, and its gradient."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from packed_cases import PLAIN, make

from glassmind.generate import Engine, Request, SamplingParams, pack_model
from glassmind.generate.packed.allow_list import why_not
from glassmind.model import AttentionConfig, KVCache, PositionConfig, Transformer, parameters, probe
from glassmind.model import scoring as scoring_module
from glassmind.model.positions import t5_bucket

T5 = replace(PLAIN, positions=PositionConfig("t5"))


def test_buckets_are_those_of_the_reference() -> None:
    t5 = pytest.importorskip("transformers.models.t5.modeling_t5")
    distance = torch.arange(-5, 300)
    theirs = t5.T5Attention._relative_position_bucket(-distance, bidirectional=False)
    assert torch.equal(t5_bucket(distance), theirs)


def test_weights_are_the_softmax_of_score_and_bias() -> None:
    model = make(T5)
    assert model.score_bias is not None
    ids = torch.randint(97, (2, 40))
    names = [f"blocks.1.attention.{tap}" for tap in ("q", "k", "weights")]
    with torch.no_grad(), probe(model, read=names) as seen:
        watched = model(ids)
    q, k, weights = (seen[name] for name in names)
    table = model.score_bias.get_parameter("table.weight")
    for head, query in ((0, 39), (5, 17)):
        scores = q[1, head, query] @ k[1, head // 3, : query + 1].T * 8**-0.5
        scores += torch.stack([table[int(t5_bucket(torch.tensor(query - s))), head]
                               for s in range(query + 1)])  # fmt: skip
        torch.testing.assert_close(weights[1, head, query, : query + 1], scores.softmax(0).detach())
    torch.testing.assert_close(model(ids), watched)


@pytest.mark.parametrize("window", [0, 9])
@torch.inference_mode()
def test_generation_with_and_without_a_cache(window: int) -> None:
    model = make(replace(T5, attention=AttentionConfig(6, 2, window=window)))
    prompt = list(range(2, 30))
    ids = list(prompt)
    for _ in range(20):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    request = Request(tuple(prompt), SamplingParams(20, temperature=0, samples=2))
    for engine in (Engine(model), Engine(pack_model(model), chunk_tokens=5)):
        [found] = engine.generate([request])
        assert [list(one.token_ids) for one in found] == [ids[28:]] * 2
    cache = KVCache(model.config, 1, 60)
    pieces = [model(torch.tensor([part]), cache=cache) for part in (ids[:30], ids[30:31], ids[31:])]
    torch.testing.assert_close(
        torch.cat(pieces, 1), model(torch.tensor([ids])), rtol=1e-4, atol=1e-4
    )


def test_it_is_not_packed() -> None:
    assert "positions.kind is 't5'" in (why_not(make(T5)) or "")
    assert pack_model(model := make(T5)) is model


def test_a_long_row_trains_it_as_a_short_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention in tiles has no gradient for a bias, so it must not be taken."""
    grads = []
    for dense in (2048, 4):
        monkeypatch.setattr(scoring_module, "DENSE_UP_TO", dense)
        model = make(T5)
        model(torch.arange(60)[None]).square().mean().backward()
        assert model.score_bias is not None
        grads.append(model.score_bias.get_parameter("table.weight").grad)
    assert grads[0] is not None and grads[0].any()
    torch.testing.assert_close(grads[0], grads[1])


def test_counted_and_stored_once() -> None:
    model = Transformer(T5)
    assert parameters(T5).total == sum(p.numel() for p in model.parameters())
    assert [n for n in model.state_dict() if "bias" in n] == ["score_bias.table.weight"]
