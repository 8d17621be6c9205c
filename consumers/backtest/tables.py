"""Recorded books and trades in tables: CSV or Parquet, a row a snapshot or a trade.

Books are known by columns named ``bid_price0`` or ``bid_price_0`` and so on, as the collector writes them
(consumers/collector.py); trades by a price, a size and a side. What a column may be called stands in the tables below.
Prices and sizes become whole numbers of the least number of decimals that holds all of them, and the market's steps,
where nobody says them, the greatest that all of them are multiples of. A row whose sides cross is a book that is not
valid.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from infra.errors import UserError
from schemas import Book, Market, Record, Top, Trade

MILLISECOND = 1_000_000
MOST_DECIMALS = 10
DEPTH_BPS = 10.0
BOOK_TIME = ("timestamp_ms", "exchange_timestamp", "timestamp")
TRADE_TIME = ("timestamp_ms", "exchange_timestamp", "timestamp", "time")
SEQUENCE = ("seq", "sequence")
MARKET = ("market", "symbol")
SIZE = ("qty", "size", "quantity")
NUMBERED = re.compile(r"(bid|ask)_(price|qty|size)_?(\d+)")
Ints = NDArray[np.int64]


class Scaled(NamedTuple):
    """Numbers as whole ones of 10^-decimals, and the greatest step that all are multiples of; 0 where absent."""

    numbers: Ints
    decimals: int
    step: int


def scaled(values: NDArray[np.float64]) -> Scaled:
    """Floats that stand for decimals, exactly; what is not finite becomes 0.

    Raises:
        UserError: they have too many decimals.

    >>> scaled(np.array([100.5, 101.0]))
    Scaled(numbers=array([1005, 1010]), decimals=1, step=5)

    """
    known = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    for decimals in range(MOST_DECIMALS + 1):
        exact = known * 10**decimals
        numbers = np.rint(exact)
        if np.abs(exact - numbers).max(initial=0.0) <= 1e-9 * max(1.0, np.abs(exact).max(initial=0.0)):
            whole = numbers.astype(np.int64)
            return Scaled(whole, decimals, int(np.gcd.reduce(whole[whole != 0])) if whole.any() else 1)
    raise UserError(f"prices or sizes with more than {MOST_DECIMALS} decimals")


class Steps(NamedTuple):
    """How a market trades, in its own units; 0 where that is to be seen from its data."""

    price: float = 0.0
    size: float = 0.0
    least: float = 0.0


def read(paths: Iterable[Path], instrument: str, given: Steps | None = None) -> Iterator[Record]:
    """The records of some files in order of time: the market first, then trades, books and tops.

    Raises:
        UserError: a file is absent or holds neither books nor trades, or there is no book.

    """
    books: list[pl.DataFrame] = []
    trades: list[pl.DataFrame] = []
    for path in paths:
        frame = _of(_frame(path), instrument)
        if any(NUMBERED.fullmatch(name) for name in frame.columns):
            books.append(frame)
        elif "price" in frame.columns and "side" in frame.columns:
            trades.append(frame)
        else:
            raise UserError(f"{path}: neither books (bid_price0, …) nor trades (price, side, …)")
    if not books:
        raise UserError("no file holds books: columns bid_price0, bid_qty0, ask_price0, ask_qty0 and so on")
    depth = _Depth([_sorted(frame, BOOK_TIME) for frame in books])
    yield depth.market(instrument, given or Steps())
    span = int(depth.times.min()), int(depth.times.max())
    yield from _merged(_trades(trades, instrument, span), depth.records(instrument))


def _merged(trades: Iterator[Trade], books: Iterator[Record]) -> Iterator[Record]:
    """Both by time; of one time the trades first, which the book that follows shows."""
    trade = next(trades, None)
    for record in books:
        while trade is not None and trade.event_ns <= record.event_ns:
            yield trade
            trade = next(trades, None)
        yield record
    while trade is not None:
        yield trade
        trade = next(trades, None)


class _Depth:
    """The snapshots of several files as arrays of levels."""

    def __init__(self, frames: Sequence[pl.DataFrame]) -> None:
        self.times = np.concatenate([_times(frame, BOOK_TIME) for frame in frames])
        self.sequences = np.concatenate([_whole(frame, SEQUENCE) for frame in frames])
        sides = {side: [_levels(frame, side) for frame in frames] for side in ("bid", "ask")}
        levels = min(each.shape[1] for side in sides.values() for each in side)
        both = {side: np.concatenate([each[:, :levels] for each in parts]) for side, parts in sides.items()}
        prices = scaled(np.stack([both["bid"][..., 0], both["ask"][..., 0]]))
        sizes = scaled(np.stack([both["bid"][..., 1], both["ask"][..., 1]]))
        self.prices, self.sizes, self.count = prices, sizes, levels

    def market(self, instrument: str, given: Steps) -> Market:
        price = given.price or self.prices.step / 10**self.prices.decimals
        size = given.size or self.sizes.step / 10**self.sizes.decimals
        start = int(self.times.min())
        base, _, quote = instrument.partition(":")[2].partition("-")
        return Market(
            instrument, start, start, "open", base or instrument, quote or "USD", "", price, size, given.least or size,
            0, 0, "", "", "",
        )  # fmt: skip

    def records(self, instrument: str) -> Iterator[Record]:
        decimals = self.prices.decimals, self.sizes.decimals
        unit, size_unit = 10 ** decimals[0], 10 ** decimals[1]
        order = np.argsort(self.times, kind="stable")
        before: tuple[int, ...] = ()
        for row in order.tolist():
            event_ns, sequence = int(self.times[row]), int(self.sequences[row])
            bids, asks = self._side(0, row), self._side(1, row)
            valid = not (len(bids) and len(asks) and bids[0, 0] > asks[0, 0])
            if not valid:
                bids, asks = bids[:0], asks[:0]
            bid_levels, ask_levels = (len(side) + (len(side) == self.count) for side in (bids, asks))  # it may be cut
            mid = (bids[0, 0] + asks[0, 0]) / 2.0 if len(bids) and len(asks) else 0.0
            bid_depth, ask_depth = (_notional(side, mid) / unit / size_unit for side in (bids, asks))
            yield Book(
                instrument, event_ns, valid, "" if valid else "crossed", event_ns, sequence, decimals[0], decimals[1],
                bids.astype("<i8").tobytes(), asks.astype("<i8").tobytes(), bid_levels, ask_levels,
                _imbalance(float(bids[:, 1].sum()), float(asks[:, 1].sum())), bid_depth, ask_depth, DEPTH_BPS,
            )  # fmt: skip
            best = tuple(number for side in (bids, asks) for number in (side[0].tolist() if len(side) else (0, 0)))
            if best != before:
                before = best
                yield Top(
                    instrument, event_ns, valid, event_ns, best[0] / unit, best[1] / size_unit, best[2] / unit,
                    best[3] / size_unit, _imbalance(best[1], best[3]) if mid else 0.0, sequence,
                )  # fmt: skip

    def _side(self, side: int, row: int) -> Ints:
        pairs = np.stack([self.prices.numbers[side, row], self.sizes.numbers[side, row]], axis=1)
        return pairs[(pairs[:, 0] > 0) & (pairs[:, 1] > 0)]


def _notional(side: Ints, mid: float) -> float:
    """What a side holds near the mid, scaled by both units."""
    near = side[np.abs(side[:, 0] - mid) <= mid * DEPTH_BPS * 1e-4]
    return float((near[:, 0] * near[:, 1]).sum())


def _imbalance(bid: float, ask: float) -> float:
    return (bid - ask) / (bid + ask) if bid + ask else 0.0


def _trades(frames: Sequence[pl.DataFrame], instrument: str, span: tuple[int, int]) -> Iterator[Trade]:
    """The trades within a span of time: those outside the books' can meet no quote."""
    parts = []
    for frame in frames:
        times = _times(frame, TRADE_TIME)
        size = next((name for name in SIZE if name in frame.columns), None)
        if size is None:
            raise UserError(f"trades without a size: expected one of {', '.join(SIZE)}, not {', '.join(frame.columns)}")
        columns = [frame[name].cast(pl.Float64).to_list() for name in ("price", size)]
        parts += list(zip(times.tolist(), *columns, frame["side"].str.to_lowercase().to_list(), strict=True))
    parts.sort(key=lambda row: row[0])
    for number, (event_ns, price, amount, side) in enumerate(parts, 1):
        if span[0] <= event_ns <= span[1] and price and amount and price > 0 and amount > 0:
            taker = side if side in ("buy", "sell") else ""
            yield Trade(instrument, event_ns, event_ns, price, amount, taker, number, number, number)


