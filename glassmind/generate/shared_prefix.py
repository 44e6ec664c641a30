"""A KV cache that stores a prompt once, however many samples continue it.

Eight samples of one prompt have the same keys and values up to the end of the prompt. A plain cache
would hold (and, worse, read at every step) eight copies. Here the cache has two parts: the
*prefix*, one entry per prompt, and the *suffix*, one entry per row for the tokens that row sampled.
A row's query attends to both as one softmax; since

    softmax over both = (sum of exp over prefix · v + sum of exp over suffix · v) / (both sums)

the parts can be computed apart and added. In the prefix part all rows of a prompt stand together as
the rows of one matrix, so reading the prompt's keys once serves them all: a matrix product where
a plain cache does many vector products (Hydragen: Juravsky et al. 2024, arXiv 2402.05099).

All rows advance in step, so the suffix is dense. Systems that let rows join and leave at any time
keep it in pages instead (PagedAttention: Kwon et al. 2023, arXiv 2309.06180).

Where a layer has a window, or the model ALiBi, the scores of both parts get the same handicaps they
would get in one: rows of a prompt are always at the same position, so these depend on the
prompt alone. Latent attention stores one vector that is key and value at once.

Shapes: N prompts, P longest prompt, R rows, S suffix tokens so far, M most rows of one prompt,
K kv heads, G query heads per kv head (H = K·G), E head_dim.
"""

from __future__ import annotations

import torch
from torch import Tensor

from glassmind.model import ModelConfig, Scoring
from glassmind.model.attention import attend

FIRST_CAPACITY = 16  # suffix tokens; doubled whenever they run out

# A score that no other loses to. Not -inf: where a window hides a whole prompt, the softmax over it
# has to stay a number until the suffix, which is always seen, outweighs it to exactly nothing.
HIDDEN = -1e30


