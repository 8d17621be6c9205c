"""Real rows through files and pages on this machine: they come out as they were."""

import csv
import gzip
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from schemas import Bar, Funding, Trade
from tests.data import recording
from tests.producers.history import spot
from tests.producers.history.run import backfill, kept
from tests.producers.history.server import Venue, zipped

MINUTE_MS, MILLISECOND = 60_000, 1_000_000
AFTER = "2026-06-01T00:00:00"  # all of them
DAYS_OF_APRIL = [f"2026-04-{day:02}" for day in range(1, 22)]


def test_trades_whose_first_half_is_a_file_and_whose_second_is_pages(venue: Venue, tmp_path: Path) -> None:
    recorded = pl.read_parquet(recording("binance/marcosalzer_trades_btc_spot_2026-02-16_04.parquet"))
    recorded = recorded.with_columns(pl.col("trade_id").cast(pl.Int64)).sort("trade_id")
    rows = [
        spot.Row(row["trade_id"], str(row["price"]), str(row["qty"]), row["exch_ts_ms"] * 1_000, row["side"] == "sell")
        for row in recorded.iter_rows(named=True)
    ]
    spot.offer(venue, rows)
    # The first half is offered as the file of the day before, so that the joint lies within the recording.
    lines = list(map(spot.csv_line, rows[: len(rows) // 2]))
    name = "BTCUSDT-trades-2026-02-15"
    venue.put(f"{spot.ARCHIVE}/daily/trades/BTCUSDT/{name}.zip", zipped(f"{name}.csv", lines))
    run = backfill(venue, tmp_path, start="2026-02-15", end="2026-02-17", now=AFTER)
    found = kept(tmp_path, Trade)
    ids = recorded["trade_id"].to_list()
    assert found["trade_id"].to_list() == ids
    assert found.select("price", "size", "side").rows() == recorded.select("price", "qty", "side").rows()
    assert found["event_ns"].to_list() == [at * MILLISECOND for at in recorded["exch_ts_ms"].to_list()]
    holes = [(one + 1, two) for one, two in pairwise(ids) if two != one + 1]
    assert [(hole.expected, hole.seen) for hole in run.results[0].proof.venues] == holes
    assert run.whole


def test_a_month_of_minutes_that_lacks_its_first_file(venue: Venue, tmp_path: Path) -> None:
    every = pl.read_parquet(recording("bars/binance_spot_1m_btc_eth_sol_xrp_bnb_2026-03-23_04-22.parquet"))
    bars = every.filter(pl.col("symbol") == "ETHUSDT").sort("ts")

    def kline(row: Mapping[str, Any]) -> list[Any]:
        text = {name: str(row[name]) for name in ("open", "high", "low", "close", "volume")}
        return [row["ts"] * 1_000, *text.values(), (row["ts"] + MINUTE_MS) * 1_000 - 1, "0", 0, "0", "0", "0"]

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        inside = bars.filter(pl.col("ts").is_between(int(query["startTime"]), int(query["endTime"])))
        return [kline(row) for row in inside.head(int(query["limit"])).iter_rows(named=True)]

    for host in (spot.MAIN, spot.DATA):
        venue.pages[f"{host}/api/v3/klines"] = answer
    of_day = bars.with_columns(pl.from_epoch("ts", "ms").dt.strftime("%Y-%m-%d").alias("day"))
    for day in DAYS_OF_APRIL:
        lines = [",".join(map(str, kline(row))) for row in of_day.filter(pl.col("day") == day).iter_rows(named=True)]
        name = f"ETHUSDT-1m-{day}"
        venue.put(f"{spot.ARCHIVE}/daily/klines/ETHUSDT/1m/{name}.zip", zipped(f"{name}.csv", lines))
    run = backfill(venue, tmp_path, "ETHUSDT", "klines_1m", start="2026-03-24", end="2026-04-22", now=AFTER)
    found = kept(tmp_path, Bar, "binance:ETHUSDT", "klines_1m")
    asked = bars.filter(pl.col("ts").is_between(1_774_310_400_000, 1_776_815_999_999))
    assert len(found) == 29 * 1_440
    prices = ["open", "high", "low", "close", "volume"]
    assert found.select(prices).rows() == asked.select(prices).rows()
    assert found["event_ns"].to_list() == [(at + MINUTE_MS) * MILLISECOND for at in asked["ts"].to_list()]
    assert run.whole
    assert run.results[0].proof.venues == []


def test_a_quarter_of_funding_rates(venue: Venue, tmp_path: Path) -> None:
    every = pl.read_parquet(recording("bars/binance_futures_funding_2025.parquet"))
    rates = every.filter(pl.col("symbol") == every["symbol"][0]).sort("ts")
    symbol = rates["symbol"][0]

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        inside = rates.filter(pl.col("ts").is_between(int(query["startTime"]), int(query["endTime"])))
        return [
            {"symbol": symbol, "fundingTime": row["ts"], "fundingRate": str(row["funding_rate"]), "markPrice": ""}
            for row in inside.head(int(query["limit"])).iter_rows(named=True)
        ]

    venue.pages["/fapi.binance.com/fapi/v1/fundingRate"] = answer
    run = backfill(
        venue, tmp_path, symbol, "fundings", "binance_futures", start="2025-03-01", end="2025-07-01", now=AFTER
    )
    found = kept(tmp_path, Funding, f"binance_futures:{symbol}", "fundings")
    assert found["rate"].to_list() == rates["funding_rate"].to_list()
    assert found["event_ns"].to_list() == [at * MILLISECOND for at in rates["ts"].to_list()]
    assert run.whole


def test_a_morning_of_dvol_paged_backwards(venue: Venue, tmp_path: Path) -> None:
    with recording("deribit/dvol_btc_60s_2025-12-19.csv").open() as file:
        points = {int(row["ts_ms"]): float(row["dvol_close"]) * 100 for row in csv.DictReader(file)}

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        inside = [at for at in sorted(points) if first <= at <= last]
        page = [[at, *[points[at]] * 4] for at in inside[-100:]]
        return {"result": {"data": page, "continuation": inside[-101] if len(inside) > 100 else None}}

    venue.pages["/www.deribit.com/api/v2/public/get_volatility_index_data"] = answer
    run = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit", start="2025-12-19", end="2025-12-20", now=AFTER)
    found = kept(tmp_path, Bar, "deribit:btc_usd", "dvol_1m")
    assert dict(zip(found["event_ns"].to_list(), found["close"].to_list(), strict=True)) == {
        (at + MINUTE_MS) * MILLISECOND: value for at, value in points.items()
    }
    absent = sum(hole.seen - hole.expected for hole in run.results[0].proof.venues)
    assert (absent + len(found), run.whole) == (1_440, True)


def test_days_of_pyths_minutes(venue: Venue, tmp_path: Path) -> None:
    path = recording("pyth/derived_benchmarks_history_btc_1m.json.gz")
    history = json.loads(gzip.decompress(path.read_bytes()))

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        places = [place for place, at in enumerate(history["t"]) if int(query["from"]) <= at <= int(query["to"])]
        columns = {name: [history[name][place] for place in places] for name in "tohlcv"}
        return {"s": "ok", **columns} if places else {"s": "no_data"}

    venue.pages["/pyth.dourolabs.app/v1/fixed_rate@200ms/history"] = answer
    run = backfill(venue, tmp_path, "BTC/USD", "bars_1m", "pyth", start="2026-03-24", end="2026-03-29", now=AFTER)
    found = kept(tmp_path, Bar, "pyth:BTC/USD", "bars_1m")
    assert found["close"].to_list() == history["c"]
    assert found["event_ns"].to_list() == [(at + 60) * 1_000_000_000 for at in history["t"]]
    assert run.whole
