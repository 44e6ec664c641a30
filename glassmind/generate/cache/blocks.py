"""Which samples use which block of the KV cache.

The cache's memory is cut into blocks of ``BLOCK`` tokens. A sequence takes a block when it needs
one, so no memory is reserved for tokens that may never come (PagedAttention: Kwon et al. 2023,
arXiv 2309.06180). Two sequences that begin with the same tokens have the same keys and values
there, and share those blocks: each block counts its users.

A full block is found again by its content: its own tokens and, since keys depend on everything
before them, the block before it. That makes a chain from the beginning of a prompt. Following it
with a new prompt finds everything already computed: the few-shot examples of the last question, the
earlier turns of a chat. A block without users keeps its content until its memory is needed, the
longest unused first; ``forget_contents`` drops them all when the model's weights change.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from glassmind.generate.cache.layout import BLOCK

START = -1  # the content number before the first block of a sequence


class Blocks:
    """Keeps count of ``n_blocks`` blocks, by number; their keys and values are in the cache."""

    def __init__(self, n_blocks: int) -> None:
        self.n_blocks = n_blocks
        self._users = [0] * n_blocks
        self._never_used = n_blocks
        self._empty: list[int] = []
        # Blocks without users whose content can still be found, the longest unused first.
        self._unused: OrderedDict[int, None] = OrderedDict()
        # Contents have numbers of their own, since a block's number is reused for other contents.
        self._block_of: dict[tuple[int, tuple[int, ...]], int] = {}
        self._content: dict[int, tuple[int, tuple[int, ...]]] = {}
        self._number: dict[int, int] = {}
        self._contents = 0

    @property
    def n_free(self) -> int:
        """How many blocks can be taken."""
        return self._never_used + len(self._empty) + len(self._unused)

    def take(self) -> int | None:
        """A block for one user, its old content dropped; ``None`` if all are in use."""
        if self._empty:
            block = self._empty.pop()
        elif self._never_used:
            self._never_used -= 1
            block = self.n_blocks - self._never_used - 1
        elif self._unused:
            block = self._unused.popitem(last=False)[0]
            self._forget(block)
        else:
            return None
        self._users[block] = 1
        return block

    def share(self, blocks: Iterable[int]) -> None:
        """Add a user to each of them."""
        for block in blocks:
            if not self._users[block]:
                del self._unused[block]
            self._users[block] += 1

    def release(self, blocks: Sequence[int]) -> None:
        """Remove a user from each. Of a chain, the last block's content is dropped first."""
        for block in reversed(blocks):
            self._users[block] -= 1
            if not self._users[block]:
                if block in self._content:
                    self._unused[block] = None
                else:
                    self._empty.append(block)

    def remember(self, before: int, block: int, tokens: Sequence[int]) -> int:
        """Record that ``block`` now holds these ``BLOCK`` tokens, which follow content ``before``.

        Returns the number of its content, or of the block that already held the same content. Pass
        it as ``before`` for the next block; ``before`` of the first block is ``START``.
        """
        content = (before, tuple(tokens))
        known = self._block_of.get(content)
        if known is None:
            self._block_of[content] = known = block
            self._content[block] = content
            self._number[block] = self._contents
            self._contents += 1
        return self._number[known]

    def find(self, tokens: Sequence[int]) -> list[int]:
        """The blocks that hold the beginning of ``tokens``; each gets one more user."""
        found: list[int] = []
        before = START
        for at in range(0, len(tokens) - BLOCK + 1, BLOCK):
            block = self._block_of.get((before, tuple(tokens[at : at + BLOCK])))
            if block is None:
                break
            found.append(block)
            before = self._number[block]
        self.share(found)
        return found

    def last_content(self, blocks: Sequence[int]) -> int:
        """The ``before`` for ``remember`` that follows these blocks, which ``find`` returned."""
        return self._number[blocks[-1]] if blocks else START

    def forget_contents(self) -> None:
        """Drop the content of every block without users, so that none is found again.

        Call it when the model has changed, so that it would compute other keys and values.
        """
        for block in self._unused:
            self._forget(block)
            self._empty.append(block)
        self._unused.clear()

    def _forget(self, block: int) -> None:
        content = self._content.pop(block, None)
        if content is not None:
            del self._block_of[content]
            del self._number[block]
