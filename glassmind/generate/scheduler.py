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

Where the samples are for several owners (a server's clients and their requests), each pass is
shared among them (``fair_shares``): who is below its share of the rows or of the memory gets room,
if necessary by preempting a sample of who is above it, and samples beyond their owner's share of
the tokens keep their place and wait for a later pass. That, too, changes no token.

When a prompt is sampled several times, the first sample reads it. Then the others (its
``siblings``) *fork* from it: they share its full blocks, and get a copy of the last, partly filled
block, since each will write its own tokens there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch

from glassmind.generate.cache.blocks import START, Blocks
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.fair_shares import Owner, PassCost, shares
from glassmind.generate.sample import Sample

Work = list[tuple[Sample, int]]
"""The samples of a pass, and how many tokens of each it reads, guesses included."""


@dataclass(slots=True)
class _Held:
    """The running samples of one party, oldest first, and how many blocks they hold."""

    samples: list[Sample] = field(default_factory=list)
    blocks: int = 0


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
        self.waiting: dict[Owner, deque[Sample]] = {}  # no queue is empty
        self.running: list[Sample] = []  # in the order in which they were admitted
        self.owners: Counter[Owner] = Counter()  # how many unfinished samples each has
        self.cost = PassCost(most_tokens)
        self._n_rows = n_rows
        self._rows = list(range(n_rows - 1, -1, -1))
        self.preempted = 0

    def add(self, sample: Sample) -> None:
        """Queue a sample and its siblings."""
        self.owners[sample.owner] += 1 + len(sample.siblings)
        self.waiting.setdefault(sample.owner, deque()).append(sample)

    @property
    def n_waiting(self) -> int:
        """How many samples have no row."""
        return self.owners.total() - len(self.running)

    def plan(self) -> Work:
        """The next pass; every sample in it has the blocks for its tokens."""
        work: Work = []
        left = self.most_tokens
        quotas: dict[Owner, int] | None = None
        if len(self.owners) > 1:
            self._make_room()
            quotas = shares(self._demands(), self.cost.free)
        left = self._continue(left, quotas, work)
        if quotas is None:
            for queue in tuple(self.waiting.values()):  # one at most
                while queue and left > 0 and self._rows and self._admit(queue[0]):
                    left -= self._begin(self._next(queue[0].owner), left, work)
        else:
            self._begin_fairly(left, quotas, work)
            if not work:  # everybody's share went to samples for which there is no room
                self._continue(left, None, work)
        return work

    def _continue(self, left: int, quotas: dict[Owner, int] | None, work: Work) -> int:
        """Put running samples into the pass; how many of ``left`` tokens remain."""
        at = 0
        while at < len(self.running):
            sample = self.running[at]
            allowed = left if quotas is None else min(left, quotas[sample.owner])
            if quotas is not None and quotas[sample.owner] < 1:
                at += 1
                continue
            known = len(sample.tokens)
            if known - sample.computed == 1 and not sample.guesses_ahead and allowed > 1:
                # The most common case, kept short: only the last token is to be read.
                stored = known - sample.forgotten
                if stored > len(sample.blocks) * BLOCK and not self._grow(sample, stored, at):
                    continue
                count = 1
            else:
                count = min(sample.due, max(1, allowed))
                if count == sample.due:
                    spare = (len(sample.blocks) + self.blocks.n_free) * BLOCK - len(sample.tokens)
                    sample.guess(max(0, min(allowed - 1, spare)))
                    count += sample.n_guesses
                if not self._grow(sample, sample.computed - sample.forgotten + count, at):
                    continue  # it was preempted itself
            work.append((sample, count))
            left -= count
            if quotas is not None:
                quotas[sample.owner] -= count
            at += 1
        return left

    def _begin(self, sample: Sample, most: int, work: Work) -> int:
        """Put an admitted sample into the pass with at most ``most`` tokens; how many it reads."""
        count = min(sample.due, most)
        if count == sample.due:
            sample.guess(0)
            count += sample.n_guesses
        if not self._grow(sample, len(sample.tokens) + sample.n_guesses, len(self.running) - 1):
            return most
        work.append((sample, count))
        return count

    def _next(self, owner: Owner) -> Sample:
        """Take the first waiting sample of ``owner`` out of its queue."""
        queue = self.waiting[owner]
        sample = queue.popleft()
        if not queue:
            del self.waiting[owner]
        return sample

    def _begin_fairly(self, left: int, quotas: dict[Owner, int], work: Work) -> None:
        """Waiting samples, each time one of the owner that has the fewest running."""
        running = Counter(sample.owner for sample in self.running)
        owners = set(self.waiting)
        while owners and left > 0 and self._rows:
            owner = min(owners, key=lambda one: (running[one], one))
            most = min(left, quotas[owner])
            if most < 1 or not self._admit(self.waiting[owner][0]):
                owners.remove(owner)
                continue
            running[owner] += 1
            count = self._begin(self._next(owner), most, work)
            left -= count
            quotas[owner] -= count
            if owner not in self.waiting:
                owners.remove(owner)

    # ------------------------------------------------------------------ several owners

    def _demands(self) -> dict[Owner, int]:
        """How many tokens each owner's samples could read in the next pass, about."""
        demands: dict[Owner, int] = {}
        for sample in self.running:
            due = len(sample.tokens) - sample.computed
            demands[sample.owner] = demands.get(sample.owner, 0) + max(1, due)
        for owner, queue in self.waiting.items():
            demands[owner] = demands.get(owner, 0) + len(queue) * max(1, queue[0].due)
        return demands

    def _make_room(self) -> None:
        """For the first waiting sample of everyone who is below its share, if somebody is above."""
        if not self.waiting:
            return
        several = len({client for client, _ in self.owners}) > 1
        holds: dict[str | Owner, _Held] = {
            (owner[0] if several else owner): _Held() for owner in self.owners
        }
        for sample in self.running:
            held = holds[sample.owner[0] if several else sample.owner]
            held.samples.append(sample)
            held.blocks += len(sample.blocks)
        rows, blocks = max(1, self._n_rows // len(holds)), self.blocks.n_blocks // len(holds)
        for queue in tuple(self.waiting.values()):
            sample = queue[0]
            own = holds[sample.owner[0] if several else sample.owner]
            needed = blocks_for(len(sample.tokens) + sample.drafts)
            if len(own.samples) >= rows or own.blocks + needed > blocks:
                continue
            while self.running and not (
                self._rows and needed <= self.blocks.n_free - len(self.running)
            ):
                most = max(holds.values(), key=lambda held: (len(held.samples), held.blocks))
                if most is own or (len(most.samples) <= rows and most.blocks <= blocks):
                    break
                victim = most.samples.pop()
                most.blocks -= len(victim.blocks)
                self._preempt(victim)

    def _victim(self, at: int) -> Sample:
        """The youngest sample, or of several owners' that are not in the pass yet (from ``at`` on)
        the youngest of the one who has most of them."""
        if len(self.owners) <= 1:
            return self.running[-1]
        later = self.running[at:]
        counts = Counter(sample.owner for sample in later)
        return max(enumerate(later), key=lambda one: (counts[one[1].owner], one[0]))[1]

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

    def _grow(self, sample: Sample, tokens: int, at: int) -> bool:
        """Take blocks for ``tokens`` tokens, preempting the youngest samples if necessary, but none
        before the one ``at`` that place.

        False if ``sample`` itself was preempted.
        """
        had = len(sample.blocks)
        while len(sample.blocks) < blocks_for(tokens):
            block = self.blocks.take()
            if block is not None:
                sample.blocks.append(block)
                continue
            victim = self._victim(at)
            self._preempt(victim)
            if victim is sample:
                return False
        if len(sample.blocks) > had:
            self._write_table(sample, had)
        return True

    def _preempt(self, sample: Sample) -> None:
        self.remove(sample)
        sample.computed = sample.drafted = sample.remembered = sample.forgotten = 0
        sample.content = START
        sample.forget_guesses()
        self.waiting.setdefault(sample.owner, deque()).appendleft(sample)
        self.preempted += 1

    def fork(self, sample: Sample) -> list[Sample]:
        """Start its siblings from what ``sample`` has read. Returns those for which there is room;
        the others wait."""
        started: list[Sample] = []
        full, rest = divmod(sample.n_prompt, BLOCK)
        targets: list[int] = []
        shared_whole = sample.shareable >= sample.n_prompt
        while (
            shared_whole
            and sample.siblings
            and self._rows
            and self.blocks.n_free > len(self.running)
        ):
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
        if sample.siblings:  # they find the full blocks again
            queue = self.waiting.setdefault(sample.owner, deque())
            queue.extendleft(reversed(sample.siblings))
        sample.siblings = []
        return started

    def remember(self, sample: Sample) -> None:
        """Make the blocks that the last pass filled available to other samples."""
        while (sample.remembered + 1) * BLOCK <= min(sample.computed, sample.shareable):
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
            self._leave(sample.owner, 1)
        self.running = [s for s in self.running if id(s) not in gone]

    def _leave(self, owner: Owner, count: int) -> None:
        self.owners[owner] -= count
        if not self.owners[owner]:
            del self.owners[owner]

    def cancel(self, ticket: int) -> None:
        """Drop every sample of a request, waiting or running."""
        for owner, queue in tuple(self.waiting.items()):
            gone = [sample for sample in queue if sample.ticket == ticket]
            if gone:
                self._leave(owner, sum(1 + len(sample.siblings) for sample in gone))
                left = deque(sample for sample in queue if sample.ticket != ticket)
                if left:
                    self.waiting[owner] = left
                else:
                    del self.waiting[owner]
        for sample in self.running:
            if sample.ticket == ticket and sample.siblings:
                self._leave(sample.owner, len(sample.siblings))
        self.remove_all(s for s in self.running if s.ticket == ticket)
