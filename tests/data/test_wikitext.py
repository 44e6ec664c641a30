"""WikiText's articles, as ordinary text."""

from __future__ import annotations

from glassmind.data.pretraining.wikitext import joined_again, wikitext_articles

FILE = """ 
 = Homarus gammarus = 
 
 It grows to 60 cm ( 24 in ) , and is the lobster 's " cousin " . 
 = = Life = = 
 A well @-@ known 1 @,@ 000 : yes ! 
 = Second = 
 Text . 
"""


def test_an_article_begins_with_its_title() -> None:
    first, second = wikitext_articles(FILE)
    assert first.startswith(" = Homarus") and " = = Life" in first
    assert second == " = Second = \n Text . \n"
    assert wikitext_articles(" \n ") == []


def test_words_are_joined_again() -> None:
    text = joined_again(wikitext_articles(FILE)[0])
    assert 'grows to 60 cm (24 in), and is the lobster\'s "cousin".' in text
    assert "== Life ==" in text and "A well-known 1,000: yes!" in text
