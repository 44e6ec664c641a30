"""WikiText: articles of Wikipedia, separated into words (Merity et al. 2016, arXiv 1609.07843).

The published files have spaces around punctuation and `` @-@ `` for a hyphen inside a word. Models
that were trained on ordinary text are measured on the text as it was before that, but the figures
per word and per byte count the file as it is, so that they can be compared between papers. The
rules below, and this way of counting, are those of lm-eval's task ``wikitext``, which has them from
Megatron-LM (Shoeybi et al. 2019, arXiv 1909.08053).
"""

from __future__ import annotations

import re

_HEADING = re.compile(r"^(?= = [^=\n].*[^=\n] = $)", re.MULTILINE)
_QUOTES = (
    (re.compile(r"\(\s*([^\)]*?)\s*\)"), r"(\1)"),
    (re.compile(r"\[\s*([^\]]*?)\s*\]"), r"[\1]"),
    (re.compile(r"{\s*([^}]*?)\s*}"), r"{\1}"),
    (re.compile(r"\"\s*([^\"]*?)\s*\""), r'"\1"'),
    (re.compile(r"'\s*([^']*?)\s*'"), r"'\1'"),
)


def wikitext_articles(text: str) -> list[str]:
    """The articles of a WikiText file, each with its heading, as they stand there."""
    return [part for part in _HEADING.split(text) if part.strip()]


def joined_again(article: str) -> str:
    """An article as ordinary text: punctuation joined to its words."""
    text = article.replace("s '", "s'")
    for mark in "-,.":
        text = text.replace(f" @{mark}@ ", mark)
    for mark in ":;.!?,":
        text = text.replace(f" {mark} ", f"{mark} ")
    for pattern, joined in _QUOTES:
        text = pattern.sub(joined, text)
    for spaced in ("= = = =", "= = =", "= ="):
        text = text.replace(spaced, spaced.replace(" ", ""))
    text = text.replace(" \N{DEGREE SIGN} ", "\N{DEGREE SIGN}")
    text = text.replace(" \n", "\n").replace("\n ", "\n")
    return text.replace(" N ", " 1 ").replace(" 's", "'s")
