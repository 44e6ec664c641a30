"""How an object is displayed in a notebook: small pieces of HTML, with all text escaped.

A class that people print has ``__str__``, which gives a few plain lines, and ``_repr_html_``, which
Jupyter calls. Both may contain text that a model wrote, so all text in HTML is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


def preformatted(text: str) -> str:
    """Preformatted lines of text."""
    return f"<pre>{escape(text)}</pre>"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; without ``headings`` the first cell of each row is its heading."""
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(f"<tr>{_cells(row, named=not headings)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if headings else ""
    return f"<table>{top}<tbody>{body}</tbody></table>"


def facts_text(title: str, facts: Iterable[tuple[str, str]]) -> str:
    """A title and named facts, one per line: the printed form of ``table((), facts)``."""
    pairs = list(facts)
    width = max((len(name) for name, _ in pairs), default=0)
    return "\n".join([title, *(f"  {name:{width}}  {value}" for name, value in pairs)])


def _cells(row: Sequence[str], *, named: bool) -> str:
    tags = ["th" if named and not at else "td" for at in range(len(row))]
    pairs = zip(tags, row, strict=True)
    return "".join(f"<{tag}>{escape(cell)}</{tag}>" for tag, cell in pairs)
