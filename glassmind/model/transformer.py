"""The transformer: ids in, logits out.

Shapes: B batch, T tokens, S keys, D d_model, V vocabulary.

    x = embed(ids)                           # a vector for each token
    for each block:
        x = x + attention(norm(x))           # gather from the tokens before
        x = x + feed_forward(norm(x))        # transform each token alone
    logits = unembed(norm(x))                # scores of the next token

That is the pre-norm decoder every current model is a variation of; ``ModelConfig`` says which.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from glassmind.model.attention import Attention, AttentionLayer
from glassmind.model.cache import Cache
from glassmind.model.config import ModelConfig
from glassmind.model.experts import Experts
from glassmind.model.feed_forward import FeedForward
from glassmind.model.latent_attention import LatentAttention
from glassmind.model.masks import Mask, causal
from glassmind.model.norms import make_norm
from glassmind.model.positions import AbsolutePositions, RotaryPositions, ScoreBias, score_bias
from glassmind.model.scoring import VisibleKeys
from glassmind.model.step_marks import StepMarks, kind_table, read_marks
from glassmind.model.taps import Tap

Rotation = tuple[Tensor, Tensor]


class BlockInput(NamedTuple):
    """What a block is given in a pass without a cache."""

    x_BTD: Tensor
    rotation: Rotation | None
    mask: Tensor | VisibleKeys | None


class Block(nn.Module):
    """Attention, then feed-forward, each added to the residual stream (B, T, D).

    A branch can have up to three norms, chosen by ``ModelConfig.norm_placement``: on its input, on
    its output, and on the sum.
    """

    def __init__(self, config: ModelConfig, layer: int, bias: ScoreBias | None = None) -> None:
        super().__init__()
        self.plan = config.layer(layer)
        placement = config.norm_placement

        def norm_if(*placements: str) -> nn.Module | None:
            return make_norm(config) if placement in placements else None

        self.residual_in = Tap()
        self.attention_norm = norm_if("before", "around")
        self.attention: AttentionLayer
        if config.attention.latent.kv_rank:
            self.attention = LatentAttention(config, layer, bias)
        else:
            self.attention = Attention(config, layer, bias)
        self.attention_out_norm = norm_if("after", "around")
        self.attention_out = Tap()
        self.attention_sum_norm = norm_if("residual")
        self.residual_mid = Tap()
        self.feed_forward_norm = norm_if("before", "around")
        self.feed_forward: Experts | FeedForward
        self.feed_forward = Experts(config) if self.plan.experts else FeedForward(config)
        self.feed_forward_out_norm = norm_if("after", "around")
        self.feed_forward_out = Tap()
        self.feed_forward_sum_norm = norm_if("residual")
        self.residual_out = Tap()

    def forward(
        self,
        x_BTD: Tensor,
        rotation: Rotation | None,
        mask: Tensor | VisibleKeys | None,
        cache: Cache | None,
    ) -> Tensor:
        x_BTD = self.residual_in(x_BTD)
        read = x_BTD if self.attention_norm is None else self.attention_norm(x_BTD)
        gathered = self.attention(read, rotation, mask, cache)
        if self.attention_out_norm is not None:
            gathered = self.attention_out_norm(gathered)
        x_BTD = x_BTD + self.attention_out(gathered)
        if self.attention_sum_norm is not None:
            x_BTD = self.attention_sum_norm(x_BTD)
        x_BTD = self.residual_mid(x_BTD)
        read = x_BTD if self.feed_forward_norm is None else self.feed_forward_norm(x_BTD)
        thought = self.feed_forward(read)
        if self.feed_forward_out_norm is not None:
            thought = self.feed_forward_out_norm(thought)
        x_BTD = x_BTD + self.feed_forward_out(thought)
        if self.feed_forward_sum_norm is not None:
            x_BTD = self.feed_forward_sum_norm(x_BTD)
        return self.residual_out(x_BTD)

    def head_scores(self, given: BlockInput, head: int) -> Tensor:
        """What one head's softmax is taken of, (B, T, T) with -inf for hidden keys: no kernel keeps
        it, so it is computed again. For ``Attention`` only."""
        assert isinstance(self.attention, Attention)
        attention, mask = self.attention, given.mask
        read = given.x_BTD if self.attention_norm is None else self.attention_norm(given.x_BTD)
        q_BTHE, k_BTKE = attention.queries_and_keys(read, given.rotation)
        kv_head = head // (attention.n_heads // attention.n_kv_heads)
        scores_BTT = q_BTHE[:, :, head] @ k_BTKE[:, :, kv_head].mT * attention.scale
        index = torch.arange(scores_BTT.shape[1], device=scores_BTT.device)
        if mask is None:
            mask = causal.tile(1, index, index).unsqueeze(1)
        elif isinstance(mask, VisibleKeys):
            mask = mask.tile(index, index)
        mask = mask[:, head if mask.shape[1] > 1 else 0]
        if mask.dtype == torch.bool:
            return scores_BTT.float().masked_fill(~mask, float("-inf"))
        return scores_BTT.float() + mask

    def silence(self) -> None:
        """Zero the last matrix of both branches: the block then passes its input on unchanged.

        Only if nothing is normalised after the branch: the norm of zero has almost no gradient, and
        norm(x + 0) is not x.
        """
        if self.attention_norm is None or self.attention_out_norm is not None:
            return
        nn.init.zeros_(self.attention.output.weight)
        if isinstance(self.feed_forward, Experts):
            nn.init.zeros_(self.feed_forward.down)
            if self.feed_forward.shared is not None:
                nn.init.zeros_(self.feed_forward.shared.down.weight)
        else:
            nn.init.zeros_(self.feed_forward.down.weight)


class Transformer(nn.Module):
    """A decoder-only language model described by ``config``.

    Weights are initialised from PyTorch's global generator: linear layers and the embedding
    normal with standard deviation 1/√fan_in (0.02 for a tied embedding), and the last matrix of
    every residual branch zero, so that at first the blocks pass their input on unchanged (Zhang et
    al. 2019, arXiv 1901.09321).
    """

    kinds_V: Tensor | None

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        if config.vocab_size < 1:
            raise ValueError("vocab_size must be set (it comes from the tokenizer)")
        if config.reasoning.reads_steps and not config.reasoning.token_kinds:
            raise ValueError("reasoning.token_kinds must be set (they come from the tokenizer)")
        self.config = config
        # Keep only the input of each block for the backward pass, and run the block again there
        # (Chen et al. 2016, arXiv 1604.06174): a third more work for a fraction of the memory.
        self.recompute = False
        self.embed = nn.Embedding(config.vocab_size, config.d_model)
        self.embedding_norm = make_norm(config) if config.embedding_norm else None
        self.embedding_scale = math.sqrt(config.d_model) if config.scale_embedding else 1.0
        self.absolute_positions = (
            AbsolutePositions(config)
            if config.positions.kind in ("learned", "sinusoidal")
            else None
        )
        self.rotary_positions = RotaryPositions(config) if config.positions.kind == "rope" else None
        self.score_bias = score_bias(config)
        kinds_V = None
        if config.reasoning.reads_steps:
            kinds_V = kind_table(config.reasoning.token_kinds)
        self.register_buffer("kinds_V", kinds_V, persistent=False)
        self.embedding = Tap()
        self.blocks = nn.ModuleList(
            Block(config, layer, self.score_bias) for layer in range(config.n_layers)
        )
        self.final_norm = make_norm(config) if config.final_norm else None
        self.final = Tap()
        self.unembed = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self._initialise()
        self.tie()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=1 / math.sqrt(module.in_features))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, Experts):
                module.initialise()
        for module in self.modules():
            if isinstance(module, Block):
                module.silence()
        nn.init.normal_(self.embed.weight, std=0.02 if self.config.tie_embeddings else 1.0)

    def tie(self) -> None:
        """Make the output layer the embedding itself, if the config says so."""
        if self.config.tie_embeddings:
            self.unembed.weight = self.embed.weight

    def hidden(
        self,
        ids_BT: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | Mask | None = None,
        cache: Cache | None = None,
        previous: Tensor | None = None,
        inputs: dict[int, BlockInput | None] | None = None,
    ) -> Tensor:
        """The final residual stream after its norm, (B, T, D), the input of the heads.

        ``positions`` is (T,) or (B, T) and counts from 0 unless given (a cache knows its own).
        ``mask`` is a predicate, or (T, T) or (B, T, T), boolean (True = may attend) or additive
        floats; ``None`` is causal. Windows and biases of the config come on top of it. With a cache
        the mask must be ``None``: the cache decides what is visible.

        ``previous`` (B, T) is the index of the token that each one follows (``PackedRows``). A
        model that reads steps needs it for packed rows; without a mask, rows are one document each.
        ``inputs`` is filled with what the blocks of the layers that are its keys were given.
        """
        _, tokens = ids_BT.shape
        if positions is None and tokens > self.config.max_tokens:
            raise ValueError(
                f"{tokens} tokens are more than the model's context of {self.config.max_tokens}"
            )
        marks = None
        if self.kinds_V is not None:
            if cache is None:
                marks = self.marks(ids_BT, mask, previous)
                positions = self.places(positions, marks)
            else:
                cache.read(ids_BT, self.kinds_V)
        if positions is None:
            positions = (
                torch.arange(tokens, device=ids_BT.device)
                if cache is None
                else cache.positions(tokens)
            )
        x_BTD: Tensor = self.embed(ids_BT)
        if self.embedding_scale != 1.0:
            x_BTD = x_BTD * self.embedding_scale
        if self.absolute_positions is not None:
            x_BTD = x_BTD + self.absolute_positions(positions)
        if self.embedding_norm is not None:
            x_BTD = self.embedding_norm(x_BTD)
        x_BTD = self.embedding(x_BTD)
        rotations = self.rotations(positions)
        masks: dict[int, Tensor | VisibleKeys | None] = {}
        for layer, block in enumerate(cast("Iterable[Block]", self.blocks)):
            plan = block.plan
            if cache is None and plan.window not in masks:
                scoring = block.attention.scoring
                masks[plan.window] = scoring.lower(mask, positions, len(ids_BT), tokens, marks)
            around = (rotations[plan.rotary], masks.get(plan.window), cache)
            if inputs is not None and layer in inputs:
                inputs[layer] = BlockInput(x_BTD, around[0], around[1])
            if self.recompute and torch.is_grad_enabled():
                x_BTD = checkpoint(block, x_BTD, *around, use_reentrant=False)
            else:
                x_BTD = block(x_BTD, *around)
        if self.final_norm is not None:
            x_BTD = self.final_norm(x_BTD)
        return self.final(x_BTD)

    def places(self, positions: Tensor | None, marks: StepMarks | None) -> Tensor | None:
        """The positions that are rotated by, or added: those given, unless every step restarts."""
        if marks is not None and self.config.reasoning.positions == "restart":
            return marks.position
        return positions

    def marks(
        self, ids_BT: Tensor, mask: Tensor | Mask | None, previous: Tensor | None
    ) -> StepMarks | None:
        """Segments and roles of whole rows; ``None`` for a model that does not read steps."""
        if self.kinds_V is None:
            return None
        if previous is None:
            if mask is not None:
                raise ValueError(
                    "this model reads steps (model.reasoning): rows with a mask need `previous`"
                )
            index = torch.arange(ids_BT.shape[1], device=ids_BT.device)
            previous = (index - 1).clamp(min=0).expand_as(ids_BT)
        return read_marks(ids_BT, self.kinds_V, previous)

    def rotations(self, positions: Tensor) -> dict[str, Rotation | None]:
        """RoPE's cosines and sines for these positions, by kind of layer (``LayerPlan.rotary``)."""
        if self.rotary_positions is None:
            return {"none": None}
        return self.rotary_positions(positions)

    def logits(self, x_BTD: Tensor) -> Tensor:
        """(…, D) hidden states -> (…, V) unnormalised log-probabilities of the next token."""
        logits: Tensor = self.unembed(x_BTD)
        return logits

    def forward(
        self,
        ids_BT: Tensor,
        *,
        positions: Tensor | None = None,
        mask: Tensor | Mask | None = None,
        cache: Cache | None = None,
        previous: Tensor | None = None,
    ) -> Tensor:
        """Logits of the next token at every position, (B, T, V); arguments as in ``hidden``."""
        return self.logits(
            self.hidden(ids_BT, positions=positions, mask=mask, cache=cache, previous=previous)
        )
