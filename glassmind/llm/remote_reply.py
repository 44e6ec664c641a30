"""One choice of a server's answer as the nodes of a trace."""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from glassmind.errors import UserError
from glassmind.llm.http_json import Json
from glassmind.llm.replies import NodeBuilder
from glassmind.llm.reply_reader import Channel
from glassmind.records import Finish, Node

_MARK = re.compile(r"</?think>")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FINISHES: dict[str, Finish] = {"length": "length", "abort": "cancelled"}


@dataclass(frozen=True)
class Reply:
    """One sample: its nodes, and the number of prompt tokens that the server read for it."""

    nodes: tuple[Node, ...]
    prompt_tokens: int = 0

    @staticmethod
    def nothing() -> Reply:
        """The reply to a question that is too long for the model."""
        return Reply(tuple(NodeBuilder().end("length")))


def read_choice(choice: Any, answer: Json, number: int, n_choices: int, base: str) -> Reply:
    """The nodes of ``choice``, at ``number`` of ``n_choices`` in the ``answer`` of ``base``.

    Raises:
        UserError: it does not have the form of a choice.
    """
    if not isinstance(choice, dict):
        raise UserError(f"{base} answers with a choice that is not an object")
    message = choice.get("message")
    if message is None:
        reasoning, content = "", choice.get("text")
    elif isinstance(message, dict):
        reasoning = reasoning_of(message)
        content = message.get("content") or ""
    else:
        raise UserError(f"{base} answers with a message that is not an object")
    if not isinstance(content, str) or not isinstance(reasoning, str):
        raise UserError(f"{base} answers with something that is not text")
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    finish = _FINISHES.get(str(choice.get("finish_reason")), "stop")
    tokens = listed_tokens(choice.get("logprobs"))
    pieces: list[tuple[Channel, str, float | None]]
    if tokens and "".join(text for text, _ in tokens) == content and not reasoning:
        pieces = list(_with_channels(tokens))  # gives each node its own log-probabilities
    else:
        stretches: list[tuple[Channel, str]] = [("reasoning", reasoning), *_channels(content)]
        pieces = [(c, line, None) for c, text in stretches for line in _LINE.findall(text)]
    if message is None and tokens:
        counted = len(tokens)
    else:
        # A chat's tokens are listed only in part, and counted for all choices together. The server
        # does not say how many each choice and line has, so the count is divided evenly.
        counted = _share(_count(usage, "completion_tokens"), number, n_choices) or len(tokens)
    builder, nodes = NodeBuilder(), list[Node]()
    for place, (channel, text, logprob) in enumerate(pieces):
        share = _share(counted, place, len(pieces))
        nodes += builder.add(text, channel, logprob=logprob, tokens=share)
    nodes += builder.end(finish)
    return Reply(tuple(nodes), _count(usage, "prompt_tokens"))


def reasoning_of(message: Json) -> Any:
    """The reasoning of a message or of a part of one: vLLM and llama.cpp call the field
    reasoning_content, some others reasoning."""
    return message.get("reasoning_content") or message.get("reasoning") or ""


def _share(total: int, number: int, of: int) -> int:
    """The share of number ``number`` when ``total`` is divided evenly into ``of`` integers."""
    return total * (number + 1) // of - total * number // of


def _count(usage: Json, name: str) -> int:
    value = usage.get(name)
    known = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
    return value if known and isinstance(value, int) else 0


def listed_tokens(logprobs: Any) -> list[tuple[str, float]]:
    """Text and log-probability of every token, from either of the two forms; empty if invalid."""
    if not isinstance(logprobs, dict):
        return []
    content = logprobs.get("content")
    if isinstance(content, list):
        found = [(one.get("token"), one.get("bytes"), one.get("logprob")) for one in content
                 if isinstance(one, dict)]  # fmt: skip
    else:
        texts, values = logprobs.get("tokens"), logprobs.get("token_logprobs")
        if not isinstance(texts, list) or not isinstance(values, list):
            return []
        found = [(text, None, value) for text, value in zip(texts, values, strict=False)]
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    tokens = []
    for text, data, value in found:
        if not isinstance(text, str) or not isinstance(value, (int, float)):
            return []
        if not math.isfinite(value):
            return []
        if isinstance(data, list) and all(isinstance(b, int) and 0 <= b < 256 for b in data):
            text = decoder.decode(bytes(data))  # a character may be spread over several tokens
        tokens.append((text, float(value)))
    return tokens


def _with_channels(tokens: list[tuple[str, float]]) -> Iterator[tuple[Channel, str, float | None]]:
    """Every token with its channel; ``<think>`` and ``</think>`` are tokens of their own."""
    channel: Channel = "content"
    for text, logprob in tokens:
        mark = _MARK.fullmatch(text.strip())
        if mark:
            channel, text = ("reasoning" if mark[0] == "<think>" else "content"), ""
        yield channel, text, logprob


def _channels(content: str) -> Iterator[tuple[Channel, str]]:
    """The stretches of a text between ``<think>`` and ``</think>``, and those outside.

    A text with only the closing tag begins with reasoning: its template wrote the opening tag.
    """
    first = _MARK.search(content)
    channel: Channel = "reasoning" if first and first[0] == "</think>" else "content"
    at = 0
    for mark in _MARK.finditer(content):
        if mark.start() > at:
            yield channel, content[at : mark.start()]
        channel, at = ("reasoning" if mark[0] == "<think>" else "content"), mark.end()
    if at < len(content):
        yield channel, content[at:]
