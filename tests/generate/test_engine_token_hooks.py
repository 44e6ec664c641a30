"""Stop texts, the calculator and constraints inside the engine, beside rows that have none."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from glassmind.errors import UserError
from glassmind.generate import (
    Engine,
    Generation,
    JSONSchemaConstraint,
    RegexConstraint,
    Request,
    SamplingParams,
    Vocabulary,
)
from glassmind.model import AttentionConfig, ModelConfig, Transformer

END = 256
BYTES = Vocabulary([*(bytes([i]) for i in range(256)), None], [END])
"""Ids 0 to 255 are bytes, 256 is the end."""


@pytest.fixture(scope="module")
def model() -> Transformer:
    torch.manual_seed(1)
    model = Transformer(
        ModelConfig(
            vocab_size=260,  # a little more than there are tokens
            max_tokens=128,
            d_model=32,
            n_layers=2,
            attention=AttentionConfig(n_heads=4, n_kv_heads=2),
        )
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def engine(model: Transformer, **how: int) -> Engine:
    return Engine(model, vocabulary=BYTES, encode=lambda text: list(text.encode()), **how)


def favouring(text: str, strength: float = 100) -> tuple[tuple[int, float], ...]:
    return tuple((byte, strength) for byte in sorted(set(text.encode())))


def tokens(generations: list[Generation]) -> list[tuple[int, ...]]:
    return [generation.token_ids for generation in generations]


PLAIN = Request(tuple(b"once upon"), SamplingParams(30, samples=3, seed=5))


def test_a_stop_text_ends_a_row_and_is_cut_off(model: Transformer) -> None:
    params = SamplingParams(
        100, samples=4, stop_texts=("aba", "bb"), logit_bias=favouring("ab"), seed=2
    )
    crowd = engine(model).generate([Request(tuple(b"x"), params), PLAIN])
    for generation in crowd[0]:
        text = bytes(generation.token_ids).decode()
        assert generation.stopped_by in ("aba", "bb")
        assert generation.text == text.removesuffix(generation.stopped_by)
        assert not re.search("aba|bb", text[:-1])
        assert generation.finish == "stop"
    assert tokens(crowd[1]) == tokens(engine(model).generate([PLAIN])[0])


@pytest.mark.parametrize("chunk_tokens", [1, 100])
def test_the_calculator_forces_what_is_true_and_says_so(
    model: Transformer, chunk_tokens: int
) -> None:
    prompt = tuple(b"a sum: ")
    constrained = RegexConstraint(r"<<[2-9]\d\*[1-9]=", BYTES)
    [[wanted]] = engine(model).generate(
        [Request(prompt, SamplingParams(20, constraint=constrained, seed=3))]
    )
    expression = bytes(wanted.token_ids[:-1]).decode()
    # What the model wrote under a constraint becomes a prompt but for its last byte, which a bias
    # brings back; then arithmetic takes over.
    begun = (*prompt, *expression[:-1].encode())
    params = SamplingParams(40, logit_bias=favouring("="), calculator=True, seed=1)
    hook = engine(model, chunk_tokens=chunk_tokens)
    [[alone]] = hook.generate([Request((*prompt, ord("<")), params)])
    assert not alone.forced  # "=" without an expression forces nothing
    params = SamplingParams(
        12, logit_bias=favouring("<1*2="), calculator=True, seed=1, samples=60, temperature=2.0
    )
    generations = hook.generate([Request(begun, params)])[0]
    forced = [g for g in generations if g.forced]
    assert forced
    for generation in forced:
        text = bytes(generation.token_ids).decode()
        for match in re.finditer(r"<<([12]\*[12])=(\d+)>>", text):
            assert int(match[2]) == int(match[1][0]) * int(match[1][2])
        assert {bytes([t]) for t, f in zip(generation.token_ids, generation.forced, strict=True)
                if f} <= {bytes([b]) for b in b"0123456789>"}  # fmt: skip
        # Forced or drawn, a token's log-probability is the model's own.
        ids = torch.tensor([[*begun, *generation.token_ids]])
        with torch.no_grad():
            logprobs_TV = model(ids)[0, len(begun) - 1 : -1].log_softmax(1)
        expected = logprobs_TV.gather(1, ids[0, len(begun) :, None])[:, 0].tolist()
        assert generation.logprobs == pytest.approx(expected, abs=1e-5)


def test_constrained_rows_give_what_was_asked_and_disturb_nobody(model: Transformer) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "integer"}, "sure": {"type": "boolean"}},
        "required": ["answer", "sure"],
    }
    asked = [
        Request(tuple(b"json: "), SamplingParams(100, samples=3, seed=1, stop=frozenset({END}),
                constraint=JSONSchemaConstraint(schema, BYTES), logit_bias=((END, 5.0),))),
        Request(tuple(b"date: "), SamplingParams(100, samples=3, seed=2, stop=frozenset({END}),
                constraint=RegexConstraint(r"\d{4}-\d\d", BYTES))),
        PLAIN,
    ]  # fmt: skip
    answers = engine(model, max_rows=5, chunk_tokens=4).generate(asked)
    for generation in answers[0]:
        if generation.finish == "stop":
            answer = json.loads(bytes(i for i in generation.token_ids if i != END))
            assert set(answer) == {"answer", "sure"}
            assert isinstance(answer["sure"], bool)
    assert any(generation.finish == "stop" for generation in answers[0])
    for generation in answers[1]:
        text = bytes(i for i in generation.token_ids if i != END).decode()
        assert re.fullmatch(r"\d{4}-\d\d", text)
        assert generation.finish == "stop"
    unconstrained = engine(model).generate([PLAIN])[0]
    assert tokens(answers[2]) == tokens(unconstrained)


def test_forced_tokens_are_marked_and_the_same_in_a_crowd(model: Transformer) -> None:
    vocabulary = Vocabulary(BYTES.token_bytes, [END], encode=lambda text: list(text.encode()))
    schema = {
        "type": "object",
        "properties": {"temperature": {"type": "boolean"}},
        "required": ["temperature"],
        "additionalProperties": False,
    }
    constraint = JSONSchemaConstraint(schema, vocabulary)
    request = Request(
        tuple(b"json: "), SamplingParams(40, samples=3, seed=1, constraint=constraint)
    )
    [alone] = engine(model).generate([request])
    crowd = engine(model, max_rows=3, chunk_tokens=3).generate([PLAIN, request, PLAIN])[1]
    for generation, other in zip(alone, crowd, strict=True):
        assert generation.token_ids == other.token_ids
        assert generation.forced == other.forced
        assert generation.finish == "stop"
        answer = json.loads(bytes(i for i in generation.token_ids if i != END))
        assert isinstance(answer["temperature"], bool)
        tokens_and_forced = zip(generation.token_ids, generation.forced, strict=True)
        forced = bytes(token for token, by_constraint in tokens_and_forced if by_constraint)
        assert b"temperature" in forced
        assert b"true" in forced or b"t" not in forced.removeprefix(b"temperature")


def test_a_constraint_at_a_dead_end_does_not_claim_to_be_complete(model: Transformer) -> None:
    tokens = [None] * 257
    tokens[ord("a")] = b"a"
    constraint = RegexConstraint("a{3}b", Vocabulary(tokens, [END]))
    [[generation]] = engine(model).generate(
        [Request((1,), SamplingParams(20, constraint=constraint))]
    )
    assert bytes(generation.token_ids) == b"aaa" and generation.finish == "length"


def test_what_an_engine_without_a_vocabulary_cannot_do(model: Transformer) -> None:
    for params in (SamplingParams(3, stop_texts=("a",)), SamplingParams(3, calculator=True)):
        with pytest.raises(UserError, match="vocabulary"):
            Engine(model).submit(Request((1,), params))
    both = SamplingParams(3, calculator=True, constraint=RegexConstraint("a", BYTES))
    with pytest.raises(UserError, match="calculator and for constrained"):
        engine(model).submit(Request((1,), both))
    with pytest.raises(UserError, match="logit bias of the prompt has a token id outside"):
        engine(model).submit(Request((1,), SamplingParams(3, logit_bias=((260, 1.0),))))
    small = engine(model, max_cache_bytes=1)
    with pytest.raises(UserError, match="can take 17 tokens, but the cache holds 16"):
        small.submit(Request((1,) * 10, SamplingParams(7)))
    assert not small.busy


def test_no_end_comes_before_so_many_tokens(model: Transformer) -> None:
    ends = frozenset(range(0, 260, 4))
    for temperature in (0.0, 1.0):
        params = SamplingParams(30, temperature=temperature, stop=ends, samples=3, seed=4)
        for least in (1, 7):
            asked = replace(params, min_new_tokens=least)
            for found in Engine(model).generate([Request((1, 2, 3), asked)])[0]:
                assert not ends & set(found.token_ids[:least])
                assert found.finish == "length" or len(found.token_ids) > least
    many = replace(params, samples=20)
    free = Engine(model).generate([Request((1, 2, 3), many)])[0]
    assert any(len(found.token_ids) <= 7 for found in free)
    # Beside a constraint, both are kept.
    asked = replace(params, constraint=RegexConstraint("a{1,20}", BYTES), stop=frozenset({END}))
    asked = replace(asked, min_new_tokens=5)
    for found in engine(model).generate([Request((1, 2, 3), asked)])[0]:
        assert len(found.token_ids) > 5 and set(found.token_ids[:5]) == {ord("a")}
    with pytest.raises(UserError, match="min_new_tokens must be 0 or more"):
        SamplingParams(1, min_new_tokens=-1)
    both = SamplingParams(4, stop=ends, min_new_tokens=2, lookup=3)
    with pytest.raises(UserError, match="leave one of them out"):
        Engine(model).generate([Request((1, 2, 3), both)])
