"""Chat templates: from a list of messages to the text, and the ids, that a model was trained on.

A chat model has seen conversations in one exact form, such as::

    <|im_start|>user
    How many legs has a spider?<|im_end|>
    <|im_start|>assistant

Every family has its own, and its tokenizer brings the form along as a *chat template*, a program in
the Jinja language that is handed the messages and writes the text. Two things can go wrong with
that.

**The template is a stranger's program.** It runs sandboxed, in a process with limits
(``glassmind.worker``), and what it does wrong is a ``UserError``.

**The user is a stranger too.** In the text above, ``<|im_end|>`` is one token and an instruction to
the program around the model. If a person's message contains those ten characters, and the finished
text is searched for special tokens, the person can end their own message and speak as the system.
So ``encode`` puts a marker character, one that occurs nowhere else, inside each such spelling in
what it was given; the template then writes the only unbroken ones; the text is cut at those; and
from the rest, which is encoded as text, the markers vanish again. (What a template itself puts
together, as in ``'<|' + message['role'] + '|>'``, is its own: let nobody else choose the roles.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

from glassmind.errors import UserError
from glassmind.serialization import JsonObject
from glassmind.tokenize.chat_template.marks import Marks
from glassmind.tokenize.composed.added_tokens import AddedToken, AddedTokenFinder
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer, TokenizerFacts
from glassmind.worker import Worker, WorkerStopped

MAX_SOURCE = 1 << 20  # characters of a template
MAX_OUTPUT = 1 << 20  # characters that it may write besides as many as it was given

_PROBE = "\U0001342e\U0001342f"  # text that no template contains
_NEXT = "\U00013430"  # neither does any contain this
_MAX_DEPTH = 64
_JSON_BYTES = 12  # at most, for one character, written as \\ud83d\\ude00
_WORKER = Worker(
    Path(__file__).with_name("sandbox.py"),
    seconds=5.0,  # a rendering takes milliseconds
    memory=512 << 20,
    cannot_start="the worker for chat templates does not start; is the Python package jinja2 "
    f"installed for {sys.executable}?",
)

Message = Mapping[str, Any]
"""``{"role": "user", "content": "Hello"}``, and what else a template knows: ``tool_calls``,
``reasoning_content`` ... Values are those of JSON."""


@dataclass(frozen=True)
class ChatTemplate:
    """A chat template: ``source`` in Jinja's language.

    ``special_tokens`` are what the template may call by name, such as ``{"bos_token": "<s>"}``.
    ``name`` says in errors which template it is. ``tool_source`` takes the place of ``source``
    where there are tools; some models have two templates. Raises ``UserError`` for an absurdly long
    one.
    """

    source: str
    special_tokens: Mapping[str, str] = field(default_factory=dict)
    name: str = "the chat template"
    tool_source: str | None = None

    def __post_init__(self) -> None:
        for source in (self.source, self.tool_source or ""):
            if len(source) > MAX_SOURCE:
                raise UserError(
                    f"{self.name} has {len(source)} characters; the most that is read is "
                    f"{MAX_SOURCE}"
                )

    @classmethod
    def of(cls, facts: TokenizerFacts) -> ChatTemplate:
        """The template that came with a tokenizer. Raises ``UserError`` where none did."""
        if facts.chat_template is None:
            raise UserError(
                "this tokenizer has no chat template, so it is not for conversations; use an "
                "instruction-tuned model, or plain text"
            )
        named = {
            "bos_token": facts.bos_token,
            "eos_token": facts.eos_token,
            "unk_token": facts.unk_token,
            "pad_token": facts.pad_token,
        }
        special_tokens = {name: token for name, token in named.items() if token is not None}
        return cls(facts.chat_template, special_tokens, tool_source=facts.tool_template)

    def source_for(self, tools: object) -> str:
        """The source that is used with these tools, or without any."""
        return self.tool_source if tools and self.tool_source is not None else self.source

    def render(
        self,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> str:
        """The text of a conversation, for people to read: what a user wrote and what the template
        wrote cannot be told apart in it, so it is not to be searched for special tokens.

        ``add_generation_prompt`` ends it with what comes before an answer, ``tools`` are JSON
        schemas, ``variables`` whatever else the template knows (``enable_thinking=False``). Raises
        ``UserError`` where the template refuses, fails, or exceeds its limits.
        """
        given = _given(messages, tools, variables)
        return self._run({**given, "add_generation_prompt": add_generation_prompt})

    @cached_property
    def takes_system(self) -> bool:
        """Whether the template writes a system message. Some refuse it, or leave it out."""
        said, asked = _PROBE * 2, _PROBE
        try:
            text = self.render([_message("system", said), _message("user", asked)])
        except UserError:
            return False
        return said in text

    def turn_end(self, tokenizer: ComposedTokenizer) -> int | None:
        """The special token that ends an answer in this template; ``None`` where a turn ends with
        plain text, or with nothing.

        A token that the template writes behind any conversation, to open the reply, is not one:
        it is not there where the conversation goes on.
        """
        question, answer = _message("user", _PROBE), _message("assistant", _PROBE * 2)
        end = self._behind_answer(tokenizer, [question, answer])
        if end is None or self._last_of_prompt(tokenizer, question) != end:
            return end
        going_on = [question, answer, _message("user", _NEXT)]
        return end if self._behind_answer(tokenizer, going_on) == end else None

    def _behind_answer(
        self, tokenizer: ComposedTokenizer, messages: Sequence[Message]
    ) -> int | None:
        """The first special token behind the answer in ``messages``, before the next question."""
        try:
            given = _given(messages, None, {})
            sections = list(self._sections(tokenizer, given, add_generation_prompt=False))
        except UserError:
            return None
        ends: int | None = None
        for section in reversed(sections):
            if isinstance(section, AddedToken):
                ends = section.token_id if section.special else ends
            elif _PROBE * 2 in section:
                return None if _NEXT in section else ends
        return None

    def _last_of_prompt(self, tokenizer: ComposedTokenizer, question: Message) -> int | None:
        """The special token that a prompt ends with; ``None`` where it ends with text."""
        try:
            given = _given([question], None, {})
            *_, last = self._sections(tokenizer, given, add_generation_prompt=True)
        except (UserError, ValueError):
            return None
        return last.token_id if isinstance(last, AddedToken) else None

    def encode(
        self,
        tokenizer: ComposedTokenizer,
        messages: Sequence[Message],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        **variables: Any,
    ) -> list[int]:
        """The ids of a conversation, as ``render`` takes it. Spellings of special tokens in
        ``messages``, ``tools`` and ``variables`` stay text.

        With ``continue_final_message`` they end where the content of the last message ends, so that
        what is generated continues it.
        """
        sections = self._sections(
            tokenizer,
            _given(messages, tools, variables),
            add_generation_prompt=add_generation_prompt and not continue_final_message,
            cut=continue_final_message,
        )
        return tokenizer.encode_parts(
            section.token_id if isinstance(section, AddedToken) else section for section in sections
        )

    def _sections(
        self,
        tokenizer: ComposedTokenizer,
        given: JsonObject,
        *,
        add_generation_prompt: bool,
        cut: bool = False,
    ) -> Iterator[str | AddedToken]:
        """The text of a conversation and the tokens that the template wrote in it; with ``cut`` up
        to the end of the last message's content."""
        special = [token.content for token in tokenizer.added_tokens if token.special]
        known = {**self.special_tokens, **given}
        source = self.source_for(given["tools"])
        marks = Marks(special, used=set().union(source, *special, *_strings(known)))
        marked = marks.put(given)
        if cut:
            last = marked["messages"][-1]
            last["content"] = (last.get("content") or "") + marks.end
        text = self._run({**marked, "add_generation_prompt": add_generation_prompt})
        if cut:
            text, found, _ = text.rpartition(marks.end)
            if not found:
                raise UserError(
                    f"{self.name} does not write the content of the last message, so that cannot "
                    "be continued"
                )
            text = text.replace(marks.end, "")
        finder = AddedTokenFinder((token.content, token) for token in tokenizer.added_tokens)
        for section in finder.split(text, special=True):
            yield section if isinstance(section, AddedToken) else marks.remove(section)

    def _run(self, given: JsonObject) -> str:
        most = MAX_OUTPUT + sum(map(len, _strings(given)))
        variables = {**self.special_tokens, **given}
        source = self.source_for(given["tools"])
        request = {"source": source, "variables": variables, "most": most}
        try:
            answer = _WORKER.ask(request, _JSON_BYTES * most)
        except WorkerStopped as stopped:
            reason = (
                f"ran for more than {_WORKER.seconds:g} s"
                if stopped.timed_out
                else "broke its process"
            )
            raise UserError(f"{self.name} {reason} and was stopped") from None
        if "text" in answer:
            text: str = answer["text"]
            return text
        message = "".join(c if c.isprintable() else " " for c in answer["message"])[:300]
        raise UserError(
            {
                "raised": f"{self.name} refuses this conversation: {message}",
                "syntax": f"{self.name} is not valid Jinja ({message})",
                "unsafe": f"{self.name} tried to reach what it must not, and was stopped "
                f"({message})",
                "long": f"{self.name} wrote more than {most} characters and was stopped",
                "memory": f"{self.name} needed more than {_WORKER.memory >> 20} MB and was stopped",
                "other": f"{self.name} fails on this conversation ({message})",
            }[answer["failure"]]
        )


