"""Minute bars made here: a random walk with clustered variance, in Parquet files like those that users have."""

import numpy as np
import polars as pl

from consumers.synth.bars import Minutes

MONDAY = 29_610_720  # minutes since the epoch: 2026-04-20


def closes(days=6, seed=1, deviation=5e-4, price=100.0):
    generator = np.random.default_rng(seed)
    count = days * 1_440
    level = np.exp(np.cumsum(generator.normal(0, 0.02, count)) * 0.2)
    return price * np.exp(np.cumsum(generator.standard_t(4, count) * deviation * level / level.mean()))


def minutes(days=6, start=MONDAY, **changed):
    return Minutes(start, closes(days, **changed))


def frame(found, symbol="BTCUSDT"):
    price = pl.Series(found.closes)
    ts = pl.Series(np.arange(found.start, found.end) * 60_000)
    columns = {"ts": ts, "open": price, "high": price, "low": price, "close": price, "volume": price * 0 + 1}
    return pl.DataFrame(columns).with_columns(symbol=pl.lit(symbol))
