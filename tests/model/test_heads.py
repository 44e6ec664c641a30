"""The verifier's head: surprise as a plain formula, and branches as if each stood alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.data.batches.packing import Document, pack
from glassmind.model import AttentionConfig, ModelConfig, PositionConfig, TokenScorer, Transformer
from glassmind.model.heads import surprise
from glassmind.train import Batch, to_batch

VOCAB = 31


def random_scorer(judge_layers: int = 1, kind: Any = "rope") -> TokenScorer:
    config = ModelConfig(
        vocab_size=VOCAB,
        max_tokens=64,
        d_model=16,
        n_layers=2,
        attention=AttentionConfig(n_heads=2),
        positions=PositionConfig(kind),
    )
    scorer = TokenScorer(Transformer(config), judge_layers)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter.normal_(std=0.4, generator=generator)
    return scorer.eval()


def read(scorer: TokenScorer, batch: Batch) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        scores, logp = scorer(
            batch.ids, positions_BT=batch.positions, previous_BT=batch.previous, mask=batch.mask
        )
    return scores, logp


def branching(prompt: list[int], chains: list[list[int]]) -> Document:
    ids = prompt + [token for chain in chains for token in chain]
    branches = [0] * len(prompt) + [n for n, chain in enumerate(chains, 1) for _ in chain]
    return Document(np.array(ids, np.int32), branches=np.array(branches, np.int16))


def batch_of(documents: list[Document], row_tokens: int) -> Batch:
    return to_batch(pack(documents, row_tokens, pad_id=0), torch.device("cpu"))


@torch.no_grad()
def test_surprise_is_log_softmax_of_the_token_before() -> None:
    trunk = random_scorer().trunk
    ids = torch.randint(VOCAB, (2, 10), generator=torch.Generator().manual_seed(1))
    previous = torch.tensor([[0, 0, 1, 2, 3, 4, 5, 6, 7, 8]]).expand(2, 10)
    hidden = trunk.hidden(ids)
    logp, entropy = surprise(trunk, hidden, ids, previous)
    expected = trunk(ids).log_softmax(-1)
    for b in range(2):
        assert logp[b, 0] == 0
        assert entropy[b, 0] == 0
        for t in range(1, 10):
            before = expected[b, t - 1]
            assert logp[b, t] == pytest.approx(float(before[ids[b, t]]), abs=1e-5)
            plain = -sum(float(p.exp() * p) for p in before)
            assert entropy[b, t] == pytest.approx(plain, abs=1e-4)


@pytest.mark.parametrize("judge_layers", [0, 1, 2])
@pytest.mark.parametrize("kind", ["rope", "learned"])
def test_branches_are_scored_as_if_alone(judge_layers: int, kind: Any) -> None:
    scorer = random_scorer(judge_layers, kind)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(7, VOCAB, n).tolist() for n in (5, 3)]
    chains = [[rng.integers(7, VOCAB, n).tolist() for n in ns] for ns in ((4, 7, 1), (6, 2))]
    documents = [branching(p, c) for p, c in zip(prompts, chains, strict=True)]
    batch = batch_of(documents, 40)
    assert len(batch.ids) == 1  # both documents share the row
    scores, logp = read(scorer, batch)
    start = 0
    for document in np.argsort([-len(d) for d in documents], kind="stable"):
        prompt = prompts[document]
        at = start + len(prompt)
        for chain in chains[document]:
            alone = batch_of([branching(prompt, [chain])], len(prompt) + len(chain))
            one, one_logp = read(scorer, alone)
            here = slice(at, at + len(chain))
            torch.testing.assert_close(scores[0, here], one[0, len(prompt) :], atol=1e-5, rtol=0)
            torch.testing.assert_close(logp[0, here], one_logp[0, len(prompt) :], atol=1e-5, rtol=0)
            torch.testing.assert_close(
                scores[0, start : start + len(prompt)], one[0, : len(prompt)], atol=1e-5, rtol=0
            )
            at += len(chain)
        start = at


def test_an_unbranched_document_reads_as_the_plain_model() -> None:
    """Log-probabilities of a packed row are those of the trunk's own forward."""
    scorer = random_scorer()
    ids = np.random.default_rng(2).integers(7, VOCAB, 12).astype(np.int32)
    batch = batch_of([Document(ids)], 16)
    _, logp = read(scorer, batch)
    with torch.no_grad():
        expected = scorer.trunk(torch.from_numpy(ids).long()[None]).log_softmax(-1)[0]
    for t in range(1, 12):
        assert logp[0, t] == pytest.approx(float(expected[t - 1, ids[t]]), abs=1e-5)


def test_an_untrained_scorer_says_one_half_everywhere() -> None:
    config = ModelConfig(vocab_size=VOCAB, d_model=16, n_layers=1, max_tokens=32)
    scorer = TokenScorer(Transformer(config)).eval()
    scores, _ = read(scorer, batch_of([branching([7, 8], [[9, 10], [11]])], 8))
    assert torch.equal(scores.sigmoid(), torch.full((1, 8), 0.5))


def test_judging_does_not_bend_the_evidence() -> None:
    """The score reaches the trunk through its hidden states alone, never through the surprise.

    An output layer of its own has no other way to the score than through the surprise.
    """
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(
        vocab_size=VOCAB, d_model=16, n_layers=1, tie_embeddings=False, attention=attention
    )
    scorer = TokenScorer(Transformer(config))
    with torch.no_grad():
        for parameter in scorer.parameters():
            parameter.normal_(std=0.4, generator=torch.Generator().manual_seed(0))
    batch = batch_of([branching([7, 8, 9], [[10, 11], [12]])], 8)
    scores, logp = scorer(
        batch.ids, positions_BT=batch.positions, previous_BT=batch.previous, mask=batch.mask
    )
    scores.sum().backward(retain_graph=True)
    gradients = {name: p.grad for name, p in scorer.named_parameters()}
    assert gradients["trunk.unembed.weight"] is None
    assert gradients["evidence.weight"] is not None
    assert gradients["trunk.blocks.0.attention.query.weight"] is not None
    logp.sum().backward()  # the language-model loss does learn there
    assert scorer.trunk.unembed.weight.grad is not None
