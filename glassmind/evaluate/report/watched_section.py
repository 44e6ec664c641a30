"""The watched problems: what the model answered to the same questions as training went on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.runs.watched_problems import WatchedReply, WatchedStep


@dataclass(frozen=True, slots=True)
class WatchedHistory:
    """One problem, and its replies as (first step, reply); a reply that stays the same stands
    once."""

    question: str
    answer: str
    replies: tuple[tuple[int, WatchedReply], ...]

    @property
    def finding(self) -> str:
        """What became of it."""
        first, last = self.replies[0][1].right, self.replies[-1][1].right
        if first and last:
            return (
                "stayed right" if all(reply.right for _, reply in self.replies) else "right again"
            )
        if first or last:
            return "lost" if first else "learned"
        return "stayed wrong"


def watched_histories(rows: Sequence[WatchedStep]) -> list[WatchedHistory]:
    """The problems of the first row, in its order."""
    found = []
    for number, start in enumerate(rows[0].replies if rows else ()):
        replies: list[tuple[int, WatchedReply]] = []
        for row in rows:
            same = row.replies[number : number + 1]
            if not same or same[0].problem != start.problem:
                continue
            if not replies or (same[0].text, same[0].gave) != (
                replies[-1][1].text,
                replies[-1][1].gave,
            ):
                replies.append((row.step, same[0]))
        found.append(WatchedHistory(start.question, start.answer, tuple(replies)))
    return found
