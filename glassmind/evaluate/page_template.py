"""A page from a template of this folder, with the report's style sheet in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any


def render_page(
    template: str, filters: Mapping[str, Callable[..., Any]] | None = None, **values: object
) -> str:
    """The HTML text of ``template``, a path below this folder, with these values in it.

    Values are escaped, but for those that pass the filter ``svg``: pictures that this package drew.
    ``filters`` are functions that the template uses.
    """
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(filters or {}, svg=Markup)
    here = resources.files("glassmind.evaluate")
    style = Markup(here.joinpath("report.css").read_text("utf-8"))
    source = here.joinpath(template).read_text("utf-8")
    return environment.from_string(source).render(style=style, **values)
