"""A mixture of experts: many feed-forward networks, of which each token uses a few.

A model with more weights can know more, but every weight that a token uses costs time. A mixture of
experts has many weights and uses few per token (Shazeer et al. 2017, arXiv 1701.06538): a small
*router* scores all experts for each token, the best few compute, and their outputs are added with
the scores as weights.

Without balancing, routers send everything to a few experts, which then learn more and are chosen
more. The remedy here needs no extra loss (Wang et al. 2024, 2408.15664; DeepSeek-V3, 2412.19437): a
bias per expert, added to the scores for the *choice* only, goes up a little after each training
step for experts that got less than their share, and down for the others.

Each expert here gathers its tokens and multiplies; production systems sort the tokens once, run
all experts in one grouped kernel, and spread the experts over machines.

Shapes: B batch, T tokens, D d_model, N = B·T, X experts, A active experts, F d_hidden.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from glassmind.model.config import ModelConfig
from glassmind.model.eager import never_compiled
from glassmind.model.feed_forward import ACTIVATIONS, FeedForward
from glassmind.model.taps import Tap

BALANCE_RATE = 0.001  # change of the bias per training step (DeepSeek-V3, §4.2)


class Router(nn.Module):
    """Which experts each token goes to, and how much each of them counts.

    ``balance`` (X,) is the bias for the choice; it gets no gradient and is moved by ``rebalance``.
    ``load`` (X,) counts the tokens sent to each expert while training since then.
    """

    load: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config.experts
        n_experts = self.config.n_experts
        self.weight = nn.Parameter(torch.empty(n_experts, config.d_model))
        self.balance = None
        if self.config.balance:
            self.balance = nn.Parameter(torch.zeros(n_experts), requires_grad=False)
        self.register_buffer("load", torch.zeros(n_experts), persistent=False)
        self.scores = Tap()

    def forward(self, x_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (N, A) and indices (N, A) of each token's experts. Tap ``scores`` is (N, X)."""
        config = self.config
        logits_NX = nn.functional.linear(x_ND.float(), self.weight.float())
        if config.score == "softmax":
            scores_NX = self.scores(logits_NX.softmax(dim=-1))
        else:
            scores_NX = self.scores(logits_NX.sigmoid())
        wanted_NX = scores_NX.detach()
        if self.balance is not None:
            wanted_NX = torch.add(wanted_NX, self.balance)
        if config.n_groups > 1:
            wanted_NX = self._best_groups(wanted_NX)
        chosen_NA = wanted_NX.topk(config.n_active, dim=-1).indices
        weights_NA = scores_NX.gather(1, chosen_NA)
        if config.normalise:
            weights_NA = weights_NA / (weights_NA.sum(dim=-1, keepdim=True) + 1e-20)
        if self.training:
            self.load.add_(torch.bincount(chosen_NA.flatten(), minlength=config.n_experts))
        return weights_NA * config.scale, chosen_NA

    def _best_groups(self, wanted_NX: Tensor) -> Tensor:
        """The scores with -inf outside the best groups; a group's score is that of its best two."""
        config = self.config
        wanted_NGx = wanted_NX.view(len(wanted_NX), config.n_groups, -1)
        best_two = wanted_NGx.topk(min(2, wanted_NGx.shape[-1]), dim=-1).values.sum(dim=-1)
        groups = best_two.topk(config.n_active_groups, dim=-1).indices
        kept_NG = torch.zeros_like(best_two, dtype=torch.bool).scatter_(1, groups, True)
        return wanted_NGx.masked_fill(~kept_NG[..., None], -torch.inf).view_as(wanted_NX)

    @torch.no_grad()
    def rebalance(self, rate: float = BALANCE_RATE) -> None:
        """Raise the bias of idle experts and lower that of busy ones; call after each step."""
        if self.balance is not None and self.load.any():
            self.balance.add_((self.load.mean() - self.load).sign(), alpha=rate)
        self.load.zero_()


class Experts(nn.Module):
    """(B, T, D) -> (B, T, D): the weighted outputs of the chosen experts plus the shared ones'.

    The experts' matrices are stacked: ``up`` and ``gate`` (X, F, D), ``down`` (X, D, F).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n, width, d_hidden = config.experts.n_experts, config.d_model, config.experts.d_hidden
        self.router = Router(config)
        self.activation = ACTIVATIONS[config.feed_forward.kind]
        self.up = nn.Parameter(torch.empty(n, d_hidden, width))
        self.gate = nn.Parameter(torch.empty(n, d_hidden, width))
        self.down = nn.Parameter(torch.empty(n, width, d_hidden))
        shared = config.experts.n_shared * d_hidden
        self.shared = FeedForward(config, shared) if shared else None

    def initialise(self) -> None:
        """As linear layers: normal with standard deviation 1/√fan_in."""
        for weight in (self.router.weight, self.up, self.gate, self.down):
            nn.init.normal_(weight, std=1 / math.sqrt(weight.shape[-1]))

    # Not compiled: how many tokens an expert gets changes from batch to batch.
    @never_compiled
    def forward(self, x_BTD: Tensor) -> Tensor:
        x_ND = x_BTD.reshape(-1, x_BTD.shape[-1])
        weights_NA, chosen_NA = self.router(x_ND)
        out_ND = torch.zeros_like(x_ND)
        # Tokens in order of their expert: each expert's share is then one slice.
        order = chosen_NA.flatten().argsort(stable=True)
        counts = torch.bincount(chosen_NA.flatten(), minlength=len(self.up)).tolist()
        weights = weights_NA.flatten()[order].to(x_ND.dtype)
        tokens = order // chosen_NA.shape[1]
        start = 0
        for expert, count in enumerate(counts):
            if count == 0:
                continue
            mine = tokens[start : start + count]
            x = x_ND[mine]
            hidden = self.activation(x @ self.gate[expert].T) * (x @ self.up[expert].T)
            share = (hidden @ self.down[expert].T) * weights[start : start + count, None]
            out_ND = out_ND.index_add(0, mine, share.to(out_ND.dtype))
            start += count
        out_BTD = out_ND.view_as(x_BTD)
        return out_BTD if self.shared is None else out_BTD + self.shared(x_BTD)


def rebalance(model: nn.Module) -> None:
    """Let every router of ``model`` move its bias; call after each training step."""
    for module in model.modules():
        if isinstance(module, Router):
            module.rebalance()