class SharedPrefixCache:
    """Implements ``model.Cache``: first prompts are filled in, then rows decode one by one token.

    ``lengths_N`` are the prompts' lengths in tokens (int64, on the device of the model). Call
    ``fill(first, last)`` before each forward over a right-padded slice of prompts, ``fork`` once
    all are in, and after that ``keep`` whenever rows are to be dropped.

    Memory: ``n_layers · cached_heads · sum(cached_widths)`` numbers for each of the ``N · P``
    prompt tokens and the ``R · S`` suffix tokens (capacity up to twice S).
    """

    def __init__(self, config: ModelConfig, lengths_N: Tensor, dtype: torch.dtype) -> None:
        self.n_layers, self.max_tokens = config.n_layers, config.max_tokens
        self.kv_heads, self.widths = config.cached_heads, config.cached_widths
        self.dtype, self.device = dtype, lengths_N.device
        self.lengths_N = lengths_N
        # Zeros, not whatever lies in memory: a hidden key still takes part as 0 * its value, and
        # that is not 0 if the value happens to read as infinity or not-a-number.
        shape = (len(lengths_N), self.kv_heads, int(lengths_N.max()))
        self._prefix = [
            tuple(store.zero_() for store in self._empty(shape)) for _ in range(self.n_layers)
        ]
        self._suffix: list[tuple[Tensor, ...]] = []
        self._filling: slice | None = None
        self._suffix_length = 0

    def _empty(self, shape: tuple[int, ...]) -> tuple[Tensor, ...]:
        """Room for keys and for values, or for keys that are both."""
        return tuple(
            torch.empty((*shape, width), dtype=self.dtype, device=self.device)
            for width in self.widths
        )

    def fill(self, first: int, last: int) -> None:
        """The next forward brings prompts ``first`` to ``last - 1``, right-padded."""
        self._filling = slice(first, last)

    def fork(self, prompt_of_row: Tensor) -> None:
        """Prompts are complete; from now on row r continues prompt ``prompt_of_row[r]``.

        ``prompt_of_row`` is int64 (R,) and names every prompt.
        """
        self._filling = None
        shape = (len(prompt_of_row), self.kv_heads, FIRST_CAPACITY)
        self._suffix = [self._empty(shape) for _ in range(self.n_layers)]
        self._arrange(prompt_of_row)

    def keep(self, rows: Tensor) -> None:
        """Row i becomes what row ``rows[i]`` (int64) was; prompts left without a row are dropped.

        Only rows that change place are copied, so ``fill_holes`` makes the cheapest ``rows``.
        """
        prompt_of_row = self.prompt_of_row[rows]
        unused_N = torch.bincount(prompt_of_row, minlength=len(self.lengths_N)) == 0
        if bool(unused_N.any()):
            prompts = fill_holes(unused_N)
            self.lengths_N = self.lengths_N[prompts]
            longest = int(self.lengths_N.max())
            for stores in self._prefix:
                for store in stores:
                    move(store[:, :, :longest], prompts)
            self._prefix = [
                tuple(store[: len(prompts), :, :longest] for store in stores)
                for stores in self._prefix
            ]
            new_number = torch.empty_like(unused_N, dtype=torch.int64)
            new_number[prompts] = torch.arange(len(prompts), device=self.device)
            prompt_of_row = new_number[prompt_of_row]
        for stores in self._suffix:
            for store in stores:
                move(store[:, :, : self._suffix_length], rows)
        self._suffix = [tuple(store[: len(rows)] for store in stores) for stores in self._suffix]
        self._arrange(prompt_of_row)

    def _arrange(self, prompt_of_row: Tensor) -> None:
        """Give each row a slot in an (N, M) table, the shape in which prefixes are attended."""
        self.prompt_of_row = prompt_of_row
        n_rows, n_prompts = len(prompt_of_row), len(self.lengths_N)
        rows_of_prompt = torch.bincount(prompt_of_row, minlength=n_prompts)
        self._slots = int(rows_of_prompt.max())
        # The rows of each prompt get its slots in order: sorted by prompt, row i of all is row
        # i - (rows of earlier prompts) of its own.
        by_prompt = prompt_of_row.argsort(stable=True)
        earlier = (rows_of_prompt.cumsum(0) - rows_of_prompt)[prompt_of_row[by_prompt]]
        rank = torch.arange(n_rows, device=self.device) - earlier
        slot = prompt_of_row[by_prompt] * self._slots + rank
        self._slot_of_row = torch.empty_like(slot)
        self._slot_of_row[by_prompt] = slot
        # An empty slot repeats row 0: computed in vain, never read.
        self._row_of_slot = slot.new_zeros(n_prompts * self._slots)
        self._row_of_slot[slot] = by_prompt
        straight = torch.arange(n_prompts * self._slots, device=self.device)
        self._dense = torch.equal(self._row_of_slot, straight)
        position = torch.arange(self._prefix[0][0].shape[2], device=self.device)
        beyond_NP = position >= self.lengths_N[:, None]
        self._prefix_bias_NP = torch.zeros(beyond_NP.shape, device=self.device).masked_fill_(
            beyond_NP, HIDDEN
        )
        self._has_padding = bool(beyond_NP.any())
        self._length_of_row = self.lengths_N[prompt_of_row][:, None]

    def positions(self, n_tokens: int) -> Tensor:
        """(T,) while prompts are filled in, (R, 1) after.

        Rows that are finished but not yet dropped may have run past the context: they stay on its
        last position, and nobody reads what they say.
        """
        if self._filling is not None:
            return torch.arange(n_tokens, device=self.device)
        return (self._length_of_row + self._suffix_length).clamp_(max=self.max_tokens - 1)

    def attend(
        self, layer: int, q_BHTE: Tensor, k_BKTE: Tensor, v_BKTE: Tensor | None, scoring: Scoring
    ) -> Tensor:
        """Store the new keys and values, attend over what each query may see: (B, H, T, E)."""
        new = (k_BKTE,) if v_BKTE is None else (k_BKTE, v_BKTE)
        if self._filling is not None:
            return self._attend_filling(layer, q_BHTE, new, scoring)
        n_rows, n_heads, _, head_dim = q_BHTE.shape
        self._append(layer, new)
        q_RKGE = q_BHTE.reshape(n_rows, self.kv_heads, -1, head_dim) * scoring.scale
        prefix = self._attend_prefix(layer, q_RKGE, scoring)
        suffix = self._attend_suffix(layer, q_RKGE, scoring)
        if layer == self.n_layers - 1:
            self._suffix_length += 1
        y_RKGE = merge(prefix, suffix).to(q_BHTE.dtype)
        return y_RKGE.reshape(n_rows, n_heads, 1, -1)

    def _attend_filling(
        self, layer: int, q_BHTE: Tensor, new: tuple[Tensor, ...], scoring: Scoring
    ) -> Tensor:
        """Causal attention within the prompts. Padding stands on the right: no token sees it."""
        batch, _, tokens, _ = q_BHTE.shape
        for store, addition in zip(self._prefix[layer], new, strict=True):
            store[self._filling, :, :tokens] = addition
        mask = scoring.lower(None, self.positions(tokens), batch, tokens)
        return attend(q_BHTE, new[0], new[-1], mask, scoring.scale)

    def _append(self, layer: int, new: tuple[Tensor, ...]) -> None:
        at = self._suffix_length
        old = self._suffix[layer]
        if at == old[0].shape[2]:
            larger = self._empty((len(new[0]), self.kv_heads, 2 * at))
            for source, target in zip(old, larger, strict=True):
                target[:, :, :at] = source
            self._suffix[layer] = larger
        for store, addition_RK1E in zip(self._suffix[layer], new, strict=True):
            store[:, :, at] = addition_RK1E[:, :, 0]

    def _attend_prefix(self, layer: int, q_RKGE: Tensor, scoring: Scoring) -> Part:
        """All rows of a prompt as one matrix against its keys."""
        k_NKPE, v_NKPE = self._prefix[layer][0], self._prefix[layer][-1]
        n_prompts, kv_heads, _, head_dim = k_NKPE.shape
        groups = q_RKGE.shape[2]
        slots_KGE = q_RKGE if self._dense else q_RKGE.index_select(0, self._row_of_slot)
        q_NKQE = (
            slots_KGE.view(n_prompts, self._slots, kv_heads, groups, head_dim)
            .transpose(1, 2)
            .reshape(n_prompts, kv_heads, self._slots * groups, head_dim)
        )
        part = attend_part(q_NKQE, k_NKPE, v_NKPE, self._prefix_bias(scoring, groups))

        def to_rows(x_NKQe: Tensor) -> Tensor:
            x = x_NKQe.view(n_prompts, kv_heads, self._slots, groups, -1).transpose(1, 2)
            x = x.reshape(n_prompts * self._slots, kv_heads, groups, -1)
            return x if self._dense else x.index_select(0, self._slot_of_row)

        peak, total, weighted = part
        return to_rows(peak), to_rows(total), to_rows(weighted)

    def _prefix_bias(self, scoring: Scoring, groups: int) -> Tensor | None:
        """What is added to the prompts' scores: broadcasts to (N, K, slots · G, P)."""
        bias = self._prefix_bias_NP[:, None, None] if self._has_padding else None
        if not scoring.window and scoring.slopes_H is None:
            return bias
        place_P = torch.arange(self._prefix_bias_NP.shape[1], device=self.device)
        bias = self._prefix_bias_NP[:, None, None]
        if scoring.window:
            now_N = self.lengths_N + self._suffix_length
            gone_NP = now_N[:, None] - place_P >= scoring.window
            bias = bias.masked_fill(gone_NP[:, None, None], HIDDEN)
        if scoring.slopes_H is not None:
            # Relative to position 0, which is the same for all keys of a query.
            slopes_KG = scoring.slopes_H.view(self.kv_heads, groups).repeat(1, self._slots)
            bias = bias + slopes_KG[:, :, None] * place_P
        return bias

    def _attend_suffix(self, layer: int, q_RKGE: Tensor, scoring: Scoring) -> Part:
        """Each row against the tokens it sampled itself, the newest included."""
        end = self._suffix_length + 1
        first = max(0, end - scoring.window) if scoring.window else 0
        keys, values = self._suffix[layer][0], self._suffix[layer][-1]
        bias = None
        if scoring.slopes_H is not None:
            # As in the prefix, heads lose per position; a common shift changes no softmax.
            place_RS = self._length_of_row + torch.arange(first, end, device=self.device)
            slopes_KG1 = scoring.slopes_H.view(self.kv_heads, -1, 1)
            bias = slopes_KG1 * place_RS[:, None, None]
        return attend_part(q_RKGE, keys[:, :, first:end], values[:, :, first:end], bias)


