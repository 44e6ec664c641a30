"""An explained group for a terminal: three tables that fit 80 columns."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from glassmind.evaluate.columns import Column, table_lines
from glassmind.evaluate.explanation.group_loss import (
    ExplainedCompletion,
    ExplainedGroup,
    alignment,
)
from glassmind.evaluate.wording import percent
from glassmind.printable import printable
from glassmind.quantity import quantity
from glassmind.runs.reward_groups import LoggedGroup

_PIECE = 14  # characters of a token that are shown
_ENDING = 26  # and of the end of a completion
_LEGEND = "A gradient below 0 makes a token likelier. Each loss is the mean over this group alone."


@dataclass(frozen=True)
class Explanation:
    """A logged group under the objective of its run, and under each published one."""

    group: LoggedGroup
    own: ExplainedGroup
    others: tuple[ExplainedGroup, ...]

    @property
    def most_telling(self) -> int:
        """The number of the completion that is pushed most."""
        pushes = [abs(completion.gradient) for completion in self.own.completions]
        return pushes.index(max(pushes)) if pushes else 0


def finding(explanation: Explanation) -> str:
    """What this group teaches, in a sentence or two."""
    completions = explanation.own.completions
    rewards = [completion.reward for completion in completions]
    if not rewards:
        return "The group has no completions, so nothing is learned from it."
    if len(rewards) == 1:
        return (
            "This is a group of one: its reward can be compared with nothing, so its advantage is "
            "0 and nothing is learned from it."
        )
    if min(rewards) == max(rewards):
        return (
            f"All {len(rewards)} rewards are {rewards[0]:.3g}. A reward is compared with those of "
            "its group, so every advantage is 0, the loss is 0, and nothing is learned from it."
        )
    up = sum(completion.gradient < 0 for completion in completions)
    down = sum(completion.gradient > 0 for completion in completions)
    still = len(completions) - up - down
    ends = f", {still} not moved" if still else ""
    clipped = explanation.own.clipped
    bound = f" {percent(clipped)} of the tokens are clipped." if clipped else ""
    return (
        f"Rewards go from {min(rewards):.3g} to {max(rewards):.3g}: "
        f"{quantity(up, 'completion')} made likelier, {down} made less likely{ends}.{bound}"
    )


def explanation_text(
    explanation: Explanation, completion: int | None, show: int, width: int | None
) -> str:
    """The group, one completion token by token (``show`` of its tokens at most), and the same group
    under the other objectives."""
    group, own = explanation.group, explanation.own
    number = explanation.most_telling if completion is None else completion
    lines = [
        f"step {group.step:,}, {group.problem}",
        *_folded(group.question, width),
        f"right: {group.answer}",
        "",
        *_folded(finding(explanation), width),
        "",
        "rewards → advantages → loss",
        *completions_lines(own, width),
    ]
    if own.completions:
        lines += ["", *tokens_lines(own, number, show, width)]
    lines += [
        "",
        "the same group under the published objectives",
        *objectives_lines(explanation, width),
        "",
        "the push on each completion (the sum of its tokens' gradients)",
        *pushes_lines(explanation, width),
        "",
        *_folded(_LEGEND, width),
    ]
    return printable("\n".join(lines))


def _folded(sentence: str, width: int | None) -> list[str]:
    return [sentence] if width is None else textwrap.wrap(sentence, max(20, width))


def completions_lines(own: ExplainedGroup, width: int | None) -> list[str]:
    """A row for each completion."""
    columns = [
        Column("no."),
        Column("reward"),
        Column("advantage"),
        Column("tokens"),
        Column("clipped", rank=2),
        Column("loss", rank=1),
        Column("gradient"),
        Column("ends with", left=True, rank=3),
    ]
    rows = [
        (
            str(number),
            f"{one.reward:.3g}",
            f"{one.advantage:+.3f}",
            str(len(one.learned)),
            str(one.clipped),
            f"{one.loss:+.5f}",
            f"{one.gradient:+.5f}",
            ending(one),
        )
        for number, one in enumerate(own.completions)
    ]
    return table_lines(columns, rows, width)


def tokens_lines(own: ExplainedGroup, number: int, show: int, width: int | None) -> list[str]:
    """A row for each token of one completion."""
    columns = [
        Column("token", left=True),
        Column("log π", rank=2),
        Column("ratio"),
        Column("bound", left=True, rank=1),
        Column("loss", rank=1),
        Column("∂L/∂log π"),
    ]
    chosen = own.completions[number]
    rows = []
    for piece, token in list(zip(chosen.pieces, chosen.tokens, strict=True))[:show]:
        if token is None:
            rows.append((shown_piece(piece), "", "", "not learned", "", ""))
        else:
            values = f"{token.ratio:.5f}", token.clipped, f"{token.loss:+.6f}"
            row = shown_piece(piece), f"{token.logprob:.4f}", *values, f"{token.gradient:+.6f}"
            rows.append(row)
    lines = [f"completion {number}, token by token", *table_lines(columns, rows, width)]
    hidden = len(chosen.pieces) - show
    if hidden > 0:
        lines.append(f"and {quantity(hidden, 'more token')}; --show {len(chosen.pieces)} has all")
    return lines


def objectives_lines(explanation: Explanation, width: int | None) -> list[str]:
    """A row for each objective."""
    columns = [
        Column("objective", left=True),
        Column("loss"),
        Column("‖gradient‖"),
        Column("clipped"),
        Column("direction", rank=1),
    ]
    rows = []
    for one in (explanation.own, *explanation.others):
        cosine = alignment(one, explanation.own)
        rows.append(
            (
                one.objective.name,
                f"{one.loss:+.5f}",
                f"{one.norm:.5f}",
                percent(one.clipped),
                "" if cosine is None else f"{cosine:.4f}",
            )
        )
    return table_lines(columns, rows, width)


def pushes_lines(explanation: Explanation, width: int | None) -> list[str]:
    """A row for each completion, a column for each objective; the last columns go first."""
    explained = (explanation.own, *explanation.others)
    columns = [
        Column("no."),
        *(Column(one.objective.short, rank=place) for place, one in enumerate(explained)),
    ]
    rows = [
        (str(number), *(f"{one.completions[number].gradient:+.4f}" for one in explained))
        for number in range(len(explanation.own.completions))
    ]
    return table_lines(columns, rows, width)


def shown_piece(piece: str, most: int = _PIECE) -> str:
    """A token with its white space visible, shortened."""
    text = piece.replace(" ", "␣").replace("\n", "↵").replace("\t", "⇥")
    return text if len(text) <= most else f"{text[: most - 1]}…"


def ending(completion: ExplainedCompletion) -> str:
    """The end of a completion's text, or how it ended."""
    text = shown_piece("".join(completion.pieces[-12:]), 10_000)
    if completion.finish == "length":
        text += " (cut off)"
    return text if len(text) <= _ENDING else f"…{text[1 - _ENDING :]}"


def explanation_record(explanation: Explanation) -> dict[str, object]:
    """The same for machines."""

    def record(one: ExplainedGroup) -> dict[str, object]:
        return {
            "objective": one.objective,
            "loss": one.loss,
            "norm": one.norm,
            "clipped": one.clipped,
            "direction": alignment(one, explanation.own),
            "completions": [_completion_record(each) for each in one.completions],
        }

    group = explanation.group
    return {
        "step": group.step,
        "problem": group.problem,
        "question": group.question,
        "answer": group.answer,
        "finding": finding(explanation),
        "own": record(explanation.own),
        "others": [record(one) for one in explanation.others],
    }


def _completion_record(one: ExplainedCompletion) -> dict[str, object]:
    tokens: Sequence[object] = one.tokens
    return {
        "rewards": one.rewards,
        "reward": one.reward,
        "advantage": one.advantage,
        "finish": one.finish,
        "loss": one.loss,
        "gradient": one.gradient,
        "tokens": tokens,
    }
