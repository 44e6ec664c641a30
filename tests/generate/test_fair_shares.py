"""Several owners share the passes of one engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glassmind.generate import Engine, Request, SamplingParams
from glassmind.generate.fair_shares import Owner, PassCost, shares
from glassmind.generate.model_runner import ModelRunner, Piece
from glassmind.generate.scheduler import LINGER, LONGEST_LINGERING
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
        cost.see(10, 0, 0.03)  # of one size: nothing is learned
    assert cost.free == PassCost.FREE_AT_FIRST
    for drawn in (1, 4, 16, 64) * 30:
        see_steadily(cost, drawn, 0.02 + 0.001 * drawn)
    assert cost.free == 20
    see_steadily(cost, 4, 5.0)  # a hiccup of the machine
    assert 15 <= cost.free <= 25
    for drawn in (1, 64) * 300:
        see_steadily(cost, drawn, 0.02)
    assert cost.free == 100
    for drawn in (1, 64) * 300:
        see_steadily(cost, drawn, 0.001 * drawn)
    assert cost.free == 1


def see_steadily(cost: PassCost, drawn: int, seconds: float) -> None:
    """Two passes of one size: the second counts, whatever came before."""
    cost.see(drawn, 0, 10 * seconds)
    cost.see(drawn, 0, seconds)


def test_tokens_that_are_only_read_cost_less() -> None:
    cost = PassCost(100)
    cost.see(1, 500, 9.0)  # before draws have a price, reading has none
    assert cost.read == PassCost.READ_AT_FIRST
    for drawn in (1, 4, 16, 64) * 30:
        see_steadily(cost, drawn, 0.02 + 0.001 * drawn)
    for read in (100, 7, 30) * 10:
        cost.see(2, read, 0.02 + 0.002 + 0.00005 * read)
    assert cost.read == pytest.approx(0.05, rel=0.05)
    cost.see(2, 30, 60.0)
    assert cost.read < 0.2
    assert cost.free == 20


def test_a_pass_lasts_until_the_next_begins() -> None:
    cost = PassCost(100)
    seen: list[tuple[int, int, float]] = []
    cost.see = lambda *pass_: seen.append(pass_)  # type: ignore[method-assign]
    cost.begin(10.0)
    cost.did(3, 0)
    cost.begin(12.0)
    cost.did(4, 1)
    cost.pause()  # then nobody knows how long it took
    cost.begin(99.0)
    assert seen == [(3, 0, 2.0)]


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
    both.scheduler.cost.did = lambda drawn, read, passes=1: sizes.append(drawn + read)  # type: ignore[method-assign]
    second = both.submit(request(1, 12, seed=1), MODEST)
    free = both.scheduler.cost.free
    took, done = run(both, second)
    assert took == passes
    assert done[second, 0] == modest_alone[0, 0]
    # A prompt's tokens cost less than draws, so what is free is a multiple of them.
    assert sizes[0] <= 2 * (19 + free / both.scheduler.cost.read)
    assert all(size <= 2 + free for size in sizes[1:])
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


class Clock:
    """Stands in for ``time`` in the engine: passes take what ``timed`` says, on any machine."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        run = ModelRunner.run

        def timed(runner: ModelRunner, pieces: Iterable[Piece]) -> torch.Tensor:
            pieces = list(pieces)
            self.now += 1 + sum(0.25 if len(ids) == 1 else 0.05 * len(ids) for _, _, ids in pieces)
            return run(runner, pieces)

        monkeypatch.setattr(ModelRunner, "run", timed)
        monkeypatch.setattr("glassmind.generate.engine.time", self)

    def perf_counter(self) -> float:
        return self.now


def test_a_modest_request_takes_at_most_twice_as_long_beside_a_greedy_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)

    def seconds(engine: Engine, seed: int) -> float:
        began = clock.now
        run(engine, engine.submit(request(1, 40, seed), MODEST))
        return clock.now - began

    alone = seconds(engine_of(64, 1000), 0)
    both = engine_of(64, 1000)
    both.submit(request(300, 44, seed=9), GREEDY)
    for _ in range(10):
        both.step()
    beside = [seconds(both, seed) for seed in range(3)]
    # The first finds a pass of 64 under way, and nothing known yet; then it is only what is shared.
    assert 2 <= both.scheduler.cost.free <= 5
    assert max(beside[1:]) <= 2 * alone
    assert min(beside) >= 1.5 * alone  # what is free is used
    assert both.n_running > 32


def test_passes_stay_short_for_a_while_after_a_client_has_left() -> None:
    engine = engine_of(64, 1000)
    engine.scheduler.cost.see = lambda *_: None  # type: ignore[method-assign]
    engine.submit(request(200, 44, seed=9), GREEDY)
    run(engine, engine.submit(request(1, 4, seed=1), MODEST))
    sizes: list[int] = []
    engine.scheduler.cost.did = lambda drawn, read, passes=1: sizes.append(drawn + read)  # type: ignore[method-assign]
    for _ in range(LINGER + 8):
        engine.step()
    most = LONGEST_LINGERING * PassCost.FREE_AT_FIRST
    assert all(size <= most + 19 for size in sizes[:LINGER]), sizes
    assert max(sizes[LINGER:]) > most + 19, sizes
