"""A completion of our own format as the nodes of a trace: a span for each step, and the answer.

    48/2=24 <|step|> 24+3=27 <|step|> <|/think|> <|answer|> 27 <|end|>
    |--- step -----|---- step ------|------------- answer -----------|

If a tool wrote some of the tokens, they are a separate span, so that every node has one author;
only the last span of a step is closed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from glassmind.records import Author, Cost, Finish, Node, NodeKind
from glassmind.tokenize.base import Tokenizer
from glassmind.tokenize.reasoning import ParsedCompletion, Style, parse_completion
from glassmind.tokenize.special import ANSWER, END_THINK


def chain_nodes(
    tok: Tokenizer,
    token_ids: Sequence[int],
    style: Style,
    *,
    finish: Finish,
    logprobs: Sequence[float] = (),
    sampled_logprobs: Sequence[float] = (),
    forced: Sequence[bool] = (),
) -> list[Node]:
    """The nodes of one completion, from its first token to its last; at least one, the leaf.

    ``logprobs``, ``sampled_logprobs`` and ``forced`` have one entry per token of ``token_ids``, or
    are empty. Forced tokens count as a tool's. Any ids can be read, as with ``parse_completion``.
    """
    ids = tuple(token_ids)
    parsed = parse_completion(tok, ids, style)
    nodes = []
    spans = list(_spans(tok, ids, style, parsed, forced))
    for number, (kind, start, end, author, closed, text) in enumerate(spans):
        last = number == len(spans) - 1
        nodes.append(
            Node(
                parent=number - 1 if number else None,
                kind=kind,
                text=text,
                token_ids=ids[start:end],
                logprobs=tuple(logprobs[start:end]),
                sampled_logprobs=tuple(sampled_logprobs[start:end]),
                author=author,
                closed=closed,
                finish=finish if last else None,
                answer=parsed.answer if last else None,
                cost=Cost(completion_tokens=end - start),
            )
        )
    return nodes


_Span = tuple[NodeKind, int, int, Author, bool, str]
"""Kind, start and end token, author, whether it is closed, text."""


def _spans(
    tok: Tokenizer,
    ids: tuple[int, ...],
    style: Style,
    parsed: ParsedCompletion,
    forced: Sequence[bool],
) -> Iterator[_Span]:
    start = 0
    for text, position in zip(parsed.steps, parsed.step_token_positions, strict=True):
        yield from _by_author(tok, "step", ids, start, position + 1, True, text, forced)
        start = position + 1
    if start < len(ids) or not ids:
        rest = ids[start:]
        special = tok.special
        answering = style == "direct" or special[ANSWER] in rest or special[END_THINK] in rest
        text = _text(tok, rest) if parsed.answer is None else parsed.answer
        kind: NodeKind = "answer" if answering else "step"
        closed = answering and parsed.answer_position is not None
        yield from _by_author(tok, kind, ids, start, len(ids), closed, text, forced)


def _by_author(
    tok: Tokenizer,
    kind: NodeKind,
    ids: tuple[int, ...],
    start: int,
    end: int,
    closed: bool,
    text: str,
    forced: Sequence[bool],
) -> Iterator[_Span]:
    """The span from ``start`` to ``end``, cut where the author changes."""
    cuts = [at for at in range(start + 1, end) if forced and forced[at] != forced[at - 1]]
    for first, last in zip([start, *cuts], [*cuts, end], strict=True):
        author: Author = "tool" if forced and first < end and forced[first] else "model"
        words = text if not cuts else _text(tok, ids[first:last])
        yield kind, first, last, author, closed and last == end, words


def _text(tok: Tokenizer, ids: Sequence[int]) -> str:
    special = set(tok.special.values())
    return tok.decode([i for i in ids if 0 <= i < tok.vocab_size and i not in special])
