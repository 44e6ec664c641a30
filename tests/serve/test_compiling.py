"""Constraints that take long: others go on, turns are taken, and what nobody waits for is ended."""

from __future__ import annotations

import asyncio
import threading

import httpx2
import pytest
from tiny_servers import serving

from glassmind.errors import UserError
from glassmind.generate.constraint.constraint import JSONSchemaConstraint
from glassmind.generate.constraint.one_of import certainly_apart
from glassmind.generate.constraint.trial import GrammarTrial
from glassmind.llm.local import LocalLLM
from glassmind.serve.access.memory import Account, Memory
from glassmind.serve.access.refusals import Refusal
from glassmind.serve.constraints import Form
from glassmind.serve.work.compiling import MOST_WAITING, Compiler
from glassmind.serve.work.turns import Turns

# Every branch refers to the same long list: compared pair by pair, that is 16 million values.
MANY = {"enum": [f"value{n}" for n in range(9000)]}
SHARED = {
    "$defs": {"many": MANY},
    "oneOf": [
        {"properties": {"a": {"$ref": "#/$defs/many"}}, "required": ["a"], "type": "object"}
        for _ in range(60)
    ],
}


class Endless(GrammarTrial):
    """A grammar that is never done with, until the process is ended."""

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()

    def __call__(self, grammar: str, what: str) -> None:
        if "slow" in grammar:
            self.begun.set()
            assert self.ended.wait(60)
            raise UserError("stopped")

    def close(self) -> None:
        self.ended.set()


def test_others_go_on_and_who_hangs_up_is_not_worked_for(
    tiny: LocalLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = Endless()
    monkeypatch.setattr("glassmind.serve.work.compiling.GrammarTrial", lambda: trial)
    with serving(tiny) as address, httpx2.Client(base_url=address, timeout=60) as http:

        async def hang_up() -> None:
            async with httpx2.AsyncClient(base_url=address, timeout=60) as other:
                body = {"prompt": "x", "regex": "slow"}
                asked = asyncio.ensure_future(other.post("/v1/completions", json=body))
                await asyncio.to_thread(trial.begun.wait, 60)
                plain = await asyncio.to_thread(
                    http.post, "/v1/completions", json={"prompt": "x", "max_tokens": 2}
                )
                assert plain.is_success and not trial.ended.is_set()
                asked.cancel()

        asyncio.run(hang_up())
        assert trial.ended.wait(60)
        answer = http.post("/v1/completions", json={"prompt": "x", "regex": "quick"})
        assert answer.json()["choices"][0]["text"] == "quick"


def test_what_takes_too_long_is_refused(tiny: LocalLLM) -> None:
    trial = GrammarTrial(seconds=0.3)
    values = [f"value{n}" for n in range(4900)]
    slow = [{"enum": values}, {"enum": [f"other{n}" for n in range(4900)] + values[-1:]}]
    schema = {"allOf": [{"oneOf": slow}, {"oneOf": slow[::-1]}]}
    try:
        with pytest.raises(UserError, match="JSON schema"):
            JSONSchemaConstraint(schema, tiny.vocabulary, trial)
        JSONSchemaConstraint({"type": "integer"}, tiny.vocabulary, trial)
    finally:
        trial.close()


def test_branches_are_compared_within_bounds() -> None:
    assert not certainly_apart(SHARED["oneOf"], SHARED)  # type: ignore[arg-type]
    apart = [{"enum": [f"value{n}{m}" for n in range(100)]} for m in "abcdefgh"]
    assert certainly_apart(apart, {})
    assert not certainly_apart([*apart, apart[0]], {})


def test_a_failed_constraint_does_not_keep_the_turn(tiny: LocalLLM) -> None:
    async def run() -> None:
        compiler = Compiler(tiny.vocabulary, Endless())
        for pattern in ("(", "a"):
            form = Form("regex", pattern, "regex")
            if pattern == "(":
                with pytest.raises(Refusal):
                    await compiler.constraint(form, "me")
            else:
                made = await compiler.constraint(form, "me")
                assert made is await compiler.constraint(form, "you")
        assert await compiler.constraint(None, "me") is None
        compiler.close()

    asyncio.run(run())


def test_clients_take_turns() -> None:
    async def run() -> list[str]:
        turns, served = Turns(MOST_WAITING, "it"), list[str]()

        async def work(client: str) -> None:
            async with turns.of(client):
                served.append(client)
                await asyncio.sleep(0)

        names = ["a"] * 5 + ["b", "c", "c"]
        tasks = [asyncio.ensure_future(work(name)) for name in names]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        async with turns.of("z"):
            tasks = [asyncio.ensure_future(work("a")) for _ in range(MOST_WAITING + 1)]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            [refused] = done
            assert isinstance(refused.exception(), Refusal)
        await asyncio.gather(*tasks, return_exceptions=True)
        return served

    assert asyncio.run(run()) == ["a", "a", "b", "c", "a", "c", "a"] + ["a"] * MOST_WAITING


def test_memory_is_counted_over_all_requests() -> None:
    memory = Memory(1000)
    accounts = [Account(memory) for _ in range(3)]
    accounts[0].take(400)
    with pytest.raises(Refusal) as refusal:
        accounts[0].take(101)
    assert refusal.value.status == 400
    accounts[1].take(500)
    with pytest.raises(Refusal) as refusal:
        accounts[2].take(101)
    assert refusal.value.status == 503 and refusal.value.retry_after
    accounts[0].close()
    accounts[2].take(101)
    for account in accounts:
        account.close()
    assert memory.taken == 0


def test_an_answer_that_would_take_all_memory_is_refused(server: str) -> None:
    body = {"prompt": "x", "n": 128, "max_tokens": 500, "logprobs": 20}
    answer = httpx2.post(f"{server}/v1/completions", json=body, timeout=60)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "answer_too_large"