def _given(
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None,
    variables: Mapping[str, Any],
) -> JsonObject:
    """What a template is handed. Keys of a message that are ``None`` are left out, because
    templates ask whether a key is there."""
    if not messages:
        raise UserError("a conversation needs at least one message")
    for number, message in enumerate(messages):
        if not (isinstance(message, Mapping) and isinstance(message.get("role"), str)):
            raise UserError(
                f"message {number} must be an object with a role, as in "
                '{"role": "user", "content": "Hello"}'
            )
    kept = [{k: v for k, v in message.items() if v is not None} for message in messages]
    given = {"documents": None, "messages": kept, "tools": tools, **variables}
    return {name: _plain(value) for name, value in given.items()}


def _plain(value: Any, depth: int = 0) -> Any:
    """A copy of ``value`` out of what JSON has; nothing else is for a template."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if depth == _MAX_DEPTH:
        raise UserError(
            f"messages, tools and variables must not be nested more than {_MAX_DEPTH} deep"
        )
    if isinstance(value, (list, tuple)):
        return [_plain(element, depth + 1) for element in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(element, depth + 1) for key, element in value.items()}
    raise UserError(
        "messages, tools and variables must be made of text, numbers, lists and objects with text "
        f"as keys, as in JSON; one holds a {type(value).__name__}"
    )


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _strings(value: Any) -> Iterable[str]:
    """All strings in a plain ``value``."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        parts = chain.from_iterable(value.items()) if isinstance(value, dict) else value
        yield from chain.from_iterable(map(_strings, parts))
