"""Heads: other outputs of the same trunk.

A language model turns its final hidden state into the next token. A verifier turns it into one
number per token: how likely is everything so far to be right? (Cobbe et al. 2021, arXiv
2110.14168; Lightman et al. 2023, 2305.20050.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from glassmind.model.norms import make_norm
from glassmind.model.transformer import Block, Transformer


def surprise(
    trunk: Transformer, hidden_BTD: Tensor, ids_BT: Tensor, previous_BT: Tensor
) -> tuple[Tensor, Tensor]:
    """How well the trunk predicted every token: two tensors (B, T).

    They are the log-probability of the token and the entropy (nats) of its predicted distribution.
    ``previous_BT`` is the index in the row of the token before each; a token that is its own
    predecessor (the first of a document) has 0 and 0.
    """
    logp_BTV = trunk.logits(hidden_BTD).float().log_softmax(dim=-1)
    entropy_BT = -(logp_BTV.exp() * logp_BTV).sum(dim=-1)
    batch = torch.arange(len(ids_BT), device=ids_BT.device)[:, None]
    first_BT = previous_BT == torch.arange(ids_BT.shape[1], device=ids_BT.device)
    logp_BT = logp_BTV[batch, previous_BT, ids_BT].masked_fill(first_BT, 0.0)
    return logp_BT, entropy_BT.gather(1, previous_BT).masked_fill(first_BT, 0.0)


class TokenScorer(nn.Module):
    """A verifier: a transformer (the trunk) that reads a chain, and a judge on top of it.

    Why extra layers? What the trunk *expected* at a token is known only at its top layer, at the
    position before, so no layer of the trunk can compare it with the token that then came. The
    judge, one or more blocks above the trunk, gets this as input: the log-probability of each token
    and the entropy of the prediction. It learns which unlikely tokens matter: an unlikely result is
    an error, an unlikely but valid order of steps is not.

    What the judge believes can be weighed against ``features`` numbers about the chain that a
    program computes, such as the number of false equations. ``weighing`` (2, 2 + features) holds
    the coefficients of two logistic regressions, at the ends of steps and of chains: the intercept,
    that of the judge's logit, and those of the features. They are fitted after training and applied
    by ``reason.weighing``; until then they leave the judge's logit as it is.

    ``trunk`` is a whole ``Transformer``; its language-model head makes the predictions. The judge
    starts as the identity and ``score`` at zero, so an untrained scorer gives 0.5 everywhere.
    """

    def __init__(self, trunk: Transformer, judge_layers: int = 1, features: int = 0) -> None:
        super().__init__()
        config = trunk.config
        self.trunk = trunk
        self.judge_layers = judge_layers
        self.features = features
        self.evidence = nn.Linear(2, config.d_model)
        layers = range(config.n_layers, config.n_layers + judge_layers)
        judge = [Block(config, layer, trunk.score_bias) for layer in layers]
        for block in judge:
            block.silence()
        self.judge = nn.ModuleList(judge)
        self.judge_norm = make_norm(config)
        self.score = nn.Linear(config.d_model, 1)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)
        self.weighing: nn.Parameter | None = None
        if features:
            weighing = torch.zeros(2, 2 + features)
            weighing[:, 1] = 1.0
            self.weighing = nn.Parameter(weighing, requires_grad=False)

    def forward(
        self,
        ids_BT: Tensor,
        *,
        positions_BT: Tensor,
        previous_BT: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Score and log-probability of every token, each (B, T).

        The score is a logit: its sigmoid is the probability that all is right up to here.
        ``mask`` is (B, T, T) as in ``Transformer.hidden``.
        """
        hidden_BTD = self.trunk.hidden(
            ids_BT, positions=positions_BT, mask=mask, previous=previous_BT
        )
        marks = self.trunk.marks(ids_BT, mask, previous_BT)
        logp_BT, entropy_BT = surprise(self.trunk, hidden_BTD, ids_BT, previous_BT)
        # The judge must not change the trunk's predictions to suit itself: no gradient.
        evidence_BTF = torch.stack((logp_BT, entropy_BT), dim=-1).detach()
        x_BTD = hidden_BTD + self.evidence(evidence_BTF.to(hidden_BTD.dtype))
        places = self.trunk.places(positions_BT, marks)
        assert places is not None
        rotations = self.trunk.rotations(places)
        size = len(ids_BT), ids_BT.shape[1]
        for block in cast("Iterable[Block]", self.judge):
            scoring = block.attention.scoring
            lowered = scoring.lower(mask, places, *size, marks)
            x_BTD = block(x_BTD, rotations[block.plan.rotary], lowered, None)
        return self.score(self.judge_norm(x_BTD)).squeeze(-1), logp_BT
