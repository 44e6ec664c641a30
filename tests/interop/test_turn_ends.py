"""What ends a reply: the config, the tokenizer and the chat template are all asked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import transformers
from saying_model import CHATML, END, chat_tokenizer, saying_weights

from glassmind.errors import UserError
from glassmind.generate import JSONObjectConstraint
from glassmind.interop.gguf import load_gguf, save_gguf
from glassmind.interop.huggingface import load_folder, save_folder
from glassmind.interop.turn_ends import stop_ids
from glassmind.llm.local import LocalLLM
from glassmind.tokenize.chat_template.template import ChatTemplate
from glassmind.tokenize.composed.tokenizer import ComposedTokenizer

TOKENIZER = chat_tokenizer()
IM_END, IM_START = TOKENIZER.special[END], TOKENIZER.special["<|im_start|>"]
GLM = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}\n{% endfor %}"


def named(tokenizer: ComposedTokenizer, **facts: Any) -> ComposedTokenizer:
    return replace(tokenizer, facts=replace(tokenizer.facts, **facts))


@pytest.mark.parametrize(("template", "end"), [
    (CHATML, IM_END),
    ("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", None),
    (GLM, None),  # the next role's marker is not this turn's end
    ("{% for m in messages %}{{ m.content }}</answer>\n<|im_end|>{% endfor %}<|end|>", IM_END),
    ("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}", IM_END),
    ("{% for m in messages %}{{ m.content }}{% endfor %}<|im_end|>", None),  # it opens the reply
    ("{{ raise_exception('no') }}", None),
    ("{{ '{%' }", None),
    ("{% for m in messages if m.role == 'user' %}{{ m.content }}<|im_end|>{% endfor %}", None),
    ("{% for m in messages %}{{ m.content | trim | upper }}<|im_end|>{% endfor %}", IM_END),
])  # fmt: skip
def test_what_a_template_ends_an_answer_with(template: str, end: int | None) -> None:
    assert ChatTemplate(template).turn_end(TOKENIZER) == end


@pytest.mark.parametrize("eos", [5, None])
def test_a_folder_of_a_chat_model_with_the_bases_config(tmp_path: Path, eos: int | None) -> None:
    folder = tmp_path / "chat"
    save_folder(saying_weights("hello", 18), folder)
    (folder / "generation_config.json").unlink()
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": eos}), "utf-8")
    loaded = load_folder(folder)
    listed = set() if eos is None else {eos}
    assert loaded.stop_ids == {IM_END, *listed}
    JSONObjectConstraint(LocalLLM.of_pretrained(loaded, "chat").vocabulary)
    # Written again, the tokenizer's own comes first, since some programs read no other.
    save_folder(loaded, tmp_path / "again")
    written = json.loads((tmp_path / "again" / "generation_config.json").read_text("utf-8"))
    assert written["eos_token_id"] == ([IM_END, *sorted(listed)] if listed else IM_END)


def test_each_source_alone_is_enough() -> None:
    silent = named(TOKENIZER, eos_token=None, chat_template=None)
    size = TOKENIZER.vocab_size
    assert stop_ids([3], silent, None, size) == {3}
    assert stop_ids([], TOKENIZER, None, size) == {IM_END}
    assert stop_ids([], silent, CHATML, size) == {IM_END}
    assert stop_ids([], None, None, size) == frozenset()
    assert stop_ids([size, -1], silent, None, size) == frozenset()
    assert stop_ids([], named(silent, eos_token="<not there>"), None, size) == frozenset()


def test_a_gguf_without_the_token_that_ends_a_turn(tmp_path: Path) -> None:
    base = replace(saying_weights("hello", 18), stop_ids=frozenset({5}))
    plain = named(TOKENIZER, eos_token=None)
    save_gguf(replace(base, tokenizer=plain), tmp_path / "m.gguf", "f32")
    assert load_gguf(tmp_path / "m.gguf").stop_ids == {5, IM_END}


def test_two_templates_survive_a_folder_and_a_gguf(tmp_path: Path) -> None:
    two = chat_tokenizer(CHATML, "tools: {{ tools }}")
    model = saying_weights("hello", 18, two)
    save_folder(model, tmp_path / "folder")
    save_gguf(model, tmp_path / "m.gguf", "f32")
    for loaded in (load_folder(tmp_path / "folder"), load_gguf(tmp_path / "m.gguf")):
        assert loaded.tokenizer is not None
        facts = loaded.tokenizer.facts
        assert (facts.chat_template, facts.tool_template) == (CHATML, "tools: {{ tools }}")


@pytest.mark.parametrize("kind", ["list", "files"])
def test_named_templates_are_read_as_transformers_reads_them(tmp_path: Path, kind: str) -> None:
    save_folder(saying_weights("hello", 18), tmp_path / "m")
    folder = tmp_path / "m"
    (folder / "chat_template.jinja").unlink()
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    del config["chat_template"]
    default, tool_use = "D:{{ messages[0].content }}", "T:{{ messages[0].content }}"
    if kind == "list":
        config["chat_template"] = [
            {"name": "default", "template": default},
            {"name": "tool_use", "template": tool_use},
            {"name": "rag", "template": "R"},
        ]
    else:
        (folder / "chat_template.jinja").write_text(default, "utf-8")
        (folder / "additional_chat_templates").mkdir()
        (folder / "additional_chat_templates" / "tool_use.jinja").write_text(tool_use, "utf-8")
    path.write_text(json.dumps(config), "utf-8")
    ours = load_folder(folder).tokenizer
    assert ours is not None
    template = ChatTemplate.of(ours.facts)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "user", "content": "hi"}]
    tools = [{"type": "function", "function": {"name": "w", "parameters": {}}}]
    for given in (None, tools):
        rendered = theirs.apply_chat_template(messages, tools=given, tokenize=False)
        assert template.render(messages, tools=given) == rendered


def test_a_template_that_is_no_text_is_refused(tmp_path: Path) -> None:
    save_folder(saying_weights("hello", 18), tmp_path / "m")
    (tmp_path / "m" / "chat_template.jinja").unlink()
    path = tmp_path / "m" / "tokenizer_config.json"
    for wrong in ([{"name": "default"}], [5], 5):
        config = {**json.loads(path.read_text("utf-8")), "chat_template": wrong}
        path.write_text(json.dumps(config), "utf-8")
        with pytest.raises(UserError, match="chat_template"):
            load_folder(tmp_path / "m")
