"""Showing a token's bytes to a person."""

from __future__ import annotations


def show_bytes(token: bytes) -> str:
    r"""``cat``, ``\n``, ``<0xE2>``; spaces stay spaces.

    Bytes that are not text on their own are shown as ``<0x..>`` each, and unprintable characters
    as their Python escapes.
    """
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        return "".join(f"<0x{byte:02X}>" for byte in token)
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )
