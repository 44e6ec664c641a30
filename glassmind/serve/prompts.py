"""From what a client sends to the ids a model continues.

Text from clients is only ever text: the spelling of a special token in it stays ten characters.
Special tokens come from templates, and from clients who send ids instead of text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from glassmind.errors import UserError
from glassmind.serve.served_model import ServedModel
from glassmind.tokenize import encode_prompt
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer


def text_prompt(served: ServedModel, text: str, *, special: bool = True) -> list[int]:
    """Ids of a text to continue, behind the token a text begins with, if there is one."""
    _check_length(served, len(text))
    first = [served.bos_id] if special and served.bos_id is not None else []
    return [*first, *served.tokenizer.encode(text)]


def chat_prompt(
    served: ServedModel,
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Sequence[Mapping[str, Any]] | None = None,
    think: bool | None = None,
    variables: Mapping[str, Any] | None = None,
) -> list[int]:
    """Ids of a conversation, up to where the model's turn begins.

    A model of a run was trained on single questions: it reads the last message of the user, and
    ``think`` false asks it for the answer without steps. ``variables`` are for the chat template.

    Raises:
        UserError: the model is not made for conversations, or its template refuses this one.
    """
    _check_length(served, sum(len(m["content"] or "") for m in messages))
    if served.format == "question":
        if tools:
            raise UserError(f"{served.name} was trained on questions alone and knows no tools")
        question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), None)
        if not (question or "").strip():
            raise UserError("the conversation holds no question: a message of the user with text")
        # White space as in the training problems: single spaces, none at the ends.
        style = "direct" if think is False else served.style
        return encode_prompt(served.tokenizer, " ".join(str(question).split()), style)
    if served.template is None or not isinstance(served.tokenizer, ComposedTokenizer):
        raise UserError(
            f"{served.name} has no chat template, so it was not made for conversations; "
            "use /v1/completions"
        )
    given = {} if think is None else {"enable_thinking": think}
    return served.template.encode(
        served.tokenizer, messages, tools=tools, **{**given, **(variables or {})}
    )


def _check_length(served: ServedModel, characters: int) -> None:
    """Refuse what cannot fit before it is read."""
    if characters > served.longest_text:
        raise UserError(
            f"the prompt has {characters} characters, and the model's context of "
            f"{served.context} tokens cannot hold them"
        )
