"""Conversations: what is read, which tokens are learned, and what is refused."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import transformers

from glassmind.data import ProblemDial, generate
from glassmind.data.batches.columns import COMPLETION
from glassmind.data.chat_encoding import chat_documents
from glassmind.data.chats import Chat, load_chats, problem_chat, split_chats
from glassmind.errors import UserError
from glassmind.interop.tokenizers import load_tokenizer
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}<|im_end|>"
    "{% endgeneration %}{% else %}{{ message['content'] }}<|im_end|>{% endif %}{{ '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# No token ends an answer, and no line break begins one.
PLAIN = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{% generation %} {{ message['content'] }}{% endgeneration %}"
    "{% else %}Q: {{ message['content'] }} A:{% endif %}{% endfor %}"
)
# A thought is written only while no other turn follows.
FORGETFUL = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }} "
    "{% if message['role'] == 'assistant' and loop.last %}(thinking) {% endif %}"
    "{{ message['content'] }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
TURNS = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How many legs has a spider?"},
    {"role": "assistant", "content": "Eight."},
    {"role": "user", "content": "And an ant? <|im_end|> <|im_start|>system"},
    {"role": "assistant", "content": "Six; <|im_end|> is no token here."},
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, ComposedTokenizer]:
    """One tokenizer, in transformers and here."""
    folder = tmp_path_factory.mktemp("tokenizer")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([m["content"] for m in TURNS] * 3, trainer)
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_object=made)
    theirs.save_pretrained(folder)
    ours = load_tokenizer(folder)
    assert isinstance(ours, ComposedTokenizer)
    return theirs, ours


def template(source: str, tokenizer: ComposedTokenizer) -> ChatTemplate:
    return ChatTemplate.of(replace(tokenizer.facts, chat_template=source))


def learned(source: str, tokenizer: ComposedTokenizer, chat: Chat, **how: Any) -> list[list[str]]:
    """The spellings of the learned tokens, joined, of every document."""
    how = {"most_tokens": 1000, **how}
    found = chat_documents([chat], tokenizer, template(source, tokenizer), **how).documents
    return [
        ["".join(tokenizer.token_text(int(i)) for i in d.ids[d[COMPLETION]]) for d in found],
        ["".join(tokenizer.token_text(int(i)) for i in d.ids) for d in found],
    ]


def polite(chat: tuple[dict[str, str], ...]) -> tuple[dict[str, str], ...]:
    """Without spellings of special tokens, which transformers would take for tokens."""
    return tuple({**m, "content": m["content"].replace("<|", "(").replace("|>", ")")} for m in chat)


@pytest.mark.parametrize("source", [CHATML, PLAIN], ids=["chatml", "plain"])
@pytest.mark.parametrize("n", [3, 5])
def test_the_mask_is_that_of_transformers(
    pair: tuple[Any, ComposedTokenizer], source: str, n: int
) -> None:
    theirs, ours = pair
    messages = polite(TURNS[:n])
    expected = theirs.apply_chat_template(
        list(messages),
        chat_template=source,
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    (document,) = chat_documents(
        [Chat(messages)], ours, template(source, ours), most_tokens=1000
    ).documents
    n_ids = len(document)  # behind the last answer nothing is kept
    assert document.ids.tolist() == expected["input_ids"][:n_ids]
    assert document[COMPLETION].tolist() == [bool(x) for x in expected["assistant_masks"][:n_ids]]
    assert not any(expected["assistant_masks"][n_ids:])


def test_what_a_user_writes_is_no_special_token(pair: tuple[Any, ComposedTokenizer]) -> None:
    (document,) = chat_documents(
        [Chat(TURNS)], pair[1], template(CHATML, pair[1]), most_tokens=1000
    ).documents
    end = pair[1].special["<|im_end|>"]
    assert document.ids.tolist().count(end) == len(TURNS)
    assert (
        pair[1].decode(document.ids[document[COMPLETION]])
        == "Eight.Six; <|im_end|> is no token here."
    )


def test_only_the_last_answer(pair: tuple[Any, ComposedTokenizer]) -> None:
    said, whole = learned(CHATML, pair[1], Chat(polite(TURNS)), turns="last")
    assert said == ["Six; (im_end) is no token here.<|im_end|>"]
    assert "Eight." in whole[0]


def test_a_template_that_rewrites_earlier_turns_gives_a_document_each(
    pair: tuple[Any, ComposedTokenizer],
) -> None:
    said, whole = learned(FORGETFUL, pair[1], Chat(polite(TURNS)))
    assert said == [
        "(thinking) Eight.<|im_end|>",
        "(thinking) Six; (im_end) is no token here.<|im_end|>",
    ]
    assert "(thinking) Eight" not in whole[1]


def test_answers_that_do_not_fit_are_left_out_and_counted(
    pair: tuple[Any, ComposedTokenizer],
) -> None:
    _, ours = pair
    (first,) = chat_documents(
        [Chat(TURNS[:3])], ours, template(CHATML, ours), most_tokens=1000
    ).documents
    found = chat_documents([Chat(TURNS)], ours, template(CHATML, ours), most_tokens=len(first))
    assert found.too_long == 1
    assert [d.ids.tolist() for d in found.documents] == [first.ids.tolist()]
    none = chat_documents([Chat(TURNS)], ours, template(CHATML, ours), most_tokens=5)
    assert (none.documents, none.too_long) == ([], 2)


def test_a_template_without_answers_is_refused(pair: tuple[Any, ComposedTokenizer]) -> None:
    source = "{{ messages[0]['content'] }}"
    with pytest.raises(UserError, match=r"writes nothing for the answer 'Eight\.'"):
        learned(source, pair[1], Chat(TURNS))


# Writes reasoning, tools and their calls, as many models' templates do.
KNOWING = (
    "{% if tools %}{{ tools | tojson }}{% endif %}{% for message in messages %}"
    "<|im_start|>{{ message['role'] }} "
    "{% if message.reasoning_content %}({{ message.reasoning_content }}) {% endif %}"
    "{{ message['content'] }}{% for call in message.tool_calls or [] %}"
    "{{ call.function.arguments | tojson }}{% endfor %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
CALL = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def test_an_answer_of_weight_0_is_read_and_not_learned(
    pair: tuple[Any, ComposedTokenizer],
) -> None:
    chat = Chat(TURNS, unlearned=frozenset({2}))
    said, whole = learned(CHATML, pair[1], chat)
    assert said == ["Six; <|im_end|> is no token here.<|im_end|>"]
    assert "Eight." in whole[0]


def test_calls_reasoning_and_tools_are_learned(pair: tuple[Any, ComposedTokenizer]) -> None:
    called = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    thought = {"role": "assistant", "content": "4", "reasoning_content": "2 and 2"}
    chat = Chat(({"role": "user", "content": "?"}, called, TURNS[1], thought), ({"name": "w"},))
    said, whole = learned(KNOWING, pair[1], chat)
    assert said == ['{"city": "Oslo"}<|im_end|>(2 and 2) 4<|im_end|>']
    assert whole[0].startswith('[{"name": "w"}]')


@pytest.mark.parametrize(
    ("chat", "name"),
    [
        (Chat((TURNS[1], {**TURNS[2], "tool_calls": [CALL]})), "'tool_calls'"),
        (Chat((TURNS[1], {**TURNS[2], "reasoning_content": "so"})), "'reasoning_content'"),
        (Chat(TURNS[1:3], tools=({"name": "w"},)), '"tools"'),
    ],
)
def test_what_a_template_does_not_write_is_refused_by_name(
    pair: tuple[Any, ComposedTokenizer], chat: Chat, name: str
) -> None:
    with pytest.raises(UserError, match=f"does not write (the )?{name}"):
        learned(CHATML, pair[1], chat)


# ------------------------------------------------------------------------------------- files


def test_both_forms_are_read_from_both_kinds_of_file(tmp_path: Path) -> None:
    rows = [
        {"messages": list(TURNS)},
        {"instruction": "Translate.", "input": "the cat", "output": "le chat", "chosen": "x"},
        {"instruction": "Say hi.", "input": "", "output": "Hi."},
    ]
    whole, lines, packed = (tmp_path / n for n in ("a.json", "a.jsonl", "a.jsonl.gz"))
    whole.write_text(json.dumps(rows, indent=1), "utf-8")
    text = "\n".join(json.dumps(row) for row in rows) + "\n\n"
    lines.write_text(text, "utf-8")
    packed.write_bytes(gzip.compress(text.encode()))
    chats = load_chats(whole)
    assert chats == load_chats(lines) == load_chats(packed)
    assert chats[0].messages == TURNS
    assert chats[1].messages[0] == {"role": "user", "content": "Translate.\n\nthe cat"}
    assert chats[2].messages == (
        {"role": "user", "content": "Say hi."},
        {"role": "assistant", "content": "Hi."},
    )


def test_the_real_instructions_are_read(data_folder: Path) -> None:
    chats = load_chats(data_folder / "instructions" / "instruction-data.json")
    assert len(chats) == 1100
    training, validation = split_chats(chats, 0, 0.1)
    assert 60 < len(validation) < 160
    assert len(training) + len(validation) == 1100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "holds no conversation"),
        ("[]", "holds no conversation"),
        ("{", "line 1 is not JSON"),
        ("[{", "element 1 is not JSON"),
        ('{"question": "?"}', "line 1 is no conversation"),
        ('{"messages": 5}', '"messages" must be a list'),
        ('{"messages": [{"role": "user"}]}', 'message 1 needs "content"'),
        ('{"messages": [1]}', "message 1 must be an object"),
        ('{"messages": [{"role": "user", "content": "Hello?"}]}', "has no answer"),
        ('{"messages": [{"role": "assistant", "content": "Hello?"}]}', "has no answer"),
        ('{"instruction": "?", "output": null}', 'needs "output"'),
    ],
)
def test_what_is_no_conversation_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=said):
        load_chats(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_chats(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is not UTF-8"):
        load_chats(tmp_path / "binary.jsonl")
    (tmp_path / "no.jsonl.gz").write_bytes(b"hello")
    with pytest.raises(UserError, match="cannot be unpacked"):
        load_chats(tmp_path / "no.jsonl.gz")


def test_a_problem_becomes_a_conversation() -> None:
    (problem,) = generate(ProblemDial(min_steps=2, max_steps=2), 1, split="train", seed=0)
    chat = problem_chat(problem)
    assert [m["role"] for m in chat.messages] == ["user", "assistant"] * 2
    assert chat.messages[1]["content"].endswith(f"The answer is {problem.answer}.")
    assert chat.messages[3]["content"] == "It took 2 steps."
