import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from consumers.backtest import loop
from consumers.paper import Paper, PaperOptions
from processors.chain import EventChain
from processors.stage import Stage, reads
from schemas import Clock, Equity, Fill, NetPosition, OrderRequest, OrderState, Record
from schemas.codec import Codec
from tests.consumers.backtest.quoter import Quoter
from tests.market import MS, START, book, trade
from tests.orders import ETH, request

STAGES: list[Any] = [Paper, Quoter]
CODEC = Codec()
DERIVED = OrderRequest | OrderState | Fill | NetPosition | Equity


def market(seed: int, count: int) -> Iterator[Record]:
    """A seeded walk of books and trades, some of one time."""
    source, middle, ms = random.Random(seed), 1000, 0
    for _ in range(count):
        ms += source.choice([0, 1, 7, 40])
        middle += source.choice([-1, 0, 0, 0, 1])
        sides = [[(middle + sign * (1 + away), source.randint(1, 4)) for away in range(4)] for sign in (-1, 1)]
        yield book(*sides, ms)
        for _ in range(source.randint(0, 3)):
            side = source.choice(["buy", "sell"])
            yield trade(middle + (1 if side == "buy" else -1), source.randint(1, 5), side, ms + source.randint(0, 1))
        yield Clock(START + ms * MS)


LATENCIES = st.sampled_from([0.0, 0.5, 5.0, 100.0])


@settings(max_examples=30)
@given(st.integers(0, 10_000), LATENCIES, LATENCIES)
def test_fresh_stages_over_the_merged_log_give_the_same_byte_for_byte(seed: int, there: float, back: float) -> None:
    options = {"paper": PaperOptions(latency_in_ms=there, latency_out_ms=back)}
    done = list(loop.steps(market(seed, 120), STAGES, options))
    chains = [(EventChain([stage], options), reads(stage)) for stage in STAGES]
    for step in done:
        taken = [chain.on_event(step.event)[0] for chain, kinds in chains if isinstance(step.event, kinds)]
        again = [record for derived in taken for record in derived]
        assert [*map(CODEC.encode, again)] == [*map(CODEC.encode, step.derived)]
    derived = [record for step in done for record in step.derived]
    assert {OrderRequest, OrderState} <= {type(record) for record in derived}
    events = [step.event for step in done]
    assert sorted(map(repr, derived)) == sorted(repr(event) for event in events if isinstance(event, DERIVED))
    assert [event for event in events if not isinstance(event, DERIVED)] == list(market(seed, 120))


def test_a_quote_is_filled_and_the_fill_comes_back_after_the_round_trip() -> None:
    options = {"paper": PaperOptions(latency_in_ms=10.0, latency_out_ms=20.0)}
    records = [book([(999, 0)], [(1001, 5)]), trade(999, 3, ms=15), Clock(START + 30 * MS), Clock(START + 40 * MS)]
    seen = [(type(step.event).__name__, step.event.event_ns) for step in loop.steps(records, STAGES, options)]
    fill = seen.index(("Fill", START + 35 * MS))
    assert seen.index(("Clock", START + 30 * MS)) < fill < seen.index(("Clock", START + 40 * MS))


@dataclass(slots=True)
class Nothing:
    pass


class Echo(Stage[Clock | OrderState, OrderState]):
    """Answers itself at once, for ever."""

    State = Nothing
    log: ClassVar[str] = "merges"

    def on_event(self, event: Clock | OrderState) -> Iterator[OrderState]:
        if isinstance(event, OrderState):
            yield event


class Late(Stage[OrderRequest, OrderState]):
    """Says something of a time that is past."""

    State = Nothing
    log: ClassVar[str] = "merges"

    def on_event(self, event: OrderRequest) -> Iterator[OrderState]:
        yield STATE


STATE = OrderState(ETH, 1, "mm", "paper", "a", "v", "open", "buy", 1, 1, 0, 0, 0, True, False, 0, "")


def test_a_derived_record_never_stands_before_its_cause() -> None:
    first, second = request("a", event_ns=START), request("b", event_ns=START + MS)
    events = [step.event for step in loop.steps([first, second], [Late])]
    assert events == [first, STATE, second, STATE]


class Both(Stage[OrderRequest, OrderState]):
    """Says something of now, and then something of a time that is past."""

    State = Nothing
    log: ClassVar[str] = "merges"

    def on_event(self, event: OrderRequest) -> Iterator[OrderState]:
        yield replace(STATE, event_ns=event.event_ns)
        yield STATE


def test_what_was_derived_of_one_event_stays_in_the_order_of_its_making() -> None:
    placed = request("a", event_ns=START)
    events = [step.event for step in loop.steps([placed], [Both])]
    assert events == [placed, replace(STATE, event_ns=START), STATE]


def test_of_one_time_what_was_derived_comes_before_what_is_given() -> None:
    placed = request("a", event_ns=START)
    done = [type(step.event).__name__ for step in loop.steps([placed, request("b", event_ns=START)], [Late])]
    assert done == ["OrderRequest", "OrderState", "OrderRequest", "OrderState"]


def test_stages_that_answer_each_other_without_end_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "MOST", 100)
    with pytest.raises(loop.Endless, match="more than 100 derived records by 1, the last one a OrderState"):
        list(loop.steps([STATE], [Echo]))


def test_what_comes_long_after_the_last_record_is_left() -> None:
    options = {"paper": PaperOptions(latency_in_ms=0.0, latency_out_ms=11_000.0)}
    records = [book([(999, 1)], [(1001, 5)])]
    assert [type(step.event).__name__ for step in loop.steps(records, STAGES, options)].count("OrderState") == 0
    assert any(isinstance(record, OrderState) for record in loop.run(records, STAGES, options))
