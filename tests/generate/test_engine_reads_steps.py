"""Models that read steps: packed rows, the plain cache and the engine compute the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from glassmind.errors import UserError
from glassmind.generate import Engine, Request, SamplingParams
from glassmind.generate.model_runner import block_bytes
from glassmind.generate.packed.allow_list import why_not
from glassmind.generate.packed.model import PackedModel, pack_model
from glassmind.model import KVCache, Transformer, probe
from glassmind.model.config import ReasoningConfig
from glassmind.train.batch import to_batch
from tests.step_models import READING, STEP, a_chain, a_prompt, packed, reading_model

RNG = np.random.default_rng(1)
PROMPTS = [a_prompt(RNG) for _ in range(3)]
CHAINS = [a_chain(RNG, n) for n in (0, 2, 4)]
DOCUMENTS = [prompt + chain for prompt, chain in zip(PROMPTS, CHAINS, strict=True)]


@pytest.fixture(scope="module", params=READING)
def model(request: pytest.FixtureRequest):  # type: ignore[no-untyped-def]
    return reading_model(request.param)


def alone(model, ids):  # type: ignore[no-untyped-def]
    with torch.inference_mode():
        return model(torch.tensor([ids]))[0]


def test_packed_rows_equal_documents_alone(model) -> None:  # type: ignore[no-untyped-def]
    batch = to_batch(packed(DOCUMENTS, 128), torch.device("cpu"))
    assert len(batch.ids) == 1  # they are packed into one row
    with torch.inference_mode():
        logits = model(
            batch.ids, positions=batch.positions, mask=batch.mask, previous=batch.previous
        )[0]
    for ids in DOCUMENTS:
        start = next(at for at in range(128) if batch.ids[0, at : at + len(ids)].tolist() == ids)
        torch.testing.assert_close(
            logits[start : start + len(ids)], alone(model, ids), rtol=1e-4, atol=1e-4
        )


def test_every_switch_changes_what_is_computed(model) -> None:  # type: ignore[no-untyped-def]
    plain = Transformer(replace(model.config, reasoning=ReasoningConfig()))
    plain.load_state_dict(model.state_dict(), strict=False)
    difference = (alone(plain, DOCUMENTS[2]) - alone(model, DOCUMENTS[2])).abs()
    assert difference[-1].max() > 1e-3


def test_rows_with_a_mask_need_to_say_what_follows_what(model) -> None:  # type: ignore[no-untyped-def]
    batch = to_batch(packed(DOCUMENTS, 128), torch.device("cpu"))
    with pytest.raises(ValueError, match="previous"):
        model(batch.ids, positions=batch.positions, mask=batch.mask)


@pytest.mark.parametrize("pieces", [(17, 1, 1, 1, 20)])
def test_the_plain_cache_equals_the_whole_row(model, pieces) -> None:  # type: ignore[no-untyped-def]
    ids = DOCUMENTS[2][:40]
    padding = torch.tensor([0, 3])
    rows = torch.tensor([ids, [0] * 3 + ids[:-3]])
    cache = KVCache(model.config, 2, 64, padding_B=padding)
    found, at = [], 0
    with torch.inference_mode():
        for n in pieces:
            if at < len(ids):
                found.append(model(rows[:, at : at + n], cache=cache))
                at += n
    logits = torch.cat(found, dim=1)
    whole = alone(model, ids)
    torch.testing.assert_close(logits[0], whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits[1, 3:], whole[:-3], rtol=1e-4, atol=1e-4)


def test_the_engine_equals_the_whole_row(model) -> None:  # type: ignore[no-untyped-def]
    """Prompts hold finished steps and are read in pieces, siblings fork, blocks are shared."""
    memory = 9 * block_bytes(model)
    engine = Engine(pack_model(model), chunk_tokens=13, max_rows=3, max_cache_bytes=memory)
    params = SamplingParams(
        max_new_tokens=20, samples=2, prompt_logprobs=True, seed=5, logit_bias=((STEP, 2.0),)
    )
    prompts = [DOCUMENTS[1], DOCUMENTS[2][:30], [*DOCUMENTS[2][:30], 7, 8, 3, 9]]
    for _ in range(2):  # the second time, the first blocks of the prompts are found in the cache
        generations = engine.generate([Request(tuple(prompt), params) for prompt in prompts])
    # So little memory that samples are preempted, unless the cache forgets finished steps.
    assert bool(engine.scheduler.preempted) == (model.config.reasoning.mask == "causal")
    written = [token for samples in generations for s in samples for token in s.token_ids]
    assert written.count(STEP) > 9
    for prompt, samples in zip(prompts, generations, strict=True):
        for number, sample in enumerate(samples):
            ids = [*prompt, *sample.token_ids]
            following = torch.tensor(ids[1:])[:, None]
            logp = alone(model, ids).log_softmax(-1)[:-1].gather(1, following)[:, 0]
            got = torch.tensor([*sample.prompt_logprobs, *sample.logprobs])
            expected = logp if number == 0 else logp[len(prompt) - 1 :]
            torch.testing.assert_close(got, expected, rtol=1e-3, atol=2e-3)


def test_a_plain_request_equals_the_whole_row(model) -> None:  # type: ignore[no-untyped-def]
    """Such a request may decode several tokens in one compiled call."""
    engine = Engine(pack_model(model))
    prompt = DOCUMENTS[2][:30]
    ((sample,),) = engine.generate([Request(tuple(prompt), SamplingParams(max_new_tokens=30))])
    ids = [*prompt, *sample.token_ids]
    following = torch.tensor(ids[1:])[:, None]
    logp = alone(model, ids).log_softmax(-1)[:-1].gather(1, following)[:, 0]
    expected = logp[len(prompt) - 1 :]
    torch.testing.assert_close(torch.tensor(sample.logprobs), expected, rtol=1e-3, atol=2e-3)


def test_all_but_the_bias_is_for_the_compiled_pass(model) -> None:  # type: ignore[no-untyped-def]
    reason = why_not(model)
    if not model.config.reasoning.step_bias:
        assert reason is None
        assert isinstance(pack_model(model), PackedModel)
    else:
        assert reason is not None
        assert reason.startswith("model.reasoning.step_bias is")


def test_weights_can_be_watched(model) -> None:  # type: ignore[no-untyped-def]
    with probe(model, read=["blocks.1.attention.weights"]) as seen:
        logits = alone(model, DOCUMENTS[1])
    torch.testing.assert_close(logits, alone(model, DOCUMENTS[1]), rtol=1e-4, atol=1e-4)
    weights_HTT = seen["blocks.1.attention.weights"][0]
    if model.config.reasoning.mask != "causal":
        assert (weights_HTT[:, -1] == 0).any()
    torch.testing.assert_close(weights_HTT.sum(-1), torch.ones(weights_HTT.shape[:2]))


def test_the_cache_forgets_finished_steps(model) -> None:  # type: ignore[no-untyped-def]
    """Of a long chain it holds no more than the question, the conclusions and a step or two."""
    mask = model.config.reasoning.mask
    prompt = a_prompt(np.random.default_rng(3))
    step = [7, 8, 11, 9, 12, 10, STEP]
    ids = [*prompt, *step * 12]
    engine = Engine(pack_model(model))
    ticket = engine.submit(Request(tuple(ids), SamplingParams(max_new_tokens=2)))
    engine.step()
    (sample,) = engine.scheduler.running
    assert sample.ticket == ticket
    inside = {"causal": 0, "flow": 11 * 5, "inductive": 10 * 5}[mask]
    assert sample.forgotten == inside
    engine.step()  # the last step is over, too
    assert sample.forgotten == (inside + 5 if mask != "causal" else 0)


def test_guesses_are_refused() -> None:
    model = reading_model("flow")
    with pytest.raises(UserError, match="lookup guesses tokens ahead"):
        Engine(model).submit(Request((1, 2), SamplingParams(max_new_tokens=2, lookup=3)))
    with pytest.raises(UserError, match="a draft model guesses tokens ahead"):
        Engine(model, draft=reading_model("restart"))
