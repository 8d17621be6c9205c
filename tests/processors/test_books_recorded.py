"""Our book over recorded depth streams, held against a naive one, the venue's best quotes, and a reference."""

import bisect
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pytest

from processors.books import BookOptions, Books
from schemas import Book, Depth, Gap, Resync, Top
from schemas.levels import unpacked
from tests.data import recording
from tests.recorded_books import STREAMS, Naive, depth, messages, stream

Levels = list[tuple[Decimal, Decimal]]
each_stream = pytest.mark.parametrize("name", STREAMS)


class Run:
    """The stage over a stream, a naive book beside it, and all that the stage has said.

    Where the stage asks for a snapshot it gets one: the naive book's best thousand levels.
    """

    def __init__(self, name: str, every_ms: int = 1) -> None:
        self.name = name
        self.stage, self.naive = Books("binance:TEST", BookOptions(book_every_ms=every_ms)), Naive()
        self.said: list[Book | Top | Gap | Resync] = []
        self.asked = 0

    def __iter__(self) -> Any:
        for event, message in stream(self.name):
            levels = (message["bids"], message["asks"]) if event.kind == "snapshot" else (message["b"], message["a"])
            self.naive.take(*levels)
            if any(isinstance(record, Resync) for record in self.take(event)):
                self.asked += 1
                self.take(self.snapshot(event))
            yield event

    def take(self, event: Depth) -> list[Book | Top | Gap | Resync]:
        made = list(self.stage.on_event(event))
        self.said += made
        return made

    def snapshot(self, event: Depth) -> Depth:
        sides = [self.naive.best(side, 1_000) for side in (0, 1)]
        return depth("snapshot", event.event_ns, *sides, event.last_sequence, event.last_sequence)

    def ours(self) -> tuple[Levels, Levels]:
        book = self.stage.state.book
        view = book.view(10.0)
        return tuple(decimals(side, book.price_decimals, book.size_decimals) for side in (view.bids, view.asks))  # type: ignore[return-value]

    def theirs(self) -> tuple[Levels, Levels]:
        best = (self.naive.best(side, 20) for side in (0, 1))
        return tuple([(Decimal(price), Decimal(size)) for price, size in side] for side in best)  # type: ignore[return-value]


def decimals(flat: Any, price_decimals: int, size_decimals: int) -> Levels:
    return [
        (Decimal(price).scaleb(-price_decimals), Decimal(size).scaleb(-size_decimals))
        for price, size in flat.reshape(-1, 2).tolist()
    ]


@each_stream
def test_the_best_levels_are_those_of_a_naive_book_after_every_update(name: str) -> None:
    run, updates, top = Run(name), 0, None
    for event in run:
        assert run.ours() == run.theirs(), event.last_sequence
        updates += 1
        top = next((record for record in reversed(run.said[-9:]) if isinstance(record, Top)), top)
        assert top is not None
        (bid, bid_size), (ask, ask_size) = run.theirs()[0][0], run.theirs()[1][0]
        quote = (float(bid), float(bid_size), float(ask), float(ask_size))
        assert (top.bid, top.bid_size, top.ask, top.ask_size) == quote
    assert updates > 3_000
    assert run.stage.state.verified_ns == event.event_ns
    print(name, updates, "updates,", run.asked, "snapshots asked for")


@each_stream
def test_the_best_levels_are_the_venues_own_best_quotes(name: str) -> None:
    quotes = {message["u"]: message for _, message in messages(name) if "B" in message and "u" in message}
    ids = sorted(quotes)
    agreed, differing = 0, 0
    run = Run(name)
    for event in run:
        at = bisect.bisect_right(ids, event.last_sequence)
        if not at or at == len(ids) or event.kind == "snapshot":
            continue
        quote = quotes[ids[at - 1]]
        ((bid, bid_size), *_), ((ask, ask_size), *_) = run.ours()
        same = [Decimal(quote[field]) for field in "bBaA"] == [bid, bid_size, ask, ask_size]
        agreed, differing = agreed + same, differing + (not same)
    print(name, agreed, "quotes agree,", differing, "differ")
    assert agreed > 3_000
    assert differing <= agreed / 1_000


@each_stream
def test_the_best_levels_are_those_of_the_reference_once_a_second(name: str) -> None:
    rows = pl.read_parquet(recording(f"l2/reconstructed_hftbacktest_{name}_20240808_top20_1s.parquet"))
    wanted = {row["last_update_id"]: row for row in rows.iter_rows(named=True)}
    compared = 0
    run = Run(name)
    for event in run:
        row = wanted.get(event.last_sequence)
        if row is None or event.kind == "snapshot":
            continue
        for side, levels in zip(("bid", "ask"), run.ours(), strict=True):
            flat = [float(number) for level in levels for number in level]
            assert flat == [row[f"{side}_{what}{at}"] for at in range(20) for what in ("price", "qty")]
        compared += 1
    print(name, compared, "seconds of", len(wanted))
    assert compared > 300


def test_a_book_is_told_once_in_a_stretch_and_never_twice_the_same() -> None:
    run = Run("spot_ethusdt", every_ms=1_000)
    for _ in run:
        pass
    books = [record for record in run.said if isinstance(record, Book)]
    stretches = [book.event_ns // 1_000_000_000 for book in books]
    assert stretches == sorted(set(stretches))
    assert len(stretches) > 300
    tops = [(top.bid, top.bid_size, top.ask, top.ask_size) for top in run.said if isinstance(top, Top)]
    assert all(one != other for one, other in pairwise(tops))


def test_the_figures_of_a_book_follow_from_its_levels() -> None:
    run = Run("usdm_ethusdt")
    for number, event in enumerate(run):
        book = run.said[-1]
        if number % 50 or not isinstance(book, Book) or book.event_ns != event.event_ns:
            continue
        bids, asks = (np.abs(unpacked(side)).astype(float) for side in (book.bids, book.asks))
        total = bids[:, 1].sum(), asks[:, 1].sum()
        assert book.imbalance == pytest.approx((total[0] - total[1]) / (total[0] + total[1]), rel=1e-12)
        whole = [
            [(price, Decimal(run.naive.sizes[side][price])) for price in run.naive.prices[side]] for side in (0, 1)
        ]
        mid = (whole[0][-1][0] + whole[1][0][0]) / 2
        near = [sum(price * size for price, size in side if abs(price - mid) <= mid / 1_000) for side in whole]
        assert (book.bid_depth, book.ask_depth) == pytest.approx(tuple(map(float, near)), rel=1e-9)
