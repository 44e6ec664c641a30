"""WikiText's perplexity, by article, as lm-eval's task of that name measures it."""

from __future__ import annotations

from pathlib import Path

from glassmind.data.pretraining.wikitext import joined_again, wikitext_articles
from glassmind.data.rows.text_file import read_text
from glassmind.errors import UserError
from glassmind.pipeline.tasks.task import TextItem, TextTask, Wanted


def _load(wanted: Wanted) -> list[TextItem]:
    articles = wikitext_articles(read_text(Path(wanted.argument)))
    if not articles:
        raise UserError(f"{wanted.argument} holds no text")
    return [TextItem(joined_again(article), article) for article in articles]


TASK = TextTask(
    "wikitext",
    "perplexity of a WikiText file's articles, as ordinary text; words and bytes as in the file",
    _load,
    argument="FILE",
)
