"""Budget forcing: thinking that is kept from ending, and thinking that is ended."""

from __future__ import annotations

import pytest
import torch

from glassmind.errors import UserError
from glassmind.generate import Engine, RegexConstraint, Request, SamplingParams, Vocabulary
from glassmind.generate.thinking_budget import ThinkingBudget
from glassmind.model import AttentionConfig, ModelConfig, Transformer

STEP, END_THINK, ANSWER, END = 4, 5, 6, 7
MARKS = ThinkingBudget(frozenset({END_THINK, ANSWER}), (END_THINK, ANSWER), STEP)
VOCABULARY = Vocabulary([b"0", b"1", b"2", b"3", None, None, None, None], [END])


@pytest.fixture(scope="module")
def engine() -> Engine:
    torch.manual_seed(0)
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(vocab_size=8, max_tokens=64, d_model=16, n_layers=1, attention=attention)
    return Engine(Transformer(config), vocabulary=VOCABULARY)


def thinking(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens before the first that ends the thinking."""
    ends = [at for at, token in enumerate(tokens) if token in (END_THINK, ANSWER, END)]
    return tokens[: ends[0]] if ends else tokens


def test_thinking_does_not_end_before_its_steps(engine: Engine) -> None:
    stop = frozenset({END})
    for steps in (0, 1, 3):
        budget = ThinkingBudget(MARKS.ends, MARKS.close, STEP, least_steps=steps)
        params = SamplingParams(40, samples=30, seed=steps, stop=stop, thinking=budget)
        for one in engine.generate([Request((0, 1), params)])[0]:
            thought = thinking(one.token_ids)
            assert thought.count(STEP) >= steps or len(thought) == 40
            assert not one.forced


def test_thinking_is_ended_at_its_last_token(engine: Engine) -> None:
    stop = frozenset({END})
    for most in (1, 5):
        budget = ThinkingBudget(MARKS.ends, MARKS.close, STEP, most_tokens=most)
        params = SamplingParams(20, samples=30, seed=most, stop=stop, thinking=budget)
        cut = 0
        for one in engine.generate([Request((0, 1), params)])[0]:
            thought = thinking(one.token_ids)
            assert len(thought) <= most
            if any(one.forced):
                cut += 1
                assert len(thought) == most
                assert one.token_ids[most : most + 2] == MARKS.close
                assert one.forced == tuple(
                    at in (most, most + 1) for at in range(len(one.token_ids))
                )
            for at, forced in enumerate(one.forced):
                assert not forced or one.sampled_logprobs[at] == 0
        assert cut


def test_without_bounds_nothing_changes(engine: Engine) -> None:
    plain = SamplingParams(20, samples=5, seed=3, stop=frozenset({END}))
    bounded = SamplingParams(20, samples=5, seed=3, stop=frozenset({END}), thinking=MARKS)
    first, second = engine.generate([Request((0, 1), plain), Request((0, 1), bounded)])
    assert [one.token_ids for one in first] == [one.token_ids for one in second]


def test_what_makes_no_sense_is_refused(engine: Engine) -> None:
    with pytest.raises(ValueError, match="must begin with a token that ends"):
        ThinkingBudget(frozenset({END_THINK}), (), STEP)
    with pytest.raises(UserError, match="least_steps must be 0 or more, not -1"):
        ThinkingBudget(MARKS.ends, MARKS.close, STEP, least_steps=-1)
    with pytest.raises(UserError, match="most_tokens must be 0 or more, not -1"):
        ThinkingBudget(MARKS.ends, MARKS.close, STEP, most_tokens=-1)
    unknown = ThinkingBudget(frozenset({99}), (99,), STEP)
    with pytest.raises(UserError, match="the thinking of prompt 0 has a token id outside"):
        engine.generate([Request((0,), SamplingParams(3, thinking=unknown))])
    both = SamplingParams(3, thinking=MARKS, constraint=RegexConstraint("1", VOCABULARY))
    with pytest.raises(UserError, match="a budget of thinking and for constrained output"):
        engine.generate([Request((0,), both)])
    with pytest.raises(UserError, match="lookup together with"):
        engine.generate([Request((0,), SamplingParams(3, thinking=MARKS, lookup=2))])
