"""TOML that nobody vouches for."""

from __future__ import annotations

import pytest
from bounded_memory import at_most

from glassmind.errors import UserError
from glassmind.serialization import parse_toml


@pytest.mark.parametrize(
    "text",
    [
        "{} = 1",
        "[{}]",
        "[[{}]]",
        "  {} = 1",
        "a = 1\nb = {{x = 1, {} = 2}}",
        "a = {{{} = 2}}",
    ],
)
@pytest.mark.parametrize("part", ["a", '"a"', "'a'", r'"\""', "a "])
def test_a_long_key_is_refused_before_it_takes_memory(text: str, part: str) -> None:
    key = ".".join([part] * 50_000)
    with at_most(200), pytest.raises(UserError, match=r"mine, line \d: a key has more than 32"):
        parse_toml(text.format(key), "mine")


def test_keys_that_people_write_are_read() -> None:
    deep = ".".join("abcdefgh")
    text = f'{deep} = 1\nwords = "{"One. " * 50}"\npath = "{".".join("x" * 40)}"\n'
    read = parse_toml(text, "mine")
    assert read["words"] == "One. " * 50
    assert read["path"] == ".".join("x" * 40)
    assert read["a"]["b"]["c"]["d"]["e"]["f"]["g"]["h"] == 1
