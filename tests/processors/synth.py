"""The chain of the Synth stages over minute bars, as records in and records out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np
import polars as pl

from consumers.synth.bars import Minutes, on_grid
from processors.chain import EventChain
from processors.stage import name, stages
from processors.wiring import plan
from schemas import Bar, Record
from tests.data import recording
from tests.minute_bars import bar

SPOT = "bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"
CHAIN = plan(stages())["bars"]
PRICES = ("open", "high", "low", "close", "volume")


@cache
def real(symbol: str, days: float, holes: float = 0.0) -> tuple[Bar, ...]:
    """Binance's bars of the first days that there are, some left out."""
    frame = pl.read_parquet(recording(SPOT)).filter(pl.col("symbol") == symbol).sort("ts").head(int(days * 1_440))
    kept = np.random.default_rng(1).random(len(frame)) >= holes
    rows = frame.filter(pl.Series(kept)).select("ts", *PRICES).iter_rows()
    return tuple(
        bar(f"binance:{symbol}", ts // 60_000, **dict(zip(PRICES, values, strict=True))) for ts, *values in rows
    )


def minutes_of(bars: Iterable[Bar]) -> Minutes:
    """The same bars as the offline code reads them."""
    rows = [(each.event_ns // 60_000_000_000 - 1, each.close) for each in bars]
    return on_grid(pl.DataFrame(rows, schema=["minute", "close"], orient="row"))


def run(events: Iterable[Record], only: Sequence[str] = (), **options: Any) -> dict[str, list[Any]]:
    """Everything that comes of some records, by topic, and under ``refused`` why what was."""
    chain = EventChain([stage for stage in CHAIN if not only or name(stage) in only], options)
    found: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        records, refusals = chain.on_event(event)
        for record in records:
            found[record.topic].append(record)
        found["refused"] += [(refusal.by, refusal.reason) for refusal in refusals]
    return found
