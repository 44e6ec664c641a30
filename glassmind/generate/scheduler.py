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
the pass keep their place and wait for a later one. That, too, changes no token. Now and then, two
passes are dealt out without what is free, to see what a small pass costs. And whoever has just left
often comes back with the next request, which then has to wait for the pass that is under way: so
for a while, passes of the one who is left stay short.

When a prompt is sampled several times, the first sample reads it. Then the others (its
``siblings``) *fork* from it: they share its full blocks, and get a copy of the last, partly filled
block, since each will write its own tokens there.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from glassmind.generate.cache.blocks import START, Blocks
from glassmind.generate.cache.layout import BLOCK
from glassmind.generate.cache.paged_cache import PagedCache
from glassmind.generate.fair_shares import Owner, PassCost, shares
from glassmind.generate.sample import Sample

Quotas = dict[Owner, float]
"""What is left of each owner's share of a pass, in draws (``fair_shares``)."""

Work = list[tuple[Sample, int]]
"""The samples of a pass, and how many tokens of each it reads, guesses included."""


@dataclass(slots=True)
class _Held:
    """The running samples of one party, oldest first, and how many blocks they hold."""

    n_samples: int = 0
    samples: list[Sample] = field(default_factory=list)
    blocks: int = 0


# While several share: of so many passes, two are dealt out without what is free.
PROBE_EVERY = 16
# Afterwards, so many passes of the last owner draw at most so many times what is free.
LINGER, LONGEST_LINGERING = 64, 4


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
        self._running_of: dict[Owner, list[Sample]] = {}  # the same by owner, no list empty
        self.owners: Counter[Owner] = Counter()  # how many unfinished samples each has
        self.cost = PassCost(most_tokens)
        self._n_rows = n_rows
        self._rows = list(range(n_rows - 1, -1, -1))
        self.preempted = 0
        self._shared_passes = 0  # passes in which several owners had samples
        self._lingering = 0  # passes to come that are kept short

    def add(self, sample: Sample) -> None:
        """Queue a sample and its siblings."""
        self.owners[sample.owner] += 1 + len(sample.siblings)
        self.waiting.setdefault(sample.owner, deque()).append(sample)

    @property
    def n_waiting(self) -> int:
        """How many samples have no row."""
        return self.owners.total() - len(self.running)

    @property
    def shared(self) -> bool:
        """Whether several owners have samples, or had until a short while ago."""
        return len(self.owners) > 1 or self._lingering > 0

    def plan(self) -> Work:
        """The next pass; every sample in it has the blocks for its tokens."""
        work: Work = []
        left = self.most_tokens
        quotas: Quotas | None = None
        if len(self.owners) > 1:
            self._make_room()
            quotas = dict(shares(self._demands(), self._free()))
        elif self._lingering:
            self._lingering -= 1
            most = LONGEST_LINGERING * self.cost.free
            if self.owners.total() > most:
                quotas = dict.fromkeys(self.owners, float(most))
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

    def _free(self) -> int:
        """How many draws beyond those that everybody gets the next shared pass may have."""
        self._lingering = LINGER
        self._shared_passes += 1
        return 0 if self._shared_passes % PROBE_EVERY < 2 else self.cost.free

    def _continue(self, left: int, quotas: Quotas | None, work: Work) -> int:
        """Put running samples into the pass; how many of ``left`` tokens remain."""
        for sample in self._candidates(quotas):
            if sample.row < 0:
                continue  # preempted for one of the samples before it
            known = len(sample.tokens)
            drawing = known - sample.computed == 1
            if drawing and not sample.guesses_ahead:
                # The most common case, kept short: only the last token is to be read.
                stored = known - sample.forgotten
                if stored > len(sample.blocks) * BLOCK and not self._grow(sample, stored, work):
                    continue
                count = 1
            else:
                allowed = left if quotas is None else self._affordable(sample, left, quotas)
                count = min(sample.due, max(1, allowed))
                if count == sample.due:
                    spare = (len(sample.blocks) + self.blocks.n_free) * BLOCK - len(sample.tokens)
                    sample.guess(max(0, min(allowed - 1, spare)))
                    count += sample.n_guesses
                if not self._grow(sample, sample.computed - sample.forgotten + count, work):
                    continue  # it was preempted itself
            work.append((sample, count))
            left -= count
            if quotas is not None:
                quotas[sample.owner] -= self._draws(count, drawing)
        return left

    def _candidates(self, quotas: Quotas | None) -> Iterator[Sample]:
        """The running samples, of each owner as long as something of its quota is left.

        Those beyond are not looked at, so that they cost the others no time.
        """
        if quotas is None:
            yield from tuple(self.running)
            return
        for owner, samples in tuple(self._running_of.items()):
            for sample in tuple(samples):
                if quotas[owner] < 1:
                    break
                yield sample

    def _draws(self, count: int, drawing: bool) -> float:
        """What ``count`` tokens of a sample cost that is drawing, or else reading its prompt."""
        return float(count) if drawing else max(1.0, count * self.cost.read)

    def _affordable(self, sample: Sample, left: int, quotas: Quotas) -> int:
        """How many tokens of ``sample`` its owner's share pays for, at most ``left``."""
        each = 1.0 if sample.due == 1 else self.cost.read
        return min(left, int(quotas[sample.owner] / each))

    def _begin(self, sample: Sample, most: int, work: Work) -> int:
        """Put an admitted sample into the pass with at most ``most`` tokens; how many it reads."""
        count = min(sample.due, most)
        if count == sample.due:
            sample.guess(0)
            count += sample.n_guesses
        if not self._grow(sample, len(sample.tokens) + sample.n_guesses, None):
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

    def _begin_fairly(self, left: int, quotas: Quotas, work: Work) -> None:
        """Waiting samples, each time one of the owner that has the fewest running."""
        running = Counter(sample.owner for sample in self.running)
        owners = set(self.waiting)
        while owners and left > 0 and self._rows:
            owner = min(owners, key=lambda one: (running[one], one))
            sample = self.waiting[owner][0]
            if quotas[owner] < 1 or not self._admit(sample):
                owners.remove(owner)
                continue
            running[owner] += 1
            most, drawing = self._affordable(sample, left, quotas), sample.due == 1
            count = self._begin(self._next(owner), most, work)
            left -= count
            quotas[owner] -= self._draws(count, drawing)
            if owner not in self.waiting:
                owners.remove(owner)

    # ------------------------------------------------------------------ several owners

    def _demands(self) -> dict[Owner, int]:
        """How many draws' worth each owner's samples could use in the next pass, about.

        Nobody gets more than the smallest demand times the number of parties and what is free, so
        larger demands are not counted to the end: a thousand samples cost no more than that.
        """
        several = len({client for client, _ in self.owners}) > 1
        sizes: Counter[str | Owner] = Counter()
        for owner, count in self.owners.items():
            sizes[owner[0] if several else owner] += count
        smallest = min(sizes, key=lambda party: sizes[party])
        least = sum(
            self._demand(owner, self.most_tokens)
            for owner in self.owners
            if smallest in (owner, owner[0])
        )
        enough = least * len(sizes) + self.cost.free
        return {owner: self._demand(owner, enough) for owner in self.owners}

    def _demand(self, owner: Owner, enough: int) -> int:
        """The demand of one owner, not counted on once it is ``enough``."""
        total = 0
        if owner in self.waiting:
            queue = self.waiting[owner]
            total = len(queue) * max(1, math.ceil(queue[0].due * self.cost.read))
        for sample in self._running_of.get(owner, ()):
            if total >= enough:
                break
            due = len(sample.tokens) - sample.computed
            total += 1 if due == 1 else math.ceil(due * self.cost.read)
        return max(1, total)

    def _make_room(self) -> None:
        """For the first waiting sample of everyone who is below its share, if somebody is above."""
        several = len({client for client, _ in self.owners}) > 1
        holds: dict[str | Owner, _Held] = {
            (owner[0] if several else owner): _Held() for owner in self.owners
        }
        for owner, samples in self._running_of.items():
            holds[owner[0] if several else owner].n_samples += len(samples)
        rows, blocks = max(1, self._n_rows // len(holds)), self.blocks.n_blocks // len(holds)
        below = [
            queue[0]
            for owner, queue in self.waiting.items()
            if holds[owner[0] if several else owner].n_samples < rows
        ]
        if not below:
            return
        for sample in self.running:
            held = holds[sample.owner[0] if several else sample.owner]
            held.samples.append(sample)
            held.blocks += len(sample.blocks)
        for sample in below:
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

    def _victim(self, work: Work) -> Sample:
        """The youngest sample, or of several owners' that are not in the pass yet the youngest of
        the one who has most of them."""
        if len(self.owners) <= 1:
            return self.running[-1]
        taken = {id(sample) for sample, _ in work}
        later = [sample for sample in self.running if id(sample) not in taken]
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
        self._running_of.setdefault(sample.owner, []).append(sample)

    def _write_table(self, sample: Sample, first: int) -> None:
        new, tables_RW = sample.blocks[first:], self.caches[0].tables_RW
        if tables_RW.device.type == "cpu":  # numpy takes a tenth of the time
            tables_RW.numpy()[sample.row, first : len(sample.blocks)] = new
        else:
            tables_RW[sample.row, first : len(sample.blocks)] = torch.tensor(new, dtype=torch.int32)

    def reserve(self, samples: Sequence[Sample], steps: int) -> int:
        """Take the blocks for up to ``steps`` decode steps of running samples, whose known tokens
        have theirs. Returns for how many there is room, without preempting any; at least 1."""
        while steps > 1:
            needed = [self._decoding(one, steps) - len(one.blocks) for one in samples]
            if sum(count for count in needed if count > 0) <= self.blocks.n_free:
                break
            steps //= 2
        for sample in samples:
            self._grow(sample, min(len(sample.tokens) + steps, sample.limit) - 1, None)
        return steps

    @staticmethod
    def _decoding(sample: Sample, steps: int) -> int:
        """How many blocks it needs for ``steps`` steps; its last token is never stored."""
        return blocks_for(min(len(sample.tokens) + steps, sample.limit) - 1)

    def _grow(self, sample: Sample, tokens: int, work: Work | None) -> bool:
        """Take blocks for ``tokens`` tokens, preempting the youngest samples if necessary, but none
        of those in ``work``; without ``work`` none but ``sample``.

        False if ``sample`` itself was preempted.
        """
        had = len(sample.blocks)
        while len(sample.blocks) < blocks_for(tokens):
            block = self.blocks.take()
            if block is not None:
                sample.blocks.append(block)
                continue
            victim = sample if work is None else self._victim(work)
            self._preempt(victim)
            if victim is sample:
                return False
        if len(sample.blocks) > had:
            self._write_table(sample, had)
        return True

    def _preempt(self, sample: Sample) -> None:
        self.remove([sample])
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

    def remove(self, samples: Sequence[Sample]) -> None:
        """Take back the rows and blocks of running samples."""
        if len(samples) == 1:
            self.running.remove(samples[0])
            self._running_of[samples[0].owner].remove(samples[0])
        else:
            gone = set(map(id, samples))
            self.running = [s for s in self.running if id(s) not in gone]
            for owner in {sample.owner for sample in samples}:
                kept = [s for s in self._running_of[owner] if id(s) not in gone]
                self._running_of[owner] = kept
        for sample in samples:
            self.blocks.release(sample.blocks)
            sample.blocks = []
            self._rows.append(sample.row)
            sample.row = -1
            if not self._running_of.get(sample.owner, True):
                del self._running_of[sample.owner]

    def end(self, samples: Sequence[Sample]) -> None:
        """``remove`` samples that are done or no longer wanted."""
        if samples:
            self.remove(samples)
        for sample in samples:
            self._leave(sample.owner, 1)

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
        self.end([s for s in self.running if s.ticket == ticket])
