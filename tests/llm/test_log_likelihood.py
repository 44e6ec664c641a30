"""Probabilities of given texts, against the plain formula."""

from __future__ import annotations

import pytest
import torch
from tiny_servers import chat_model

from glassmind.errors import UserError
from glassmind.llm import log_likelihood
from glassmind.llm.local import LocalLLM
from glassmind.llm.log_likelihood import likelihoods, rolling_pairs, split_tokens


@pytest.fixture(scope="module")
def llm() -> LocalLLM:
    return chat_model(template=None)


def plain(llm: LocalLLM, before: list[int], after: list[int]) -> tuple[float, bool]:
    """One pass for one pair."""
    with torch.inference_mode():
        logits = llm.model(torch.tensor([[*before, *after]]))[0].log_softmax(-1)
    places = range(len(before) - 1, len(before) + len(after) - 1)
    picked = [float(logits[at, token]) for at, token in zip(places, after, strict=True)]
    greedy = all(int(logits[at].argmax()) == t for at, t in zip(places, after, strict=True))
    return sum(picked), greedy


def test_in_batches_as_one_by_one(llm: LocalLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ["What is 12 times 7? Answer:", "Mia has 3 boxes", "What"]
    pairs = [split_tokens(llm, text, c) for text in texts for c in (" A", " B", " 12 pencils")]
    best = int(llm.model(torch.tensor([pairs[0][0]]))[0, -1].argmax())
    pairs.append((pairs[0][0], [best]))
    seen: list[tuple[int, int]] = []
    found = likelihoods(llm, pairs, lambda done, of: seen.append((done, of)))
    monkeypatch.setattr(log_likelihood, "BATCH_TOKENS", 1)
    monkeypatch.setattr(log_likelihood, "LOGITS_AT_ONCE", 1)
    alone = likelihoods(llm, pairs)
    for (before, after), one, other in zip(pairs, found, alone, strict=True):
        logprob, greedy = plain(llm, before, after)
        assert one.logprob == pytest.approx(logprob, abs=1e-4)
        assert other.logprob == pytest.approx(logprob, abs=1e-4)
        assert one.greedy == other.greedy == greedy and one.tokens == len(after)
    assert found[-1].greedy and seen[-1] == (len(pairs), len(pairs))


def test_the_beginning_of_a_long_text_is_cut_off(llm: LocalLLM) -> None:
    most = llm.context
    before, after = list(range(5, 5 + 200)) * 3, [7, 8, 9]
    (one,) = likelihoods(llm, [(before, after)])
    kept = [*before, *after][-(most + 1) :]
    assert one.logprob == pytest.approx(plain(llm, kept[:-3], after[:2])[0] + last(llm, kept))
    for pair in (([], [1]), ([1], []), ([1], [1] * (most + 1))):
        with pytest.raises(UserError, match="a continuation needs"):
            likelihoods(llm, [pair])


def last(llm: LocalLLM, ids: list[int]) -> float:
    with torch.inference_mode():
        return float(llm.model(torch.tensor([ids[:-1]]))[0, -1].log_softmax(-1)[ids[-1]])


def test_a_space_belongs_to_the_continuation(llm: LocalLLM) -> None:
    assert split_tokens(llm, "times ", "7") == split_tokens(llm, "times", " 7")


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 16, 21])
def test_windows_predict_every_token_once(n: int) -> None:
    pairs = rolling_pairs(list(range(n)), 99, 8)
    assert [token for _, after in pairs for token in after] == list(range(n))
    for number, (before, after) in enumerate(pairs):
        assert before[-1] == (99 if number == 0 else after[0] - 1)
        assert len(before) + len(after) <= 8 + 1
        assert number == 0 or len(before) + len(after) == 8 + 1  # as far back as there is room
