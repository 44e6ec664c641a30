"""Several owners share the passes of one engine."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.generate.fair_shares import Owner, PassCost, shares
from glassmind.model import AttentionConfig, ModelConfig, Transformer

BLOCK_BYTES = 16 * 2 * 2 * 16 * 4  # tokens, layers, keys and values, width, bytes
OWNERS = st.tuples(st.sampled_from("abcde"), st.integers(0, 4))
DEMANDS = st.dictionaries(OWNERS, st.integers(1, 500), min_size=2, max_size=12)
GREEDY, MODEST = ("greedy", 0), ("modest", 0)


@given(DEMANDS, st.integers(1, 64))
def test_nobody_gets_more_while_another_who_wants_more_has_less(
    demands: dict[Owner, int], free: int
) -> None:
    given_out = shares(demands, free)
    assert given_out.keys() == demands.keys()
    assert all(0 <= given_out[owner] <= demands[owner] for owner in demands)
    clients = {client for client, _ in demands}
    wanted, got = dict.fromkeys(clients, 0), dict.fromkeys(clients, 0)
    for owner in demands:
        wanted[owner[0]] += demands[owner]
        got[owner[0]] += given_out[owner]
    assert all(got.values())
    wants: dict[Any, int] = wanted if len(clients) > 1 else dict(demands)
    gets: dict[Any, int] = got if len(clients) > 1 else given_out
    assert sum(gets.values()) <= min(wants.values()) * len(wants) + free
    for one in wants:
        for other in wants:
            assert gets[one] <= gets[other] + 1 or gets[other] == wants[other]


def test_a_thousand_beside_one() -> None:
    assert shares({GREEDY: 1000, MODEST: 1}, 8) == {GREEDY: 9, MODEST: 1}
    # Two requests of one client are not worth more than the one of another.
    both = {GREEDY: 500, ("greedy", 1): 500, MODEST: 1}
    assert shares(both, 8) == {GREEDY: 5, ("greedy", 1): 4, MODEST: 1}
    assert shares({GREEDY: 500, ("greedy", 1): 1}, 8) == {GREEDY: 9, ("greedy", 1): 1}


def test_what_a_pass_costs_is_found() -> None:
    cost = PassCost(100)
    assert cost.free == PassCost.FREE_AT_FIRST
    for _ in range(50):
        cost.see(10, 0.03)  # of one size: nothing is learned
    assert cost.free == PassCost.FREE_AT_FIRST
    for tokens in (1, 4, 16, 64) * 30:
        cost.see(tokens, 0.02 + 0.001 * tokens)
    assert cost.free == 20
    cost.see(4, 5.0)  # a hiccup of the machine
    assert 15 <= cost.free <= 25
    for tokens in (1, 64) * 300:
        cost.see(tokens, 0.02)
    assert cost.free == 100
    for tokens in (1, 64) * 300:
        cost.see(tokens, 0.001 * tokens)
    assert cost.free == 1


def engine_of(n_rows: int, n_blocks: int) -> Engine:
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=32,
            max_tokens=64,
            d_model=16,
            n_layers=2,
            attention=AttentionConfig(n_heads=2),
        )
    )
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    engine = Engine(model, max_rows=n_rows, max_cache_bytes=n_blocks * BLOCK_BYTES)
    assert engine.n_blocks == n_blocks
    return engine


def request(samples: int, tokens: int, seed: int) -> Request:
    return Request(
        tuple(range(1, 20)),
        SamplingParams(max_new_tokens=tokens, samples=samples, seed=seed, temperature=1.0),
    )


def run(engine: Engine, wanted: int) -> tuple[int, dict[tuple[int, int], tuple[int, ...]]]:
    """Steps until the request with this ticket is done, and what is done by then."""
    done: dict[tuple[int, int], tuple[int, ...]] = {}
    for step in range(10_000):
        for event in engine.step():
            if event.done is not None:
                done[event.ticket, event.sample] = event.done.token_ids
        if any(ticket == wanted for ticket, _ in done):
            return step + 1, done
    raise AssertionError


@pytest.mark.parametrize("n_blocks", [100, 10])
def test_a_modest_request_takes_as_many_passes_as_alone(n_blocks: int) -> None:
    alone = engine_of(8, n_blocks)
    passes, modest_alone = run(alone, alone.submit(request(1, 12, seed=1)))
    greedy_alone = engine_of(8, n_blocks).generate([request(40, 30, seed=2)])[0]

    both = engine_of(8, n_blocks)
    first = both.submit(request(40, 30, seed=2), GREEDY)
    for _ in range(5):
        both.step()
    assert both.n_running == 8 or n_blocks == 10
    sizes: list[int] = []
    both.scheduler.cost.see = lambda tokens, seconds: sizes.append(tokens)  # type: ignore[method-assign]
    second = both.submit(request(1, 12, seed=1), MODEST)
    free = both.scheduler.cost.free
    took, done = run(both, second)
    assert took == passes
    assert done[second, 0] == modest_alone[0, 0]
    assert sizes[0] <= 2 * 19 + free and all(size <= 2 + free for size in sizes[1:])
    while both.busy:
        for event in both.step():
            if event.done is not None:
                done[event.ticket, event.sample] = event.done.token_ids
    assert [done[first, number] for number in range(40)] == [one.token_ids for one in greedy_alone]
    assert not both.scheduler.owners and both.n_free_blocks == both.n_blocks


def test_many_owners_come_to_an_end_in_little_memory() -> None:
    engine = engine_of(4, 4)
    owners = [(client, number) for client in "abc" for number in range(3)]
    tickets = [
        engine.submit(request(1 + 2 * number, 5 + number, seed=number), owner)
        for number, owner in enumerate(owners)
    ]
    engine.cancel(tickets[4])
    finished = 0
    while engine.busy:
        finished += sum(event.done is not None for event in engine.step())
    assert finished == sum(1 + 2 * number for number in range(9) if number != 4)
    assert not engine.scheduler.owners
