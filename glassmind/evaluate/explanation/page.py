"""An explained group as a page: every token in the colour of its gradient.

Like the report, the page has no script and loads nothing. Tokens are a model's output and are
escaped by the template.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from glassmind.evaluate.explanation.group_loss import ExplainedGroup, ExplainedToken, alignment
from glassmind.evaluate.explanation.text import Explanation, finding, shown_piece
from glassmind.evaluate.page_template import render_page
from glassmind.evaluate.wording import percent
from glassmind.files import write_text
from glassmind.printable import printable

MOST_TOKENS = 600
"""Tokens of a completion on the page; there may be thousands, times eight objectives."""

SHADES = 5


@dataclass(frozen=True, slots=True)
class ShownToken:
    """A token on the page: its text, the class that colours it, and a tooltip."""

    text: str
    shade: str
    title: str


def write_explanation(explanation: Explanation, path: Path) -> None:
    """Write the page to ``path``. Raises ``UserError`` where it cannot be written."""
    write_text(path, render_explanation(explanation))


def render_explanation(explanation: Explanation) -> str:
    """The whole page as HTML text."""
    shown = (explanation.own, *explanation.others)
    return render_page(
        "explanation/group_loss.html.jinja",
        {"percent": percent},
        group=explanation.group,
        finding=finding(explanation),
        explained=[
            {
                "objective": one.objective,
                "loss": one.loss,
                "norm": one.norm,
                "clipped": one.clipped,
                "direction": alignment(one, explanation.own),
                "completions": [
                    (completion, tokens)
                    for completion, tokens in zip(one.completions, _tokens(one), strict=True)
                ],
            }
            for one in shown
        ],
        longest=max((len(one.pieces) for one in explanation.own.completions), default=0),
        most=MOST_TOKENS,
        names=sorted({name for one in explanation.own.completions for name in one.rewards}),
    )


def _tokens(group: ExplainedGroup) -> list[list[ShownToken]]:
    """The tokens of each completion; the darkest shade is the strongest gradient of the group."""
    strongest = max(map(abs, group.gradients), default=0.0)
    return [
        [
            _token(piece, token, strongest)
            for piece, token in list(zip(one.pieces, one.tokens, strict=True))[:MOST_TOKENS]
        ]
        for one in group.completions
    ]


def _token(piece: str, token: ExplainedToken | None, strongest: float) -> ShownToken:
    text = printable(shown_piece(piece, 40))
    if token is None:
        return ShownToken(text, "unlearned", "not learned")
    bound = {"": "", "low": ", clipped at the lower bound", "high": ", clipped at the upper bound"}
    title = (
        f"log π {token.logprob:.4f}, ratio {token.ratio:.5f}{bound[token.clipped]}, "
        f"loss {token.loss:+.6f}, gradient {token.gradient:+.6f}"
    )
    if token.gradient == 0 or strongest == 0:
        return ShownToken(text, "clipped" if token.clipped else "", title)
    shade = max(1, round(SHADES * abs(token.gradient) / strongest))
    return ShownToken(text, f"{'up' if token.gradient < 0 else 'down'}-{shade}", title)
