"""Thinking longer and shorter with a model of our own format."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fixed_model import FixedModel, chain, session

from glassmind.generate import SamplingParams
from glassmind.llm import LocalLLM
from glassmind.model import AttentionConfig, ModelConfig, Transformer
from glassmind.reason import registry
from glassmind.reason.budget_forcing import ANSWER_TOKENS, marks_of, thinking_marks
from glassmind.reason.method import Budget
from glassmind.reason.session import Session
from glassmind.reason.token_budget import spent
from glassmind.records import Problem
from glassmind.tokenize import CharTokenizer
from glassmind.tokenize.special import ANSWER, END, END_THINK, STEP

PROBLEMS = [Problem(str(number), f"{number}+1?", str(number + 1)) for number in range(4)]


@pytest.fixture(scope="module")
def drawn() -> Session:
    torch.manual_seed(2)
    tokenizer = CharTokenizer()
    model = Transformer(
        ModelConfig(
            vocab_size=tokenizer.vocab_size,
            max_tokens=96,
            d_model=16,
            n_layers=1,
            attention=AttentionConfig(n_heads=2),
        )
    )
    llm = LocalLLM(
        name="tiny",
        model=model,
        tokenizer=tokenizer,
        format="question",
        stop_ids=frozenset({tokenizer.special[END]}),
    )
    greedy = SamplingParams(40, temperature=0.0)
    return Session([llm], greedy, replace(greedy, temperature=1.0))


def test_the_end_is_suppressed_once(drawn: Session) -> None:
    plain = drawn.greedy(PROBLEMS)
    special = CharTokenizer().special
    solutions = registry.named("longer-thinking").solve(PROBLEMS, drawn, Budget())
    for before, solution in zip(plain, solutions, strict=True):
        least = len(before.completions[0].steps) + 1
        (after,) = solution.trace.completions
        marked = {special[END_THINK], special[ANSWER], special[END]}
        assert len(after.steps) >= least or not marked & set(after.token_ids)
        assert before.problem_id == solution.problem_id


@pytest.mark.parametrize("tokens", [None, 5, 20])
def test_the_answer_begins_in_time(drawn: Session, tokens: int | None) -> None:
    special = CharTokenizer().special
    solutions = registry.named("capped-thinking").solve(PROBLEMS, drawn, Budget(tokens=tokens))
    most = max(0, (tokens or 40) - ANSWER_TOKENS)
    for solution in solutions:
        (written,) = solution.trace.completions
        if special[ANSWER] in written.token_ids:
            assert written.token_ids.index(special[ANSWER]) <= max(1, most) + 1
        assert tokens is None or spent(solution.cost) <= tokens


def test_only_models_that_mark_their_thinking_can_be_forced() -> None:
    assert thinking_marks(None) is None
    with pytest.raises(ValueError, match="does not mark"):
        marks_of(None)
    special = CharTokenizer().special
    marks = marks_of(CharTokenizer())
    assert (marks.step, marks.close) == (special[STEP], (special[END_THINK], special[ANSWER]))
    assert "thinking" in session(FixedModel({"?": [chain("1")]})).has
    assert "thinking" not in session(FixedModel({"?": [chain("1")]}, "direct")).has
