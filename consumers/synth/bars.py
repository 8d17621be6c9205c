"""One-minute bars of an asset out of Parquet files or the back-filled archive, as closes on a grid of minutes.

Files have a row for each bar and either ``symbol`` and ``ts`` (ms, where the bar begins) or ``instrument`` and
``event_ns`` (where it ends); without a symbol a file is of one asset. Prices that no bar has are refused by row.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from infra.archive_backfill import root_of
from infra.archive_file import Wanted
from infra.archive_rows import listing, rows
from infra.errors import UserError
from processors.online.crps import Floats
from processors.online.synth_assets import Asset

MINUTE_MS, MINUTE_NS = 60_000, 60_000_000_000
PRICES = ("open", "high", "low", "close")
SPAN = 15_778_080, 68_374_080  # minutes of the years 2000 to 2099: a time beyond is in another unit
KINDS = {"binance": "klines_1m", "hyperliquid": "candles_1m", "pyth": "bars_1m"}  # of the back-fill, by feed


class Minutes(NamedTuple):
    """Closes by minute since ``start`` (minutes since the epoch, where the bar begins); NaN where there is no bar."""

    start: int
    closes: Floats

    @property
    def end(self) -> int:
        """The minute after the last."""
        return self.start + len(self.closes)


def read(asset: Asset, place: Path | None, data_dir: Path) -> Minutes:
    """The closes of an asset from a file, a folder of files, or the archive under ``data_dir`` where none is given.

    Raises:
        UserError: there are no bars, or a row is none; says where.

    """
    frame = archived(asset, data_dir) if place is None else of_files(asset, place)
    return on_grid(checked(frame, asset.name))


def archived(asset: Asset, data_dir: Path) -> pl.DataFrame:
    """What ``tidemill backfill`` keeps of an asset's source."""
    feed, _, symbol = asset.source.partition(":")
    root = root_of(data_dir, asset.source, KINDS[feed])
    if not (root / "bars").is_dir():
        wanted = f"tidemill backfill {feed} --symbols {symbol} --kind {KINDS[feed]}"
        raise UserError(f"{asset.name}: no bars under {root}; give --bars, or fetch them: {wanted}")
    columns = frozenset({*PRICES, "event_ns", "_offset"})
    wanted_rows = Wanted("bars", columns)
    found = pl.concat(list(rows(listing(root, wanted_rows, 0), wanted_rows)))
    return found.with_columns(minute=pl.col("event_ns") // MINUTE_NS - 1)


def of_files(asset: Asset, place: Path) -> pl.DataFrame:
    """The asset's rows of one file or of all in a folder."""
    files = sorted(place.rglob("*.parquet")) if place.is_dir() else [place]
    if not files or not files[0].exists():
        raise UserError(f"--bars: no Parquet file at {place}")
    frames = [frame for file in files if len(frame := _of_file(asset, file))]
    if not frames:
        raise UserError(f"{asset.name}: no bars of it in {place}")
    return pl.concat(frames, how="diagonal_relaxed")


def _of_file(asset: Asset, file: Path) -> pl.DataFrame:
    try:
        frame = pl.read_parquet(file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{file}: {error}") from None
    names = set(frame.columns)
    if "close" not in names or not names & {"ts", "event_ns"}:
        raise UserError(f"{file}: no bars; expected close and ts or event_ns among {sorted(names)}")
    if "width_ms" in names:
        frame = frame.filter(pl.col("width_ms") == MINUTE_MS)
    column = next((name for name in ("symbol", "instrument") if name in names), None)
    if column is not None:
        text = pl.col(column).cast(pl.String)
        frame = frame.filter(text.map_elements(lambda text: is_of(asset, text), pl.Boolean))
    prices = [name for name in PRICES if name in names]
    if wrong := [name for name in prices if not frame.schema[name].is_numeric()]:
        raise UserError(f"{file}: {wrong[0]}: {frame.schema[wrong[0]]} where numbers were expected")
    return frame.select(_minutes(frame, file), *(pl.col(name).cast(pl.Float64) for name in prices))


def _minutes(frame: pl.DataFrame, file: Path) -> pl.Series:
    """The minute of each row."""
    name, unit = ("ts", "ms") if "ts" in frame.columns else ("event_ns", "ns")
    times = frame[name]
    if not times.dtype.is_integer() or times.null_count():
        raise UserError(
            f"{file}: {name}: {times.dtype}, {times.null_count()} missing, where every row has whole {unit}"
        )
    minutes = (times // MINUTE_MS if name == "ts" else times // MINUTE_NS - 1).alias("minute")
    if len(wrong := times.filter(~minutes.is_between(*SPAN))):
        raise UserError(f"{file}: {name}: {wrong[0]} is no time in {unit}")
    return minutes


def is_of(asset: Asset, text: str) -> bool:
    """Whether a symbol or instrument of a file is an asset's.

    >>> from processors.online.synth_assets import ASSETS
    >>> [is_of(ASSETS["BTC"], text) for text in ("BTCUSDT", "binance:BTCUSDT", "coinbase:BTC-USD", "BTC", "BTCB")]
    [True, True, True, True, False]
    """
    symbol = text.partition(":")[2] or text
    known = asset.source.partition(":")[2]
    return text == asset.source or symbol in {known, *(f"{asset.name}{quote}" for quote in QUOTES)}


QUOTES = ("", "USDT", "USDC", "USD", "-USD", "/USD", "/USDT", "-USDT")


def checked(frame: pl.DataFrame, name: str) -> pl.DataFrame:
    """The rows, when all prices are positive and finite."""
    for column in PRICES:
        if column in frame.columns:
            price = pl.col(column)
            bad = frame.filter(price.is_null() | ~price.is_finite() | (price <= 0.0))
            if len(bad):
                raise UserError(
                    f"{name}: {column}: {bad[column][0]} in {len(bad)} of {len(frame)} bars, first in minute "
                    f"{bad['minute'][0]}: expected a positive number"
                )
    return frame


def on_grid(frame: pl.DataFrame) -> Minutes:
    """Rows as closes by minute; of a minute that is there twice the last one counts."""
    minute = frame["minute"].to_numpy()
    start = int(minute.min())
    closes = np.full(int(minute.max()) - start + 1, np.nan)
    closes[minute - start] = frame["close"].to_numpy()
    return Minutes(start, closes)
