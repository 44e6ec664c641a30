"""What begins and ends an answer, and values at the edge of their range, asked over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from saying_model import END, chat_tokenizer, saying
from tiny_servers import serving

from glassmind.llm.local import LocalLLM

MESSAGES = [{"role": "user", "content": "hi"}]
SAYS = "hello world, the answer is here"
TOKENIZER = chat_tokenizer()
HELLO_WORLD = TOKENIZER.encode("hello world")


@pytest.fixture(scope="module")
def says() -> LocalLLM:
    prompt = saying("", 1, TOKENIZER).chat_prompt(MESSAGES)
    return saying(SAYS, prompt, TOKENIZER)


@pytest.fixture(scope="module")
def http(says: LocalLLM) -> Iterator[httpx2.Client]:
    with serving(says) as address, httpx2.Client(base_url=address, timeout=60) as client:
        yield client


def chat(http: httpx2.Client, **fields: Any) -> dict[str, Any]:
    body = {"messages": MESSAGES, "max_tokens": 60, "temperature": 0, **fields}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    choice: dict[str, Any] = answer.json()["choices"][0]
    return {**choice, "text": choice["message"]["content"], "usage": answer.json()["usage"]}


def complete(http: httpx2.Client, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/completions", json={"prompt": "hi", **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("fields", [
    {"temperature": 1e-6}, {"temperature": 1, "top_p": 0}, {"top_k": -1}, {"top_logprobs": 0},
    {"temperature": 1, "top_k": 1}, {"stop_token_ids": []}, {"min_tokens": 0},
])  # fmt: skip
def test_values_at_the_edge_mean_what_they_do_elsewhere(
    http: httpx2.Client, fields: dict[str, Any]
) -> None:
    assert chat(http, **fields)["text"] == SAYS


def test_stop_token_ids_end_an_answer_and_are_not_in_it(http: httpx2.Client) -> None:
    comma = TOKENIZER.encode(",")
    ended = chat(http, stop_token_ids=comma)
    assert (ended["text"], ended["finish_reason"]) == ("hello world", "stop")
    assert ended["usage"]["completion_tokens"] == len(HELLO_WORLD) + 1
    assert chat(http, stop_token_ids=comma, ignore_eos=True)["text"] == "hello world"


def test_no_end_token_comes_before_min_tokens(http: httpx2.Client) -> None:
    n_said = len(TOKENIZER.encode(SAYS))
    longer = chat(http, min_tokens=n_said + 5, lookup=4)
    assert longer["text"].startswith(SAYS) and len(longer["text"]) > len(SAYS)
    assert longer["usage"]["completion_tokens"] >= n_said + 5
    comma = TOKENIZER.encode(",")
    late = chat(http, stop_token_ids=comma, min_tokens=len(HELLO_WORLD) + 1)
    assert late["text"].startswith("hello world") and late["text"][11] != ","


def test_with_ignore_eos_only_the_limit_ends_an_answer(http: httpx2.Client) -> None:
    ended = chat(http, ignore_eos=True, max_tokens=40)
    assert ended["text"].startswith(SAYS) and ended["finish_reason"] == "length"
    assert ended["usage"]["completion_tokens"] == 40


def test_the_final_message_can_be_continued(http: httpx2.Client, says: LocalLLM) -> None:
    begun = [*MESSAGES, {"role": "assistant", "content": "hello world"}]
    ended = chat(http, messages=begun, continue_final_message=True, add_generation_prompt=False)
    assert ended["text"] == ", the answer is here"
    ids = says.chat_prompt(begun, continue_last=True)
    assert ids == [*says.chat_prompt(MESSAGES), *HELLO_WORLD]
    closed = says.chat_prompt(begun, begin_answer=False)
    assert closed[: len(ids) + 1] == [*ids, TOKENIZER.special[END]]
    both = {"continue_final_message": True, "add_generation_prompt": True}
    answer = http.post("/v1/chat/completions", json={"messages": begun, **both})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "continue_final_message"


@pytest.mark.parametrize("echo", [False, True])
def test_no_token_is_no_token(http: httpx2.Client, echo: bool) -> None:
    [choice] = (found := complete(http, max_tokens=0, echo=echo))["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("hi" if echo else "", "length")
    assert found["usage"]["completion_tokens"] == 0
    streamed = http.post("/v1/completions", json={"prompt": "hi", "max_tokens": 0, "stream": True})
    assert '"text":""' in streamed.text and "hello" not in streamed.text


@pytest.mark.parametrize("fields", [{"n": 2}, {"best_of": 3}, {"n": 2, "best_of": 3}])
def test_every_echoed_sample_has_the_log_probabilities_of_the_prompt(
    http: httpx2.Client, fields: dict[str, Any]
) -> None:
    prompt = "hello, hello"
    asked = {"prompt": [prompt, "hi"], "echo": True, "logprobs": 1, "max_tokens": 2, "seed": 5}
    [single, *_] = complete(http, **asked)["choices"]
    choices = complete(http, **asked, **fields)["choices"]
    n_prompt = len(TOKENIZER.encode(prompt))
    assert len(choices) == 2 * fields.get("n", 1)
    for choice in choices[: fields.get("n", 1)]:
        scores = choice["logprobs"]["token_logprobs"]
        assert scores[0] is None and len(scores) == n_prompt + 2
        expected = single["logprobs"]["token_logprobs"][1:n_prompt]
        assert scores[1:n_prompt] == pytest.approx(expected, abs=1e-5)


def test_a_tokenizer_at_a_distance(http: httpx2.Client) -> None:
    """What lm-eval's remote tokenizer asks: the id of the token that ends a text."""
    info = http.get("/tokenizer_info").json()
    assert info["eos_token"] == END
    asked = {"prompt": f"hello{END}", "add_special_tokens": False}
    ids = http.post("/tokenize", json=asked).json()["tokens"]
    assert ids == [*TOKENIZER.encode("hello"), TOKENIZER.special[END]]
    plain = http.post("/tokenize", json={**asked, "parse_special": False}).json()["tokens"]
    assert plain == TOKENIZER.encode(f"hello{END}")
