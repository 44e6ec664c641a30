"""What a fine-tuned chat model learns to end an answer with, and where its folder says so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
from saying_model import CHATML, END, chat_tokenizer, saying_weights

from glassmind.data.batches.columns import COMPLETION
from glassmind.data.batches.packing import Document
from glassmind.data.chats import Chat
from glassmind.interop.huggingface import load_folder, save_folder
from glassmind.pipeline.answer_ends import AnswerEnd, ended_documents
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

TOKENIZER = chat_tokenizer()
IM_END = TOKENIZER.special[END]
CHAT = Chat(
    (
        {"role": "user", "content": "a?"},
        {"role": "assistant", "content": "hello"},
        {"role": "user", "content": "b?"},
        {"role": "assistant", "content": "world"},
    )
)
BARE = "{% for m in messages %}\n{{ m.role }}: {{ m.content }}{% endfor %}"
ROLES = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\n{% endfor %}"
PROMPTED = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def with_eos(eos: str | None) -> ComposedTokenizer:
    return replace(TOKENIZER, facts=replace(TOKENIZER.facts, eos_token=eos))


def learned(document: Document) -> str:
    ids = document.ids[document[COMPLETION]]
    return TOKENIZER.decode(ids.tolist(), skip_special=False)


@pytest.mark.parametrize(("template", "eos", "stop_ids", "end"), [
    (CHATML, "<|end|>", set(), AnswerEnd(IM_END, True)),
    (BARE, END, {IM_END}, AnswerEnd(IM_END, False)),
    (ROLES, END, {IM_END, 5}, AnswerEnd(IM_END, False)),
    (BARE, None, {9, 5}, AnswerEnd(5, False)),
    (BARE, END, {5}, AnswerEnd(5, False)),  # the model has no row for the tokenizer's
    (BARE, None, set(), AnswerEnd(None, False)),
])  # fmt: skip
def test_what_ends_an_answer(
    template: str, eos: str | None, stop_ids: set[int], end: AnswerEnd
) -> None:
    assert AnswerEnd.of(ChatTemplate(template), with_eos(eos), frozenset(stop_ids)) == end


@pytest.mark.parametrize("template", [BARE, ROLES + PROMPTED])
def test_where_a_template_teaches_no_end_every_answer_gets_one(template: str) -> None:
    chats = ChatTemplate(template)
    end = AnswerEnd.of(chats, TOKENIZER, frozenset({IM_END}))
    found = ended_documents([CHAT], TOKENIZER, chats, end, most_tokens=90)
    assert [learned(document).split()[-1] for document in found.documents] == [
        f"hello{END}" if template == BARE else END,
        f"world{END}" if template == BARE else END,
    ]
    assert all("hello" in learned(d) or "world" in learned(d) for d in found.documents)
    longest = max(len(document.ids) for document in found.documents)
    fits = ended_documents([CHAT], TOKENIZER, chats, end, most_tokens=longest)
    assert len(fits.documents) == 2
    less = ended_documents([CHAT], TOKENIZER, chats, end, most_tokens=longest - 1)
    assert len(less.documents) == 1 and less.too_long == 1
    last = ended_documents([CHAT], TOKENIZER, chats, end, most_tokens=90, turns="last")
    assert len(last.documents) == 1 and "world" in learned(last.documents[0])


def test_a_template_that_ends_its_turns_is_left_alone() -> None:
    end = AnswerEnd(IM_END, True)
    [document] = ended_documents(
        [CHAT], TOKENIZER, ChatTemplate(CHATML), end, most_tokens=90
    ).documents
    assert learned(document) == f"hello{END}world{END}"
    assert end.explanation(ChatTemplate(CHATML), TOKENIZER) == ""


def test_a_sentence_says_how_the_model_learns_to_stop_or_that_it_does_not() -> None:
    bare = ChatTemplate(BARE)
    put = AnswerEnd(IM_END, False).explanation(bare, TOKENIZER)
    assert "<|im_end|> is put there, so that the model learns to stop" in put
    assert "does not learn to stop" in AnswerEnd(None, False).explanation(bare, TOKENIZER)


@pytest.mark.usefixtures("scratch")
def test_a_base_model_that_learns_to_chat_says_how_it_stops(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``train instruct`` of a model whose config and tokenizer name the token that ends a text."""
    base = with_eos("<|pad|>")
    plain = replace(base, facts=replace(base.facts, chat_template=None))
    model = saying_weights("hello", 9, TOKENIZER)
    save_folder(
        replace(model, tokenizer=plain, chat_template=None, stop_ids=frozenset({0})), Path("base")
    )
    Path("mine.jinja").write_text(CHATML, "utf-8")
    question, answer, *_ = CHAT.messages
    rows = [
        {"messages": [{**question, "content": f"{n}?"}, {**answer, "content": f"hello {n}"}]}
        for n in range(6)
    ]
    Path("chats.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    settings = (
        *("start=base", "chats.template=mine.jinja", "chats.file=chats.jsonl", "lora.rank=0"),
        *("train.steps=1", "train.batch_rows=2", "train.row_tokens=64", "train.precision=float32"),
        *("train.compile=off", "train.warmup=1", "train.checkpoint_minutes=0"),
    )
    options = [word for setting in settings for word in ("--set", setting)]
    command_line.product(capsys, "train", "instruct", "--run", "tuned", *options)
    for name in ("config.json", "generation_config.json"):
        ids = json.loads(Path("tuned", name).read_text("utf-8"))["eos_token_id"]
        assert ids == [IM_END, 0]
    config = json.loads(Path("tuned", "tokenizer_config.json").read_text("utf-8"))
    assert config["eos_token"] == END
    assert load_folder("tuned").stop_ids == {IM_END, 0}
