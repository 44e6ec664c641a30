"""Which samples are worked on next: continuous batching.

Samples start and end at any step (Orca: Yu et al. 2022, OSDI). Before every pass the scheduler
shares out three limited resources:

    rows      how many samples are worked on at once
    blocks    the cache's memory
    tokens    how many one pass may read; a long prompt is read in pieces, so that the others do
              not wait for it (chunked prefill: Sarathi, Agrawal et al. 2023, arXiv 2308.16369)

Running samples come first, oldest first. When memory runs out, the youngest is *preempted*: it
gives its row and blocks back, and later reads its prompt and the tokens it had drawn again. That
costs work but changes no token. The rest of the pass goes to waiting samples, in order of arrival.

When a prompt is sampled several times, the first sample reads it. Then the others (its
``siblings``) *fork* from it: they share its full blocks, and get a copy of the last, partly filled
block, since each will write its own tokens there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import torch

from glassmind.generate.cache.blocks import START, Blocks
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.sample import Sample

Work = list[tuple[Sample, int]]
"""The samples of a pass, and how many tokens of each it reads, guesses included."""


def blocks_for(tokens: int) -> int:
    """How many blocks ``tokens`` tokens need."""
    return -(-tokens // BLOCK)


class Scheduler:
    """Shares out ``n_rows`` rows, the blocks of ``cache``, and ``most_tokens`` tokens a pass.

    Running samples always get one token each, and a draft model's guesses after it, even if that
    exceeds ``most_tokens``. ``preempted`` counts preemptions.
    """

    def __init__(self, cache: PagedCache, blocks: Blocks, n_rows: int, most_tokens: int) -> None:
        self.blocks = blocks
        self.caches = [cache]  # and the draft model's, which has the same table
        self.most_tokens = most_tokens
        self.waiting: deque[Sample] = deque()
        self.running: list[Sample] = []  # in the order in which they were admitted
        self._rows = list(range(n_rows - 1, -1, -1))
        self.preempted = 0

    def plan(self) -> Work:
        """The next pass; every sample in it has the blocks for its tokens."""
        work: Work = []
        left = self.most_tokens
        at = 0
        while at < len(self.running):
            sample = self.running[at]
            known = len(sample.tokens)
            if known - sample.computed == 1 and not sample.guesses_ahead and left > 1:
                # The most common case, kept short: only the last token is to be read.
                if known > len(sample.blocks) * BLOCK and not self._grow(sample, known):
                    break
                work.append((sample, 1))
                left -= 1
                at += 1
                continue
            count = min(sample.due, max(1, left))
            if count == sample.due:
                spare = (len(sample.blocks) + self.blocks.n_free) * BLOCK - len(sample.tokens)
                sample.guess(max(0, min(left - 1, spare)))
                count += sample.n_guesses
            if not self._grow(sample, sample.computed + count):
                break  # it was the youngest, and is preempted itself
            work.append((sample, count))
            left -= count
            at += 1
        while self.waiting and left > 0 and self._rows and self._admit(self.waiting[0]):
            sample = self.waiting.popleft()
            count = min(sample.due, left)
            if count == sample.due:
                sample.guess(0)
                count += sample.n_guesses
            if not self._grow(sample, len(sample.tokens) + sample.n_guesses):
                break
            work.append((sample, count))
            left -= count
        return work

    def _admit(self, sample: Sample) -> bool:
        """Give it a row, and the blocks that already hold the beginning of its tokens."""
        found: list[int] = []
        if sample.unscored >= sample.n_prompt:  # else its whole prompt must be read, to be scored
            found = self.blocks.find(sample.tokens[:-1])
        needed = blocks_for(len(sample.tokens) + sample.drafts) - len(found)
        # Leave a block for each running sample, so that this one does not cause a preemption.
        if self.running and needed > self.blocks.n_free - len(self.running):
            self.blocks.release(found)
            return False
        sample.blocks = found
        sample.computed = sample.drafted = len(found) * BLOCK
        sample.remembered, sample.content = len(found), self.blocks.last_content(found)
        self._place(sample)
        return True

    def _place(self, sample: Sample) -> None:
        sample.row = self._rows.pop()
        self._write_table(sample, 0)
        self.running.append(sample)

    def _write_table(self, sample: Sample, first: int) -> None:
        new = torch.tensor(sample.blocks[first:], dtype=torch.int32)
        self.caches[0].tables_RW[sample.row, first : len(sample.blocks)] = new

    def _grow(self, sample: Sample, tokens: int) -> bool:
        """Take blocks for ``tokens`` tokens, preempting the youngest samples if necessary.

        False if ``sample`` itself was preempted.
        """
        had = len(sample.blocks)
        while len(sample.blocks) < blocks_for(tokens):
            block = self.blocks.take()
            if block is not None:
                sample.blocks.append(block)
                continue
            youngest = self.running[-1]
            self._preempt(youngest)
            if youngest is sample:
                return False
        if len(sample.blocks) > had:
            self._write_table(sample, had)
        return True

    def _preempt(self, sample: Sample) -> None:
        self.remove(sample)
        sample.computed = sample.drafted = sample.remembered = 0
        sample.content = START
        sample.forget_guesses()
        self.waiting.appendleft(sample)
        self.preempted += 1

    def fork(self, sample: Sample) -> list[Sample]:
        """Start its siblings from what ``sample`` has read. Returns those for which there is room;
        the others wait."""
        started: list[Sample] = []
        full, rest = divmod(sample.n_prompt, BLOCK)
        targets: list[int] = []
        while sample.siblings and self._rows and self.blocks.n_free > len(self.running):
            own = self.blocks.take() if rest else None
            if rest and own is None:
                break
            sibling = sample.siblings.pop(0)
            shared = sample.blocks[:full]
            self.blocks.share(shared)
            sibling.blocks = shared if own is None else [*shared, own]
            if own is not None:
                targets.append(own)
            sibling.computed = sample.n_prompt
            sibling.drafted = min(sample.drafted, sample.n_prompt)
            sibling.remembered, sibling.content = sample.remembered, sample.content
            self._place(sibling)
            started.append(sibling)
        if targets:
            for cache in self.caches:
                cache.copy([sample.blocks[full]] * len(targets), targets)
        self.waiting.extendleft(reversed(sample.siblings))  # they find the full blocks again
        sample.siblings = []
        return started

    def remember(self, sample: Sample) -> None:
        """Make the blocks that the last pass filled available to other samples."""
        while (sample.remembered + 1) * BLOCK <= sample.computed:
            at = sample.remembered * BLOCK
            block, tokens = sample.blocks[sample.remembered], sample.tokens[at : at + BLOCK]
            sample.content = self.blocks.remember(sample.content, block, tokens)
            sample.remembered += 1

    def remove(self, sample: Sample) -> None:
        """Take back the row and blocks of a running sample."""
        self.running.remove(sample)
        self.blocks.release(sample.blocks)
        sample.blocks = []
        self._rows.append(sample.row)
        sample.row = -1

    def remove_all(self, samples: Iterable[Sample]) -> None:
        """``remove`` for many at once."""
        gone = set(map(id, samples))
        for sample in [s for s in self.running if id(s) in gone]:
            self.blocks.release(sample.blocks)
            sample.blocks = []
            self._rows.append(sample.row)
            sample.row = -1
        self.running = [s for s in self.running if id(s) not in gone]

    def cancel(self, ticket: int) -> None:
        """Drop every sample of a request, waiting or running."""
        self.waiting = deque(s for s in self.waiting if s.ticket != ticket)
        self.remove_all(s for s in self.running if s.ticket == ticket)
