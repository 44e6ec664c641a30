"""A reply in free text as the nodes of a trace: lines of reasoning, and the answer.

A model from elsewhere writes its solution in its own words. Some mark their reasoning, by
``<think>`` and ``</think>`` in the text or by a separate field in a server's response:

    <think> 3*12=36 ⏎ 36-5=31 ⏎ </think> 31 pencils are left.
            |-step-|  |-step-|           |---- answer ----|

Each line of marked reasoning is a step, and the rest is the answer. If nothing is marked, the lines
are text, since it is not known which of them are reasoning and which are the answer. The final
answer is searched for in everything but the reasoning (``grade.extract_answer``).
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import replace

from glassmind.grade import extract_answer
from glassmind.llm.reply_reader import Channel, Tokens
from glassmind.records import Author, Completion, Cost, Finish, Node, NodeKind

_TRIMMED: dict[NodeKind, str] = {"step": "\r\n", "answer": " \t\r\n", "text": ""}
"""The characters that are stripped from both ends of a node's text, by its kind."""


class NodeBuilder:
    """Makes the nodes of one reply from its pieces of text, in order.

    ``add`` and ``end`` return the nodes that they complete; each continues the one before. With
    ``lines_are_steps`` every line but the last is a step, and the last is the answer.
    """

    def __init__(self, lines_are_steps: bool = False) -> None:
        self._lines_are_steps = lines_are_steps
        self._count = 0
        self._visible = ""  # everything that is not reasoning
        self._reasoned = False
        self._channel: Channel = "content"
        self._author: Author = "model"
        self._clear()

    def _clear(self) -> None:
        self._text, self._begun = "", False
        self._ids: list[int] = []
        self._logprobs: list[float] = []
        self._sampled_logprobs: list[float] = []
        self._tokens = 0

    def add(
        self,
        text: str,
        channel: Channel,
        *,
        token_id: int | None = None,
        logprob: float | None = None,
        sampled_logprob: float | None = None,
        tokens: int = 1,
        author: Author = "model",
        ends_step: bool = False,
    ) -> list[Node]:
        """Add the next piece, which has ``tokens`` tokens. ``ends_step`` closes a step without a
        line break."""
        done: list[Node] = []
        if self._begun and channel != self._channel:
            done.append(self._node(closed=True))
        elif self._begun and author != self._author:
            done.append(self._node(closed=False))
        self._channel, self._author = channel, author
        if ends_step and channel == "content":  # in text, steps are lines
            text += "\n"
        self._text += text
        self._begun = True
        self._tokens += tokens
        if token_id is not None:
            self._ids.append(token_id)
        if logprob is not None:
            self._logprobs.append(logprob)
        if sampled_logprob is not None:
            self._sampled_logprobs.append(sampled_logprob)
        if channel == "content":
            self._visible += text
        elif text.strip():
            self._reasoned = True
        # A line ends at the end of a token, because a token's text is never split.
        ends_line = "\n" in text and not text.rpartition("\n")[2].strip()
        if ends_step or (ends_line and self._text.strip() and self._kind != "answer"):
            done.append(self._node(closed=True))
        return done

    def end(self, finish: Finish) -> list[Node]:
        """The last node, a leaf with the answer; every reply has at least this node."""
        leaf = self._node(closed=finish == "stop", last=True)
        return [replace(leaf, finish=finish, answer=extract_answer(self._visible))]

    @property
    def _kind(self) -> NodeKind:
        if self._channel == "reasoning":
            return "step"
        if self._lines_are_steps:
            return "step"
        return "answer" if self._reasoned else "text"

    def _node(self, *, closed: bool, last: bool = False) -> Node:
        kind = self._kind
        if last and self._lines_are_steps and self._channel == "content":
            kind = "answer"
        node = Node(
            parent=self._count - 1 if self._count else None,
            kind=kind,
            text=self._text.strip(_TRIMMED[kind]),
            token_ids=tuple(self._ids),
            logprobs=tuple(self._logprobs),
            sampled_logprobs=tuple(self._sampled_logprobs),
            author=self._author,
            closed=closed and (kind != "step" or bool(self._text.strip())),
            cost=Cost(completion_tokens=self._tokens),
        )
        self._count += 1
        self._clear()
        return node


class NodeReader:
    """Makes the nodes of one reply from its tokens, as they arrive.

    ``prompt_ids`` decide how it begins: after a prompt that ends in ``<think>`` it begins with
    reasoning. If a stop text ended it, only the first ``characters`` of the text are kept.
    """

    def __init__(
        self, llm: Tokens, prompt_ids: Sequence[int], characters: int | None = None
    ) -> None:
        self._bytes, self._marks = llm.token_bytes, llm.marks
        self._lead = llm.vocabulary.lead
        self._left = characters
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._builder = NodeBuilder(llm.lines_are_steps)
        self._channel: Channel = llm.channel_behind(prompt_ids)

    def see(
        self,
        token_ids: Iterable[int],
        logprobs: Sequence[float] = (),
        sampled_logprobs: Sequence[float] = (),
        forced: Sequence[bool] = (),
    ) -> list[Node]:
        """The nodes that these tokens complete. The other arguments have one entry per token, or
        are empty."""
        done: list[Node] = []
        for number, token_id in enumerate(token_ids):
            mark, text = self._marks.get(token_id), ""
            if mark is None:
                text = self._shown(self._decoder.decode(self._bytes[token_id]))
            else:
                done += self._end_text()
            if mark in ("think", "answer"):
                self._channel = "reasoning" if mark == "think" else "content"
            done += self._builder.add(
                text,
                self._channel,
                token_id=token_id,
                logprob=logprobs[number] if logprobs else None,
                sampled_logprob=sampled_logprobs[number] if sampled_logprobs else None,
                author="tool" if forced and forced[number] else "model",
                ends_step=mark == "step",
            )
        return done

    def end(self, finish: Finish) -> list[Node]:
        """The remaining nodes at the end of the reply."""
        return self._end_text() + self._builder.end(finish)

    def _shown(self, text: str) -> str:
        if self._lead and text:  # once, at the start
            text, self._lead = text.removeprefix(self._lead.decode()), b""
        if self._left is not None:
            text = text[: self._left]
            self._left -= len(text)
        return text

    def _end_text(self) -> list[Node]:
        """The bytes of an incomplete character, as a replacement character."""
        text = self._shown(self._decoder.decode(b"", True))
        self._decoder.reset()
        return self._builder.add(text, self._channel, tokens=0) if text else []


def closed_lines(nodes: Iterable[Node]) -> list[str]:
    """The steps in ``nodes``, as in ``Completion.steps``; every node is complete."""
    found = []
    for node in nodes:
        if node.kind == "text":
            found += [line for line in node.text.splitlines() if line.strip()]
        elif node.kind == "step" and node.closed:
            found.append(node.text)
    return found


def reply_text(completion: Completion) -> str:
    """The whole reply as text, reasoning first, with one step per line."""
    parts = []
    for node in completion.nodes:
        parts.append(node.text)
        if node.kind == "step" and node.closed:
            parts.append("\n")
    return "".join(parts).strip()