def fill_holes(gone: Tensor) -> Tensor:
    """Which old row each remaining row should come from, int64: the last ones move into the holes.

    ``gone`` is bool, one per row. Everything that stays in place need not be copied.
    """
    left = len(gone) - int(gone.sum())
    rows = torch.arange(left, device=gone.device)
    rows[gone[:left]] = left + (~gone[left:]).nonzero()[:, 0]
    return rows


def move(buffer: Tensor, rows: Tensor) -> None:
    """``buffer[: len(rows)] = buffer[rows]`` in place, copying only what changes place."""
    to = (rows != torch.arange(len(rows), device=rows.device)).nonzero()[:, 0]
    buffer[to] = buffer[rows[to]]


# A softmax over some of the keys, not yet divided: the largest score (.., Q, 1), the sum of
# exp(score - largest) (.., Q, 1), and the values weighted by the same (.., Q, E).
Part = tuple[Tensor, Tensor, Tensor]


def attend_part(q_BKQE: Tensor, k_BKSE: Tensor, v_BKSE: Tensor, bias: Tensor | None) -> Part:
    """Attention of scaled queries over one part of the keys; ``bias`` is added to scores."""
    scores_BKQS = torch.matmul(q_BKQE, k_BKSE.transpose(-1, -2)).float()
    if bias is not None:
        scores_BKQS += bias
    peak = scores_BKQS.amax(-1, keepdim=True)
    weights_BKQS = scores_BKQS.sub_(peak).exp_()
    total = weights_BKQS.sum(-1, keepdim=True)
    return peak, total, torch.matmul(weights_BKQS.to(v_BKSE.dtype), v_BKSE)


def merge(one: Part, other: Part) -> Tensor:
    """The softmax over both parts together: both brought to the same peak, added, divided."""
    peak = torch.maximum(one[0], other[0])
    scale_one, scale_other = (one[0] - peak).exp_(), (other[0] - peak).exp_()
    total = one[1] * scale_one + other[1] * scale_other
    return (one[2] * scale_one + other[2] * scale_other) / total
