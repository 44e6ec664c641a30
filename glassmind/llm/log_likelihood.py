"""How probable a model finds given texts: nothing is sampled.

Multiple choice and perplexity are measured so. The tokens are divided as in lm-eval (Gao et al.,
github.com/EleutherAI/lm-evaluation-harness), so that the numbers are the same: text and
continuation are encoded together, the continuation is what comes after the tokens of the text
alone, and of a text that is too long the beginning is cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from glassmind.errors import UserError
from glassmind.llm.local import LocalLLM
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

BATCH_TOKENS = 4096  # of one pass, padding included
LOGITS_AT_ONCE = 512  # rows of logits, which are as wide as the vocabulary

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Likelihood:
    """The natural log of the probability of ``tokens`` tokens together, and whether each of them
    was the likeliest."""

    logprob: float
    tokens: int
    greedy: bool


def split_tokens(llm: LocalLLM, text: str, continuation: str) -> tuple[list[int], list[int]]:
    """The ids of ``text`` and of its ``continuation``.

    A model of a run reads ``text`` as a question, and the continuation, without spaces around it,
    as its direct answer.
    """
    if llm.format == "question":
        return llm.prompt(text, "direct"), llm.tokenizer.encode(continuation.strip())
    stripped = text.rstrip()
    continuation = text[len(stripped) :] + continuation
    before = llm.text_prompt(stripped)
    whole = llm.text_prompt(stripped + continuation)
    return before, whole[len(before) :]


def likelihoods(
    llm: LocalLLM,
    pairs: Sequence[tuple[Sequence[int], Sequence[int]]],
    progress: Progress | None = None,
) -> list[Likelihood]:
    """The likelihood of the second ids of each pair, given the first.

    Sequences that differ only in their last token, such as the letters of multiple choice, are
    read once. ``progress(done, total)`` counts pairs.

    Raises:
        UserError: a continuation has no tokens or more than the context, or nothing is before it.
    """
    most = llm.context
    groups: dict[tuple[int, ...], list[int]] = {}
    for number, (before, after) in enumerate(pairs):
        if not before or not 0 < len(after) <= most:
            raise UserError(
                f"a continuation needs 1 to {most} tokens and a text before it; one has "
                f"{len(after)} tokens after {len(before)}"
            )
        groups.setdefault(tuple([*before, *after][-(most + 1) :][:-1]), []).append(number)
    found: list[Likelihood | None] = [None] * len(pairs)
    done = 0
    for batch in _batches(sorted(groups, key=len, reverse=True)):
        targets = [[pairs[number][1] for number in groups[read]] for read in batch]
        for read, scored in zip(batch, _score(llm, batch, targets), strict=True):
            for number, likelihood in zip(groups[read], scored, strict=True):
                found[number] = likelihood
            done += len(scored)
        if progress is not None:
            progress(done, len(pairs))
    return [one for one in found if one is not None]


def _batches(rows: Sequence[tuple[int, ...]]) -> Iterator[list[tuple[int, ...]]]:
    """Rows of falling length in batches of ``BATCH_TOKENS``."""
    batch: list[tuple[int, ...]] = []
    for row in rows:
        if batch and (len(batch) + 1) * len(batch[0]) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


@torch.inference_mode()
def _score(
    llm: LocalLLM, rows: Sequence[tuple[int, ...]], targets: Sequence[Sequence[Sequence[int]]]
) -> list[list[Likelihood]]:
    """For each row, the likelihoods of the continuations that end one token behind it."""
    model = llm.model
    device = next(model.parameters()).device
    # Padding stands at the right, where causal attention does not see it.
    ids_BT = torch.zeros(len(rows), len(rows[0]), dtype=torch.long)
    for number, row in enumerate(rows):
        ids_BT[number, : len(row)] = torch.tensor(row)
    hidden_BTD = model.hidden(ids_BT.to(device))
    scored: list[list[Likelihood]] = []
    for number, (row, continuations) in enumerate(zip(rows, targets, strict=True)):
        n = len(continuations[0])
        logprobs: list[torch.Tensor] = [torch.zeros(0) for _ in continuations]
        greedy = [True] * len(continuations)
        for start in range(0, n, LOGITS_AT_ONCE):
            stop = min(n, start + LOGITS_AT_ONCE)
            first = len(row) - n
            logits_NV = model.logits(hidden_BTD[number, first + start : first + stop]).float()
            logprobs_NV = logits_NV.log_softmax(-1)
            best = logprobs_NV.argmax(-1)
            for place, continuation in enumerate(continuations):
                target = torch.tensor(continuation[start:stop], device=device)
                picked = logprobs_NV.gather(1, target[:, None])[:, 0].double().cpu()
                logprobs[place] = torch.cat([logprobs[place].double(), picked])
                greedy[place] = greedy[place] and bool((best == target).all())
        scored.append(
            [Likelihood(float(p.sum()), n, g) for p, g in zip(logprobs, greedy, strict=True)]
        )
    return scored


def first_token(llm: LocalLLM) -> int:
    """The token that stands before a text whose first token is to be predicted, too: the one that
    begins a text, or if there is none, the one that ends one.

    Raises:
        UserError: the tokenizer has neither.
    """
    named = None
    if isinstance(llm.tokenizer, ComposedTokenizer) and llm.tokenizer.facts.bos_token:
        named = llm.tokenizer.id_of(llm.tokenizer.facts.bos_token)
    for token in (llm.bos_id, named, llm.eos_id):
        if token is not None:
            return token
    raise UserError(f"{llm.name} has no token with which a text begins or ends")


def rolling_pairs(
    tokens: Sequence[int], begins_with: int, most: int
) -> list[tuple[list[int], list[int]]]:
    """A document as (context, continuation) pairs that predict every token once.

    The first window follows the token ``begins_with``. Windows have ``most`` tokens; the context of
    the last one reaches back so far that it is full, too.
    """
    pairs = []
    first = min(most, len(tokens))
    if first:
        pairs.append(([begins_with], list(tokens[:first])))
    predicted = first
    while predicted < len(tokens):
        end = min(len(tokens), predicted + most)
        context = tokens[max(0, end - most - 1) : predicted]
        pairs.append((list(context), list(tokens[predicted:end])))
        predicted = end
    return pairs
