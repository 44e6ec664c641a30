"""One wave from its prompts to its last token.

    prefill    every prompt once, all its tokens in parallel       -> logits of the first new token
    then       draw a token per row; drop finished rows; forward the new tokens -> next logits

A finished row is not dropped at once: dropping moves other rows into its place and arranges the
wave anew, which pays when several leave together. Until then its output is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from glassmind.errors import UserError
from glassmind.generate.request import Generation, Request
from glassmind.generate.sampler import Sampler
from glassmind.generate.shared_prefix import SharedPrefixCache, fill_holes
from glassmind.generate.waves import Share
from glassmind.model import Transformer

# Prompts are prefilled some at a time: activations that stay in the processor's cache are faster,
# and the memory for them stays small.
PREFILL_TOKENS = 4096

# Share of finished rows at which dropping them pays (benchmarks/generation.py --compaction).
DROP_AT = 0.125


def prefill(
    model: Transformer, cache: SharedPrefixCache, prompts: Sequence[Sequence[int]], pad_id: int
) -> Tensor:
    """Fill ``cache`` with the prompts, ascending in length; logits (N, V) of what comes next."""
    device = cache.device
    hidden: list[Tensor] = []
    first = 0
    while first < len(prompts):
        last = first + 1
        while last < len(prompts) and (last + 1 - first) * len(prompts[last]) <= PREFILL_TOKENS:
            last += 1
        longest = len(prompts[last - 1])
        padded = [
            [*prompt, *(pad_id for _ in range(longest - len(prompt)))]
            for prompt in prompts[first:last]
        ]
        cache.fill(first, last)
        x_BTD = model.hidden(torch.tensor(padded, device=device), cache=cache)
        ends = cache.lengths_N[first:last] - 1
        hidden.append(x_BTD[torch.arange(last - first, device=device), ends])
        first = last
    return model.logits(torch.cat(hidden))


def stop_table(rows: Sequence[Request], vocab_size: int) -> tuple[Tensor, Tensor]:
    """Which tokens end which row: bool (U, V) for the U distinct stop sets, and (R,) into it."""
    sets: dict[frozenset[int], int] = {}
    set_of_row = [sets.setdefault(row.params.stop, len(sets)) for row in rows]
    stops_UV = torch.zeros(len(sets), vocab_size, dtype=torch.bool)
    for stop, index in sets.items():
        stops_UV[index, list(stop)] = True
    return stops_UV, torch.tensor(set_of_row)


def decode_wave(
    model: Transformer,
    requests: Sequence[Request],
    wave: Sequence[Share],
    *,
    pad_id: int,
    device: torch.device,
    drop_at: float = DROP_AT,
    on_finished: Callable[[int], None] | None = None,
) -> list[list[Generation]]:
    """The generations of each share of the wave, in its order.

    ``wave`` is ascending in prompt length (``cut_into_waves`` makes it so). ``on_finished`` is told
    after a step how many rows that step finished, if any. Raises ``UserError`` if the model's
    logits are not numbers.
    """
    config = model.config
    prompts = [requests[share.request].prompt_ids for share in wave]
    rows = [requests[share.request] for share in wave for _ in range(share.count)]
    sample_of_row = [share.first + i for share in wave for i in range(share.count)]
    prompt_of_row = torch.tensor(
        [index for index, share in enumerate(wave) for _ in range(share.count)], device=device
    )
    limits = [min(r.params.max_new_tokens, config.max_tokens - len(r.prompt_ids)) for r in rows]
    sampler = Sampler([row.params for row in rows], sample_of_row, device)
    stops_UV, set_R = (t.to(device) for t in stop_table(rows, config.vocab_size))
    limit_R = torch.tensor(limits, device=device)

    # What is returned, one line per row of the wave; ``line_R`` says whose line a live row writes.
    tokens = torch.empty(len(rows), max(limits), dtype=torch.int64, device=device)
    logprobs = torch.empty(len(rows), max(limits), dtype=torch.float32, device=device)
    lengths = torch.zeros(len(rows), dtype=torch.int64, device=device)
    line_R = torch.arange(len(rows), device=device)
    done_R = torch.zeros(len(rows), dtype=torch.bool, device=device)

    lengths_N = torch.tensor([len(prompt) for prompt in prompts], device=device)
    cache = SharedPrefixCache(config, lengths_N, next(model.parameters()).dtype)
    logits_RV = prefill(model, cache, prompts, pad_id)[prompt_of_row]
    cache.fork(prompt_of_row)
    step = finished = 0
    while True:
        tokens_R, logprobs_R = sampler.draw(logits_RV, step)
        tokens[line_R, step] = tokens_R
        logprobs[line_R, step] = logprobs_R
        lengths.index_add_(0, line_R, (~done_R).long())
        step += 1
        done_R |= stops_UV[set_R, tokens_R] | (limit_R <= step)
        now_finished = int(done_R.sum())
        if on_finished is not None and now_finished > finished:
            on_finished(now_finished - finished)
        finished = now_finished
        if finished == len(done_R):
            break
        if finished and finished >= drop_at * len(done_R):
            live = fill_holes(done_R)
            cache.keep(live)
            sampler.keep(live)
            line_R, tokens_R, set_R = line_R[live], tokens_R[live], set_R[live]
            limit_R, done_R = limit_R[live], done_R[live]
            finished = 0
        logits_RV = model(tokens_R[:, None], cache=cache)[:, 0]
    return _collect(rows, wave, tokens, logprobs, lengths)


def _collect(
    rows: Sequence[Request],
    wave: Sequence[Share],
    tokens: Tensor,
    logprobs: Tensor,
    lengths: Tensor,
) -> list[list[Generation]]:
    """Cut each row's line to its length and deal the rows out to their shares."""
    tokens_RS, logprobs_RS = tokens.cpu().numpy(), logprobs.cpu().numpy()
    generations: list[Generation] = []
    for index, (row, length) in enumerate(zip(rows, lengths.tolist(), strict=True)):
        ids = tuple(tokens_RS[index, :length].tolist())
        scores = tuple(logprobs_RS[index, :length].tolist())
        if any(score != score for score in scores):
            raise UserError(
                "the model's logits are not numbers (NaN): its weights are damaged, or training "
                "diverged; use an earlier checkpoint"
            )
        finish: Literal["stop", "length"] = "stop" if ids[-1] in row.params.stop else "length"
        generations.append(Generation(ids, scores, finish))
    dealt, at = [], 0
    for share in wave:
        dealt.append(generations[at : at + share.count])
        at += share.count
    return dealt
