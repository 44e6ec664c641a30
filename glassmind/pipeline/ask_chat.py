"""Ask a model from elsewhere: through its own chat template, in its own words.

    pretrained = load_pretrained("smollm2")
    chat = ask_chat("What is 12 times 7?", pretrained)
    chat.replies[0]

A model that was tuned for conversations answers in free text, and the answer is searched for in it
(``grade.extract_answer``); several samples vote. A base model has no chat template: it is given the
question as a text to continue, which it may do with more questions.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from glassmind.errors import UserError
from glassmind.generate import Engine, Generation, Request, SamplingParams, pack_model
from glassmind.grade import extract_answer
from glassmind.interop.pretrained import Pretrained
from glassmind.pipeline.ask import LONGEST_QUESTION, Answer
from glassmind.progress import Progress, Silent, watched
from glassmind.reason.vote import tally
from glassmind.records import Cost, Node, Trace
from glassmind.tokenize.chat_template.template import ChatTemplate

MAX_TOKENS = 256
VOTING_TEMPERATURE = 0.7  # where nobody says: samples that vote have to differ


@dataclass(frozen=True)
class Chat:
    """What the model said. ``replies`` are the whole texts, in the order of ``answer.chains``,
    whose steps are their lines; ``tokens_per_second`` counts all samples together."""

    answer: Answer
    replies: tuple[str, ...]
    tokens_per_second: float


def ask_chat(
    question: str,
    pretrained: Pretrained,
    *,
    samples: int = 1,
    temperature: float | None = None,
    max_tokens: int = MAX_TOKENS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Chat:
    """Ask one question; ``samples`` > 1 let as many replies vote.

    Replies have up to ``max_tokens`` tokens. ``temperature`` is 0 (greedy) for one sample and
    ``VOTING_TEMPERATURE`` for several, unless given.

    Raises:
        UserError: the model has no tokenizer, or the question is empty or too long for it.
    """
    if not question.strip():
        raise UserError("the question is empty: ask something like 'What is 12 times 7?'")
    if len(question) > LONGEST_QUESTION:
        raise UserError(
            f"the question has {len(question)} characters; at most {LONGEST_QUESTION} are read"
        )
    prompt, note = _prompt(question, pretrained)
    model, limit = pretrained.model, pretrained.model.config.max_tokens
    if len(prompt) >= limit:
        raise UserError(
            f"the question has {len(prompt)} tokens and the model reads at most {limit}, its "
            "answer included: shorten it"
        )
    if temperature is None:
        temperature = 0.0 if samples == 1 else VOTING_TEMPERATURE
    params = SamplingParams(
        max_new_tokens=max_tokens,
        temperature=temperature,
        stop=pretrained.stop_ids,
        samples=samples,
        seed=seed,
    )
    engine = Engine(pack_model(model))
    started = time.perf_counter()
    total = min(max_tokens, limit - len(prompt))
    with watched(progress or Silent(), "answering", total, "tokens") as update:
        generations = _generate(engine, Request(tuple(prompt), params), update, total)
    seconds = time.perf_counter() - started
    replies = tuple(_text(pretrained, generation) for generation in generations)
    trace = Trace.of_chains(
        "0",
        [
            [reply_node(generation, reply)]
            for generation, reply in zip(generations, replies, strict=True)
        ],
        Cost(prompt_tokens=len(prompt)),
    )
    chains = trace.completions
    votes = {key: int(count) for key, count in tally(chains).items()}
    answer = Answer(question, next(iter(votes), None), chains, votes, {}, note)
    tokens = sum(len(generation.token_ids) for generation in generations)
    return Chat(answer, replies, tokens / seconds)


def reply_node(generation: Generation, reply: str) -> Node:
    """A reply in free text as one node, whose answer is searched for in it."""
    return Node(
        parent=None,
        kind="text",
        text=reply,
        token_ids=generation.token_ids,
        logprobs=generation.logprobs,
        finish=generation.finish,
        answer=extract_answer(reply),
        cost=Cost(completion_tokens=len(generation.token_ids)),
    )


def _prompt(question: str, pretrained: Pretrained) -> tuple[list[int], str | None]:
    """The ids to continue, and what has to be said about them."""
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        raise UserError(
            f"{pretrained.source} holds no tokenizer, and without one no text can be asked"
        )
    if pretrained.chat_template is not None:
        facts = replace(tokenizer.facts, chat_template=pretrained.chat_template)
        messages = [{"role": "user", "content": question}]
        return ChatTemplate.of(facts).encode(tokenizer, messages), None
    before = [] if pretrained.bos_id is None else [pretrained.bos_id]
    note = (
        f"{pretrained.name} has no chat template: it was not made for conversations, and is given "
        "the question as plain text to continue"
    )
    return [*before, *tokenizer.encode(question)], note


def _text(pretrained: Pretrained, generation: Generation) -> str:
    """What was generated, without the token that ended it. Other special tokens end a line: models
    of ours write one behind every step."""
    tokenizer = pretrained.tokenizer
    if tokenizer is None:
        raise TypeError("a prompt has been made without a tokenizer")
    special = {*tokenizer.special.values(), *pretrained.stop_ids}
    lines: list[list[int]] = [[]]
    for token in generation.token_ids:
        if token in special:
            lines.append([])
        else:
            lines[-1].append(token)
    return "\n".join(filter(None, (tokenizer.decode(line).strip() for line in lines)))


def _generate(
    engine: Engine, request: Request, update: Callable[[int, int], None], total: int
) -> list[Generation]:
    """All samples; ``update`` hears how many tokens of ``total`` the longest one has."""
    engine.submit(request)
    lengths = [0] * request.params.samples
    done: dict[int, Generation] = {}
    while engine.busy:
        for event in engine.step():
            lengths[event.sample] += len(event.token_ids)
            if event.done is not None:
                done[event.sample] = event.done
        update(max(lengths), total)
    return [done[number] for number in sorted(done)]
