"""Every objective against its equation, written as a loop over single tokens."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from glassmind.data.batches.columns import COMPLETION, LABEL
from glassmind.data.batches.packing import Document, pack, stream
from glassmind.model import (
    AttentionConfig,
    ModelConfig,
    TokenScorer,
    Transformer,
    causal,
    same_document,
)
from glassmind.model.config import ExpertsConfig, FeedForwardConfig
from glassmind.model.experts import Router
from glassmind.runs.recipe import LoraConfig
from glassmind.train import (
    Batch,
    Pretrain,
    SupervisedFineTuning,
    Verify,
    add_lora,
    to_batch,
    validation_loss,
)

VOCAB, END = 29, 6
CPU = torch.device("cpu")


def random_weights(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.3, generator=generator)


def tiny() -> Transformer:
    attention = AttentionConfig(n_heads=2)
    config = ModelConfig(
        vocab_size=VOCAB, max_tokens=64, d_model=16, n_layers=2, attention=attention
    )
    model = Transformer(config)
    random_weights(model)
    return model


def plain_documents() -> list[Document]:
    rng = np.random.default_rng(0)
    made = []
    for length, prompt in ((9, 4), (6, 1), (12, 7), (3, 2), (5, 5)):
        ids = rng.integers(7, VOCAB, length).astype(np.int32)
        made.append(Document(ids, {COMPLETION: np.arange(length) >= prompt}))
    return made


@torch.no_grad()
def losses_alone(model: Transformer, document: Document) -> list[float]:
    """-log p of every token but the first, the document by itself."""
    ids = torch.from_numpy(document.ids).long()
    logp = model(ids[None])[0].log_softmax(-1)
    return [-float(logp[t - 1, ids[t]]) for t in range(1, len(ids))]


def masks_of(documents: list[list[int]]) -> tuple[Tensor | None, Tensor]:
    """The mask of rows with these document numbers: of the batch, and of the predicates."""
    numbers = np.array(documents, np.int16)
    rows = stream(np.zeros(numbers.size, np.int32), numbers.shape[1])
    visible = (causal & same_document(torch.from_numpy(numbers))).dense(*numbers.shape)
    expected = torch.zeros(visible.shape).masked_fill_(~visible, -math.inf)
    return to_batch(replace(rows, documents=numbers), CPU).mask, expected


@pytest.mark.parametrize(
    "documents",
    [
        [[1, 1, 1, 1, 1, 1]],
        [[1, 1, 1, 2, 2, 3], [1, 2, 3, 4, 5, 6], [1, 1, 1, 1, 1, 1]],
        [[1, 1, 2, 0, 0, 0], [1, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 0]],
        [[1, 1, 2, 2, 1, 1], [0, 0, 1, 1, 0, 0]],  # in two pieces: not what packing makes
    ],
    ids=["one", "many", "padding", "in pieces"],
)
def test_the_quick_mask_has_the_bits_of_the_predicates(documents: list[list[int]]) -> None:
    mask, expected = masks_of(documents)
    if mask is None:
        assert torch.equal(expected, torch.full_like(expected, -math.inf).triu_(1))
    else:
        assert torch.equal(mask.view(torch.int32), expected.view(torch.int32))


def test_pretrain_is_the_mean_over_all_tokens_but_the_first() -> None:
    model, made = tiny(), plain_documents()
    batch = to_batch(pack(made, 16, pad_id=0), CPU)
    loss, _ = Pretrain(model).loss(batch)
    expected = [one for document in made for one in losses_alone(model, document)]
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_pretrain_on_a_stream() -> None:
    model = tiny()
    ids = np.random.default_rng(1).integers(7, VOCAB, 48).astype(np.int32)
    loss, _ = Pretrain(model).loss(to_batch(stream(ids, 12), CPU))
    rows = [Document(row) for row in ids.reshape(4, 12)]
    expected = [one for row in rows for one in losses_alone(model, row)]
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_sft_is_the_mean_over_completions() -> None:
    model, made = tiny(), plain_documents()
    batch = to_batch(pack(made, 16, pad_id=0), CPU)
    loss, _ = SupervisedFineTuning(model).loss(batch)
    expected = [
        loss
        for document in made
        for loss, learned in zip(
            losses_alone(model, document), document[COMPLETION][1:], strict=True
        )
        if learned
    ]
    assert loss.item() == pytest.approx(sum(expected) / len(expected), rel=1e-5)


def test_sft_does_not_learn_the_question() -> None:
    """Another prompt token changes what is read; as a *target* it never counts."""
    model = tiny()
    with torch.no_grad():  # every token is read alike, so prompts matter as targets only
        model.embed.weight[:] = model.embed.weight[:1]
    losses = []
    for token in (8, 9):
        ids = np.array([token, token, 10, 11], np.int32)
        learned = np.array([False, False, True, True])
        batch = to_batch(pack([Document(ids, {COMPLETION: learned})], 4, pad_id=0), CPU)
        losses.append(SupervisedFineTuning(model).loss(batch)[0].item())
    assert losses[0] == pytest.approx(losses[1])


# ------------------------------------------------------------------------------- the verifier


def judged_documents() -> list[Document]:
    """Three questions with branches that end right (1) or wrong (0), and labelled steps."""
    rng = np.random.default_rng(3)
    made = []
    for ends in ((1.0, 0.0, 0.0), (1.0, 0.0), (0.0, 0.0)):
        ids = rng.integers(7, VOCAB, 4).tolist()
        branches, labels, imitate = [0] * 4, [math.nan] * 4, [False] * 4
        for number, end in enumerate(ends, 1):
            length = int(rng.integers(3, 6))
            ids += [*rng.integers(7, VOCAB, length - 1).tolist(), END]
            branches += [number] * length
            labels += [math.nan, float(rng.integers(2)), *[math.nan] * (length - 3), end]
            imitate += [end == 1.0] * length
        made.append(
            Document(
                np.array(ids, np.int32),
                {COMPLETION: np.array(imitate), LABEL: np.array(labels, np.float32)},
                np.array(branches, np.int16),
            )
        )
    return made


def make_scorer() -> TokenScorer:
    scorer = TokenScorer(tiny())
    random_weights(scorer)
    return scorer


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


@torch.no_grad()
def read(scorer: TokenScorer, batch: Batch) -> tuple[Tensor, Tensor]:
    scores, logp = scorer(
        batch.ids, positions_BT=batch.positions, previous_BT=batch.previous, mask=batch.mask
    )
    return scores, logp


@pytest.mark.parametrize(("pair_weight", "language_weight"), [(0, 0), (1, 0), (0, 1), (0.7, 0.3)])
def test_verify_is_its_equation(pair_weight: float, language_weight: float) -> None:
    scorer = make_scorer()
    packed = pack(judged_documents(), 60, pad_id=0)
    assert len(packed) == 1  # the documents share a row, and still only siblings are paired
    batch = to_batch(packed, CPU)
    scores, logp = read(scorer, batch)
    judge, speak = [], []
    ends: dict[int, list[tuple[float, float]]] = {}
    for t in range(60):
        score, label = float(scores[0, t]), float(packed[LABEL][0, t])
        if not math.isnan(label):
            judge.append(-label * log_sigmoid(score) - (1 - label) * log_sigmoid(-score))
            if packed.ids[0, t] == END:
                ends.setdefault(int(packed.documents[0, t]), []).append((score, label))
        if packed[COMPLETION][0, t]:
            speak.append(-float(logp[0, t]))
    pairs = [
        right - wrong
        for members in ends.values()
        for right, one in members
        for wrong, other in members
        if one == 1.0 and other == 0.0
    ]
    assert len(pairs) == 3
    rank = [-log_sigmoid(margin) for margin in pairs]
    expected = sum(judge) / len(judge)
    expected += pair_weight * sum(rank) / len(rank)
    expected += language_weight * sum(speak) / len(speak)
    objective = Verify(scorer, END, pair_weight, language_weight)
    loss, figures = objective.loss(batch)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    assert float(figures["judge"]) == pytest.approx(sum(judge) / len(judge), rel=1e-5)
    if pair_weight:
        assert float(figures["rank"]) == pytest.approx(sum(rank) / len(rank), rel=1e-5)
        share = sum(margin > 0 for margin in pairs) / len(pairs)
        assert float(figures["pairs_right"]) == pytest.approx(share)
    if language_weight:
        assert float(figures["speak"]) == pytest.approx(sum(speak) / len(speak), rel=1e-5)


def test_pairs_of_different_rows_are_not_ranked() -> None:
    """Documents of equal number in different rows are different problems."""
    scorer = make_scorer()
    made = judged_documents()
    alone = [to_batch(pack([d], 24, pad_id=0), CPU) for d in made[:2]]
    ranks = []
    for batch in alone:
        _, figures = Verify(scorer, END, 1.0, 0.0).loss(batch)
        ranks.append(float(figures["rank"]))
    both = to_batch(pack(made[:2], 24, pad_id=0), CPU)
    assert len(both.ids) == 2
    _, figures = Verify(scorer, END, 1.0, 0.0).loss(both)
    assert float(figures["rank"]) == pytest.approx((2 * ranks[0] + ranks[1]) / 3, rel=1e-4)


def test_without_a_pair_there_is_no_ranking_but_still_a_gradient() -> None:
    scorer = make_scorer()
    batch = to_batch(pack(judged_documents()[2:], 24, pad_id=0), CPU)
    loss, figures = Verify(scorer, END, 1.0, 0.0).loss(batch)
    assert float(figures["rank"]) == 0.0
    assert loss.item() == pytest.approx(float(figures["judge"]))
    loss.backward()
    assert scorer.score.weight.grad is not None


def test_a_batch_holds_what_was_packed() -> None:
    packed = pack(judged_documents(), 40, pad_id=0)
    batch = to_batch(packed, CPU)
    assert batch.n_tokens == packed.ids.size
    assert torch.equal(batch.ids, torch.from_numpy(packed.ids).long())
    for row in range(len(packed)):
        documents, branches = packed.documents[row], packed.branches[row]
        for q in range(40):
            for kv in range(40):
                visible = (
                    kv <= q
                    and documents[q] == documents[kv]
                    and (branches[kv] == 0 or branches[kv] == branches[q])
                )
                assert batch.mask[row, q, kv] == (0.0 if visible else -math.inf)


@pytest.mark.parametrize("language_weight", [0.0, 0.3])
def test_the_trunk_is_frozen_unless_it_goes_on_speaking(language_weight: float) -> None:
    scorer = make_scorer()
    batch = to_batch(pack(judged_documents(), 40, pad_id=0), CPU)
    loss, _ = Verify(scorer, END, 1.0, language_weight).loss(batch)
    loss.backward()
    learned = {name for name, p in scorer.named_parameters() if p.grad is not None}
    trunk = {name for name, _ in scorer.named_parameters() if name.startswith("trunk.")}
    own = {name for name, _ in scorer.named_parameters()} - trunk
    assert learned == (own | trunk if language_weight else own)


# -------------------------------------------------------------------------------- validation


def test_validation_is_the_mean_over_all_rows_and_changes_nothing() -> None:
    """Without dropout, and without counting its tokens among those that routers balance."""
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=VOCAB,
            max_tokens=64,
            d_model=16,
            n_layers=2,
            attention=AttentionConfig(n_heads=2),
            feed_forward=FeedForwardConfig("swiglu"),
            experts=ExpertsConfig(n_experts=4, n_active=2, d_hidden=8),
        )
    )
    random_weights(model)
    add_lora(model, LoraConfig(rank=2, targets=("query",), dropout=0.5))
    random_weights(model)
    objective = SupervisedFineTuning(model)
    made = plain_documents() * 5
    before = torch.get_rng_state()
    measured = validation_loss(objective, pack(made, 16, pad_id=0), CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert all(module.training for module in model.modules())
    assert not any(m.load.any() for m in model.modules() if isinstance(m, Router))
    model.eval()
    expected = [
        loss
        for document in made
        for loss, learned in zip(losses_alone(model, document), document[COMPLETION][1:],
                                 strict=True)
        if learned
    ]  # fmt: skip
    assert measured == pytest.approx(sum(expected) / len(expected), rel=1e-5)
