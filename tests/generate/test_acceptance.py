"""The rule by which guesses stand: against the exact probabilities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from glassmind.generate.request import SamplingParams
from glassmind.generate.sampling.sampler import Sampler
from glassmind.generate.speculative.acceptance import Guesses, draw_or_keep

CPU = torch.device("cpu")
VOCAB, GUESSES, TRIALS = 6, 2, 20_000


def tables(seed: int) -> tuple[Tensor, Tensor]:
    """Logits of a draft and of a model whose next token depends on the last: (V, V) each."""
    generator = torch.Generator().manual_seed(seed)
    model = torch.randn(VOCAB, VOCAB, generator=generator) * 1.5
    return torch.randn(VOCAB, VOCAB, generator=generator) + 0.5 * model, model


def speculate(draft: Tensor, model: Tensor, params: SamplingParams, samples: range) -> Tensor:
    """Three tokens (R, 3) after token 0 for each sample: guessed by the draft, judged by the model.

    Every sample is guessed for until it has three tokens; what stands beyond them is not looked at.
    """
    rows = len(samples)
    sampler = Sampler([params] * rows, samples, CPU)
    tokens = torch.zeros(rows, 5 + GUESSES, dtype=torch.int64)
    steps = torch.zeros(rows, dtype=torch.int64)  # tokens so far, less token 0
    every = torch.arange(rows)
    while int(steps.min()) < 3:
        begin = steps.clamp(max=3)  # who has three goes on writing where nobody looks
        last = tokens[every, begin]
        path = []
        for place in range(GUESSES):
            guess, draft_probs = sampler.guess(draft[last], steps + place)
            path.append((last, guess, draft_probs))
            last = guess
        standing = torch.ones(rows, dtype=torch.bool)
        gained = torch.zeros(rows, dtype=torch.int64)
        for place in range(GUESSES + 1):
            before = path[place][0] if place < GUESSES else last
            guesses = None
            if place < GUESSES and path[place][2] is not None:
                guesses = Guesses(every, path[place][1], path[place][2])
            drawn = sampler.draw(model[before], steps + place, guesses=guesses).tokens_R
            at = begin + 1 + place
            tokens[every, at] = torch.where(standing, drawn, tokens[every, at])
            gained += standing
            if place < GUESSES:
                standing &= drawn == path[place][1]
        steps += gained
    return tokens[:, 1:4]


@pytest.mark.parametrize("top_k", [0, 3])
def test_the_distribution_of_three_tokens_is_the_models(top_k: int) -> None:
    """Chi-square over all triples; those expected under 5 times are counted as one."""
    params = SamplingParams(1, top_k=top_k, temperature=0.8, seed=11)
    draft, logits = tables(1)
    model = Sampler([params] * VOCAB, [0] * VOCAB, CPU).distribution(logits)
    triples = speculate(draft, logits, params, range(TRIALS))
    number = (triples[:, 0] * VOCAB + triples[:, 1]) * VOCAB + triples[:, 2]
    counts = torch.bincount(number, minlength=VOCAB**3).view(VOCAB, VOCAB, VOCAB)
    exact = model[0][:, None, None] * model[:, :, None] * model[None] * TRIALS
    assert counts[exact == 0].sum() == 0
    often = exact >= 5
    observed = [*counts[often].tolist(), float(counts[~often].sum())]
    expected = [*exact[often].tolist(), float(exact[~often].sum())]
    pairs = [(o, e) for o, e in zip(observed, expected, strict=True) if e > 0]
    chi_square = sum((o - e) ** 2 / e for o, e in pairs)
    freedom = len(pairs) - 1
    assert freedom > 10
    assert chi_square < freedom + 3.5 * (2 * freedom) ** 0.5  # beyond the 99.9 % point


def test_a_guess_stands_as_often_as_the_papers_say() -> None:
    """With probability sum min(p, q), and always where draft and model agree."""
    q, p = torch.tensor([0.7, 0.2, 0.1, 0.0]), torch.tensor([0.3, 0.3, 0.1, 0.3])
    n = 20_000
    generator = torch.Generator().manual_seed(0)
    guesses = torch.multinomial(q, n, True, generator=generator)
    chances, darts = torch.rand(2, n, generator=generator)
    tokens = draw_or_keep(guesses, q.expand(n, -1), p.expand(n, -1), chances, darts)
    stood = tokens == guesses
    assert abs(float(stood.float().mean()) - 0.6) < 0.015
    # What is drawn instead: p - q where positive, which is 0.1 for token 1 and 0.3 for token 3.
    after = torch.bincount(tokens[~stood], minlength=4)
    assert after[0] == after[2] == 0
    assert abs(float(after[1] / after.sum()) - 0.25) < 0.02
    agreed = draw_or_keep(guesses, q.expand(n, -1), q.expand(n, -1), chances, darts)
    assert torch.equal(agreed, guesses)


def test_greedy_guesses_need_no_weighing() -> None:
    params = SamplingParams(1, temperature=0, seed=3)
    for seed in range(20):
        draft, model = tables(seed)
        greedy = [0]
        for _ in range(3):
            greedy.append(int(model[greedy[-1]].argmax()))
        assert speculate(draft, model, params, range(2)).tolist() == [greedy[1:]] * 2


def test_the_outcome_is_a_function_of_seed_sample_and_step() -> None:
    draft, model = tables(2)
    params = SamplingParams(1, seed=1)
    together = speculate(draft, model, params, range(40)).tolist()
    assert len({tuple(tokens) for tokens in together}) > 10
    for sample in range(0, 40, 7):
        alone = speculate(draft, model, params, range(sample, sample + 1))
        assert alone.tolist() == [together[sample]]
    other = SamplingParams(1, seed=2)
    assert speculate(draft, model, other, range(40)).tolist() != together


def test_guesses_are_drawn_from_what_the_request_asks_for() -> None:
    """A greedy row among others, a bias, a penalty and top-k, all of the draft's own logits."""
    greedy = SamplingParams(1, temperature=0)
    biased = SamplingParams(1, logit_bias=((2, 100.0),), temperature=0.5)
    filtered = SamplingParams(1, top_k=1, repetition_penalty=50.0)
    sampler = Sampler([greedy, biased, filtered], [0, 0, 0], CPU)
    logits = torch.tensor([[1.0, 3.0, 2.0]]).repeat(3, 1)
    tokens, draft_probs = sampler.guess(logits, torch.tensor([0, 5, 7]), [([1], [0])])
    assert tokens.tolist() == [1, 2, 2]  # 3 and 1, divided by 50, leave token 2 the likeliest
    assert draft_probs is not None
    assert draft_probs.argmax(1).tolist() == [1, 2, 2]
    assert draft_probs.sum(1).tolist() == pytest.approx([1, 1, 1])


def test_nothing_left_to_draw_falls_back_on_the_model() -> None:
    """Probabilities may be off by rounding: a guess then fails though the model lacks nothing."""
    q, p = torch.tensor([[1.0, 0.0]]), torch.tensor([[1e-30, 0.0]])
    kept = draw_or_keep(torch.tensor([0]), q, p, torch.tensor([0.5]), torch.tensor([0.5]))
    assert kept.tolist() == [0]
