"""What must hold whatever comes: random books, trades, requests and halts through the paper venue."""

from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.matching.resting import UNKNOWN
from consumers.paper import Paper, PaperOptions
from schemas import Book, Clock, Control, Funding, Mark, Market, OrderRequest, Record
from tests.consumers.matching.witness import Witness
from tests.market import MS, START, book, broken, trade
from tests.orders import ETH, request

OPTIONS = st.builds(
    PaperOptions,
    latency_in_ms=st.sampled_from([0.0, 3.0]),
    latency_out_ms=st.sampled_from([0.0, 2.0]),
    maker_fee=st.just(-0.0001),
    taker_fee=st.just(0.0005),
    cancels_ahead=st.sampled_from([0.0, 0.5, 1.0]),
    funding=st.sampled_from(["fundings", "marks"]),
)
SIZES = st.integers(1, 30)


@st.composite
def books(draw: st.DrawFn) -> Book:
    middle = draw(st.integers(998, 1004))
    sides: list[list[tuple[int, int]]] = []
    for sign in (-1, 1):
        levels = draw(st.lists(st.tuples(st.integers(0, 6), SIZES), max_size=5, unique_by=lambda level: level[0]))
        sides.append([(middle + sign * (1 + away), size) for away, size in sorted(levels)])
    return book(*sides, known=draw(st.sampled_from([None, 30])))


@st.composite
def requests(draw: st.DrawFn) -> OrderRequest:
    action = draw(st.sampled_from(["place"] * 6 + ["replace", "cancel", "cancel_all"]))
    name = draw(st.sampled_from("abcdefghijklmnop"))
    market = draw(st.booleans()) and draw(st.booleans())
    rests = not market and draw(st.booleans())
    return request(
        name, action, replaces=draw(st.sampled_from("abcdefgh")) if action == "replace" else "",
        side=draw(st.sampled_from(["buy", "sell"])), kind="market" if market else "limit",
        time_in_force="GTT" if rests else "IOC", post_only=rests and draw(st.booleans()),
        reduce_only=draw(st.booleans()) and draw(st.booleans()), price=0 if market else draw(st.integers(994, 1008)),
        size=draw(SIZES), sequence=draw(st.integers(1, 1_000)), strategy=draw(st.sampled_from(["mm", "mm", "other"])),
    )  # fmt: skip


MARKS = (
    Mark(ETH, START, START, 100.1, 100.0, 0.001, START + 60 * MS),
    Mark(ETH, START, START, 99.5, 100.0, -0.002, START + 200 * MS),
    Funding(ETH, START, START, 0.003, 0.0),
    Market(ETH, START, START, "open", "ETH", "USD", "", 0.1, 0.02, 0.04, 0, 0, "", "", '{"makerFeeRate":0.0003}'),
)
EVENTS = st.one_of(
    st.sampled_from(MARKS),
    books(),
    st.builds(trade, st.integers(994, 1008), SIZES, st.sampled_from(["buy", "sell", ""])),
    requests(),
    requests(),
    st.just(broken()),
    st.just(Clock(START)),
    st.builds(
        Control,
        st.just(START),
        st.sampled_from(["*", "mm"]),
        st.sampled_from(["halt", "reset"]),
        st.just("me"),
        st.just("so"),
    ),
)


def timed(events: list[Record], gaps: list[int]) -> list[Any]:
    """The events one after the other, so many ms apart; requests expire after 50 ms and are stale after 20."""
    at, placed = START, []
    for event, gap in zip(events, gaps, strict=False):
        at += gap * MS
        changes: dict[str, int] = {"event_ns": at}
        if isinstance(event, OrderRequest):
            changes |= {"expires_ns": at + 50 * MS, "valid_until_ns": at + 20 * MS}
        placed.append(msgspec.structs.replace(event, **changes))
    return placed


STREAMS = st.builds(timed, st.lists(EVENTS, max_size=40), st.lists(st.integers(0, 12), min_size=40, max_size=40))


@settings(max_examples=300)
@given(STREAMS, OPTIONS)
def test_nothing_trades_beyond_price_size_or_displayed_volume_and_nothing_gets_lost(
    events: list[Any], options: PaperOptions
) -> None:
    venue, witness = Paper(ETH, options), Witness(10, 100, options.latency_out_ms)
    for event in events:
        witness.take(event, list(venue.on_event(event)))
        bids, asks = venue.state.exchange.resting
        assert not (bids and asks) or bids[0].price < asks[0].price
        for side in (bids, asks):
            for first, second in pairwise(side):
                assert first.price != second.price or first.ahead <= second.ahead
        for order in (*bids, *asks):
            assert 0 <= order.ahead <= UNKNOWN
            assert order.left > 0
            assert witness.filled[order.client_id] == order.filled
            assert witness.status[order.client_id] in ("open", "partly_filled")
        assert venue.state.exchange.account.position == witness.position
        assert venue.state.exchange.account.cash == witness.cash


@settings(max_examples=150)
@given(STREAMS, OPTIONS, st.data())
def test_a_restart_anywhere_changes_nothing(events: list[Any], options: PaperOptions, data: st.DataObject) -> None:
    venue, restarted = Paper(ETH, options), Paper(ETH, options)
    cuts = data.draw(st.sets(st.integers(0, len(events))))
    for number, event in enumerate(events):
        if number in cuts:
            plain = msgspec.msgpack.decode(msgspec.msgpack.encode(restarted.snapshot()))
            restarted = Paper(ETH, options)
            restarted.restore(plain)
        assert list(venue.on_event(event)) == list(restarted.on_event(event))
    assert venue.snapshot() == restarted.snapshot()