def _frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None, truncate_ragged_lines=True)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{path}: not readable as {path.suffix or 'CSV'}: {str(error)[:200]}") from None


def _of(frame: pl.DataFrame, instrument: str) -> pl.DataFrame:
    """The rows of an instrument, where a column says whose they are."""
    symbol = instrument.partition(":")[2]
    for name in MARKET:
        if name in frame.columns and symbol in frame[name].unique():
            return frame.filter(pl.col(name) == symbol)
    return frame


def _sorted(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    return frame.filter(frame[_name(frame, names)].is_not_null())


def _name(frame: pl.DataFrame, names: Sequence[str]) -> str:
    for name in names:
        if name in frame.columns:
            return name
    raise UserError(f"no column for the time: expected one of {', '.join(names)}")


def _times(frame: pl.DataFrame, names: Sequence[str]) -> Ints:
    """Event times in ns: of a column of times, or of ms since the epoch."""
    column = frame[_name(frame, names)]
    if column.dtype.is_temporal():
        return column.dt.epoch("ns").to_numpy().astype(np.int64)
    return column.cast(pl.Int64).to_numpy().astype(np.int64) * MILLISECOND


def _whole(frame: pl.DataFrame, names: Sequence[str]) -> Ints:
    for name in names:
        if name in frame.columns:
            return frame[name].cast(pl.Int64).fill_null(0).to_numpy().astype(np.int64)
    return np.zeros(len(frame), np.int64)


def _levels(frame: pl.DataFrame, side: str) -> NDArray[np.float64]:
    """Shape (rows, levels, 2): price and size, nan where there is none."""
    found: dict[int, dict[str, Any]] = {}
    for name in frame.columns:
        if (parts := NUMBERED.fullmatch(name)) and parts[1] == side:
            found.setdefault(int(parts[3]), {})["price" if parts[2] == "price" else "size"] = name
    pairs = [found[number] for number in sorted(found)]
    rows = [frame.select(pl.col(pair["price"], pair["size"]).cast(pl.Float64)).to_numpy() for pair in pairs]
    return np.stack(rows, axis=1)
