"""The simulator is a function of its seed, and its market has what a market has."""

import itertools
from collections import Counter

import numpy as np
import pytest

from processors.books import Books
from processors.chain import EventChain
from producers import market_model, simulator
from schemas import Connect, DeadLetter, Depth, Heartbeat, Market, Record, Tick, Top, Trade
from tests.producers.venue import START_NS

SYMBOLS = ["ETH-USD", "BTC-USD"]


def some(count: int, seed: int = 0) -> list[Record]:
    return list(itertools.islice(simulator.records(SYMBOLS, START_NS, seed), count))


def test_the_same_seed_gives_the_same_frames_and_another_gives_others() -> None:
    first, again, other = (list(itertools.islice(simulator.frames(SYMBOLS, START_NS, seed), 500)) for seed in (7, 7, 8))
    assert first == again != other


def test_every_frame_passes_the_parser_and_receipt_never_goes_back() -> None:
    records = some(30_000)
    assert not [record for record in records if isinstance(record, DeadLetter)]
    received = [record.received_ns for record in records if isinstance(record, Tick | Heartbeat)]
    assert received == sorted(received)
    assert {record.instrument for record in records if isinstance(record, Connect)} == {
        "simulator:ETH-USD",
        "simulator:BTC-USD",
    }


def test_instruments_move_together_and_calm_and_storm_cluster() -> None:
    names, step_ns, steps = simulator.symbols(20), 10 * market_model.SECOND_NS, 400
    found = market_model.market(names, 0, seed=3, rate=1.0)
    mids = np.array([[_mid(item, step_ns * step) for item in found] for step in range(1, steps + 1)])
    returns = np.diff(np.log(mids), axis=0)
    calm = np.clip(returns, *np.quantile(returns, [0.05, 0.95]))  # without the jumps
    correlations = np.corrcoef(calm.T)[np.triu_indices(len(names), 1)]
    assert 0.2 < correlations.mean() < 0.7
    sizes = np.abs(calm)
    assert np.mean([np.corrcoef(sizes[:-1, i], sizes[1:, i])[0, 1] for i in range(len(names))]) > 0.1


def _mid(instrument: market_model.Instrument, now_ns: int) -> float:
    instrument.trade(now_ns)
    return instrument.mid


def test_the_ladder_changes_as_the_trades_say() -> None:
    (instrument,) = market_model.market(["ETH-USD"], 0, seed=1, rate=5.0)
    book: list[dict[int, float]] = [{}, {}]
    for step in range(1, 500):
        deal = instrument.trade(step * market_model.SECOND_NS)
        for side, changed in zip(book, instrument.ladder(deal), strict=True):
            side.update(changed)
        bids, asks = ({price: size for price, size in side.items() if size} for side in book)
        assert (max(bids), min(asks)) == (deal.bid, deal.ask)
        assert (bids[deal.bid], asks[deal.ask]) == (deal.bid_size, deal.ask_size)
        assert (len(bids), len(asks)) == (market_model.LEVELS, market_model.LEVELS)


def test_an_instrument_depends_on_no_other() -> None:
    def ticks(symbols: list[str]) -> list[Record]:
        stream = itertools.islice(simulator.records(symbols, START_NS, 5), 3_000)
        return [record for record in stream if isinstance(record, Tick) and record.instrument.endswith("ETH-USD")]

    alone, together = ticks(["ETH-USD"]), ticks(["ETH-USD", "SOL-USD"])
    assert alone[:500] == together[:500]


def test_books_sent_beside_the_trades_hold_and_stand_at_its_quotes() -> None:
    stream = simulator.records(["ETH-USD"], START_NS, 2, channels=simulator.Simulator.known_channels)
    chain, quote, held = EventChain([Books]), (0.0, 0.0), 0
    for record in itertools.islice(stream, 20_000):
        assert not isinstance(record, DeadLetter)
        if isinstance(record, Tick):
            quote = record.bid, record.ask
        for made in chain.on_event(record)[0] if isinstance(record, Depth) else ():
            if isinstance(made, Top) and made.valid:
                held += 1
                assert (made.bid, made.ask) == quote
    assert held > 5_000


def test_what_can_be_traded_on_paper_has_steps_and_each_trade_once() -> None:
    plain = itertools.islice(simulator.records(["ETH-USD"], START_NS, 3, channels=("level2_batch",)), 10_000)
    ticks = [record for record in plain if isinstance(record, Tick)]
    stream = simulator.records(["ETH-USD"], START_NS, 3, channels=("level2_batch", "matches", "status"))
    records = list(itertools.islice(stream, 16_000))
    assert not [record for record in records if isinstance(record, DeadLetter)]
    (market,) = (record for record in records if isinstance(record, Market))
    assert (market.instrument, market.status, market.base, market.quote) == ("simulator:ETH-USD", "open", "ETH", "USD")

    trades = [record for record in records if isinstance(record, Trade)]
    quotes = [record for record in records if isinstance(record, Tick)]
    assert len(trades) == len({trade.trade_id for trade in trades}) > 4_000
    assert not any(quote.trade_id or quote.size or quote.price for quote in quotes)
    for trade in trades:
        assert round(trade.price / market.price_step) * market.price_step == pytest.approx(trade.price, abs=1e-9)
        assert trade.size >= market.size_least
    for tick, trade, quote in zip(ticks, trades, quotes, strict=False):
        assert (tick.event_ns, tick.price, tick.size, tick.side, tick.trade_id) == (
            trade.event_ns, trade.price, trade.size, trade.side, trade.trade_id,
        )  # fmt: skip
        assert (tick.bid, tick.ask) == (quote.bid, quote.ask)


def test_there_are_bursts_quiet_stretches_jumps_and_stalls() -> None:
    ticks = [record for record in some(60_000) if isinstance(record, Tick) and record.instrument.endswith("ETH-USD")]
    waits = [(later.event_ns - earlier.event_ns) / 1e9 for earlier, later in itertools.pairwise(ticks)]
    missed = Counter(later.trade_id - earlier.trade_id for earlier, later in itertools.pairwise(ticks))
    moves = sorted(abs(later.bid / earlier.bid - 1) for earlier, later in itertools.pairwise(ticks))
    assert sum(wait < 0.003 for wait in waits) > len(waits) / 20
    assert sum(wait > 2.0 for wait in waits) > 10
    assert moves[-1] > 20 * moves[len(moves) // 2] > 0
    assert missed[1] > 0.99 * len(waits)
    assert max(missed) > 1
