"""Each source against a venue on this machine that answers as its documents say, faults included."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from producers.feed import feeds
from producers.history.series import sources
from schemas import Bar, Funding, Gap, TakerVolume
from tests.producers.history import spot
from tests.producers.history.run import backfill, kept, moment
from tests.producers.history.server import Status, Venue, zipped

MINUTE_MS, DAY_MS = 60_000, 86_400_000
START_MS = moment("2025-01-01") // 1_000_000


def test_the_folder_is_the_registry() -> None:
    assert list(sources()) == ["binance", "binance_futures", "deribit", "hyperliquid", "pyth"]


def test_every_kind_makes_records_of_a_feed_that_makes_them_live() -> None:
    for name, source in sources().items():
        for kind in source.kinds:
            symbol = "BTC/USD" if name == "pyth" else "btc_usd"
            series = source.series(symbol, kind)
            assert series.record in feeds()[series.venue].writes or name == "pyth"  # whose bars are of its history only
            assert series.instrument == f"{series.venue}:{symbol}"


def slots(rows: list[int], width_ms: int = MINUTE_MS) -> list[int]:
    return [START_MS // width_ms + row for row in rows]


# Deribit


def dvol(venue: Venue, minutes: list[int], page: int = 1_000) -> None:
    """The index, a page's newest rows first asked for; ``minutes`` since the start that have a bar."""

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        first, last = int(query["start_timestamp"]), int(query["end_timestamp"])
        found = [at_ms for row in minutes if first <= (at_ms := START_MS + row * MINUTE_MS) <= last]
        rows = [[at_ms, 50.0, 51.0, 49.5, 50.0 + at_ms % 7 / 10] for at_ms in found[-page:]]
        return {"result": {"data": rows, "continuation": found[-page - 1] if len(found) > page else None}}

    venue.pages["/www.deribit.com/api/v2/public/get_volatility_index_data"] = answer


def test_dvol_is_paged_backwards(venue: Venue, tmp_path: Path) -> None:
    dvol(venue, list(range(3 * 1_440)))
    run = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit")
    bars = kept(tmp_path, Bar, "deribit:btc_usd", "dvol_1m")
    assert bars["_offset"].to_list() == slots(list(range(3 * 1_440)))
    assert bars["event_ns"][0] == moment("2025-01-01T00:01:00")
    assert bars["width_ms"].unique().to_list() == [MINUTE_MS]
    assert run.whole
    asked = [int(path.partition("end_timestamp=")[2].partition("&")[0]) for path in venue.asked("volatility")]
    assert len(asked) == 5
    assert asked == sorted(asked, reverse=True)


def test_minutes_that_the_venue_does_not_have_are_listed(venue: Venue, tmp_path: Path) -> None:
    there = [row for row in range(1_440) if row not in (100, 101, 1_439)]
    dvol(venue, there)
    run = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit", end="2025-01-02")
    assert run.whole
    assert run.lines[:2] == [
        "deribit:btc_usd dvol_1m: the venue has none from 2025-01-01T01:40:00 to 2025-01-01T01:42:00 (2 slots)",
        "deribit:btc_usd dvol_1m: the venue has none from 2025-01-01T23:59:00 to 2025-01-02T00:00:00 (1 slots)",
    ]
    gaps = kept(tmp_path, Gap, "deribit:btc_usd", "dvol_1m")
    assert gaps.select("cause", "expected", "seen", "missed").rows() == [("venue", 0, 0, 2), ("venue", 0, 0, 1)]
    assert gaps["from_ns"].to_list() == [moment("2025-01-01T01:40:00"), moment("2025-01-01T23:59:00")]


def test_of_the_last_hour_only_what_came_counts_as_fetched(venue: Venue, tmp_path: Path) -> None:
    dvol(venue, list(range(700)))
    first = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit", end="", now="2025-01-01T11:45:00")
    assert first.whole
    dvol(venue, list(range(720)))
    again = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit", end="", now="2025-01-01T12:00:30")
    assert again.whole
    assert len(kept(tmp_path, Bar, "deribit:btc_usd", "dvol_1m")) == 720


def test_an_answer_that_is_an_error_is_told(venue: Venue, tmp_path: Path) -> None:
    venue.pages["/www.deribit.com/api/v2/public/get_volatility_index_data"] = lambda query, body: {
        "error": {"message": "too_many_requests", "code": 10028}
    }
    run = backfill(venue, tmp_path, "btc_usd", "dvol_1m", "deribit")
    assert not run.whole
    assert "too_many_requests" in run.told[0]


# Hyperliquid


def test_hyperliquid_gives_what_it_keeps_and_not_more_is_expected(venue: Venue, tmp_path: Path) -> None:
    now_ms = START_MS + 10 * DAY_MS

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        asked = json.loads(body)["req"]
        assert (asked["coin"], asked["interval"]) == ("xyz:GOLD", "1m")
        oldest = now_ms - 5_000 * MINUTE_MS
        starts = range(max(asked["startTime"], oldest), min(asked["endTime"], now_ms) + 1, MINUTE_MS)
        return [
            {"t": start, "T": start + MINUTE_MS - 1, "s": "xyz:GOLD", "i": "1m", "o": "4000.1", "c": "4000.2",
             "h": "4000.3", "l": "4000.0", "v": "1.5", "n": 3}
            for start in starts
        ]  # fmt: skip

    venue.pages["/api.hyperliquid.xyz/info"] = answer
    run = backfill(venue, tmp_path, "xyz:GOLD", "candles_1m", "hyperliquid", end="", now="2025-01-11T00:00:00")
    bars = kept(tmp_path, Bar, "hyperliquid:xyz:GOLD", "candles_1m")
    assert len(bars) == 5_000
    assert bars["event_ns"][-1] == moment("2025-01-11")
    assert run.told == ["hyperliquid:xyz:GOLD candles_1m: the venue keeps nothing from before 2025-01-07T12:40"]
    assert run.whole


# Pyth


def test_pyth_is_asked_with_its_class_and_kept_under_the_feeds_name(venue: Venue, tmp_path: Path) -> None:
    def answer(query: Mapping[str, str], body: bytes) -> Any:
        assert query["symbol"] == "Equity.US.AAPL/USD"
        begin, end = int(query["from"]), int(query["to"])
        at = [second for second in range(begin, end + 1, 60) if second // 60 % 1_440 < 390]  # an exchange's hours
        if not at:
            return {"s": "no_data"}
        value = [200.0] * len(at)
        return {"s": "ok", "t": at, "o": value, "h": value, "l": value, "c": value, "v": [0] * len(at)}

    venue.pages["/pyth.dourolabs.app/v1/fixed_rate@200ms/history"] = answer
    run = backfill(venue, tmp_path, "Equity.US.AAPL/USD", "bars_1m", "pyth")
    bars = kept(tmp_path, Bar, "pyth:AAPL/USD", "bars_1m")
    assert len(bars) == 3 * 390
    assert run.whole
    assert len(run.results[0].proof.venues) == 3


# Binance's futures


def test_fundings_are_paid_every_eight_hours_and_a_missing_one_is_listed(venue: Venue, tmp_path: Path) -> None:
    paid = [START_MS + place * 8 * 3_600_000 + place % 3 for place in range(90) if place != 50]

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        begin, end = int(query["startTime"]), int(query["endTime"])
        found = [at for at in paid if begin <= at <= end][: int(query["limit"])]
        return [{"symbol": "BTCUSDT", "fundingTime": at, "fundingRate": "-0.0001", "markPrice": ""} for at in found]

    venue.pages["/fapi.binance.com/fapi/v1/fundingRate"] = answer
    run = backfill(venue, tmp_path, "BTCUSDT", "fundings", "binance_futures", end="2025-01-31")
    rates = kept(tmp_path, Funding, "binance_futures:BTCUSDT", "fundings")
    assert rates["event_ns"].to_list() == [at * 1_000_000 for at in paid]
    assert rates["rate"].unique().to_list() == [-0.0001]
    assert run.whole
    assert "the venue has none from 2025-01-17T08:00:01 to 2025-01-18T00:00:00" in run.lines[0]


def test_taker_volumes_are_asked_for_as_far_as_the_venue_keeps_them(venue: Venue, tmp_path: Path) -> None:
    now_ms, width_ms = START_MS + 40 * DAY_MS, 300_000

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        begin, end = int(query["startTime"]), int(query["endTime"])
        assert begin >= now_ms - 30 * DAY_MS
        found = list(range(begin, min(end, now_ms), width_ms))[-int(query["limit"]) :]
        return [{"buySellRatio": "2", "buyVol": "20", "sellVol": "10", "timestamp": at} for at in found]

    venue.pages["/fapi.binance.com/futures/data/takerlongshortRatio"] = answer
    run = backfill(venue, tmp_path, "BTCUSDT", "taker_volumes_5m", "binance_futures", end="", now="2025-02-10T00:00:00")
    volumes = kept(tmp_path, TakerVolume, "binance_futures:BTCUSDT", "taker_volumes_5m")
    assert len(volumes) == 30 * 288 - 12
    assert volumes.select("buy_volume", "sell_volume", "width_ms").unique().rows() == [(20.0, 10.0, width_ms)]
    assert run.whole


# Binance's klines and aggregated trades


def kline(start_ms: int, microseconds: bool = False) -> list[Any]:
    unit = 1_000 if microseconds else 1
    return [start_ms * unit, "10", "12", "9", "11", "3", (start_ms + MINUTE_MS) * unit - 1, "33", 4, "2", "22", "0"]


def klines(venue: Venue, minutes: list[int], host: str = spot.MAIN) -> None:
    def answer(query: Mapping[str, str], body: bytes) -> Any:
        begin, end = int(query["startTime"]), int(query["endTime"])
        found = [at for row in minutes if begin <= (at := START_MS + row * MINUTE_MS) <= end]
        return [kline(at, microseconds=True) for at in found[: int(query["limit"])]]

    venue.pages[f"{host}/api/v3/klines"] = answer


def kline_file(venue: Venue, period: str, minutes: list[int], microseconds: bool = True) -> None:
    lines = [",".join(map(str, kline(START_MS + row * MINUTE_MS, microseconds))) for row in minutes]
    every = "monthly" if len(period) == 7 else "daily"
    name = f"BTCUSDT-1m-{period}"
    venue.put(f"{spot.ARCHIVE}/{every}/klines/BTCUSDT/1m/{name}.zip", zipped(f"{name}.csv", lines))


def test_klines_of_a_file_and_of_pages_are_one_row_of_slots(venue: Venue, tmp_path: Path) -> None:
    kline_file(venue, "2025-01-01", list(range(1_440)))
    klines(venue, list(range(1_440, 3 * 1_440)))
    run = backfill(venue, tmp_path, kind="klines_1m")
    bars = kept(tmp_path, Bar, kind="klines_1m")
    assert bars["_offset"].to_list() == slots(list(range(3 * 1_440)))
    assert bars.drop("event_ns", "received_ns", "_offset", "_cause_offset").unique().height == 1
    assert run.whole


def test_slots_that_a_file_lacks_are_asked_for_and_else_listed(venue: Venue, tmp_path: Path) -> None:
    kline_file(venue, "2025-01-01", [row for row in range(10, 1_440) if row not in (500, 501, 700)])
    klines(venue, [row for row in range(5, 1_440) if row != 700])
    run = backfill(venue, tmp_path, kind="klines_1m", end="2025-01-02")
    bars = kept(tmp_path, Bar, kind="klines_1m")
    assert bars["_offset"].to_list() == slots([row for row in range(5, 1_440) if row != 700])
    assert [(hole.expected, hole.seen) for hole in run.results[0].proof.venues] == [
        (slots([0])[0], slots([5])[0]),
        (slots([700])[0], slots([701])[0]),
    ]
    assert run.whole


def test_where_one_host_refuses_the_country_the_other_is_asked_and_remembered(venue: Venue, tmp_path: Path) -> None:
    klines(venue, list(range(3 * 1_440)), spot.DATA)
    venue.always[spot.MAIN] = Status(451)
    run = backfill(venue, tmp_path, kind="klines_1m")
    assert run.whole
    assert len(venue.asked(f"{spot.MAIN}/")) == 1
    assert len(kept(tmp_path, Bar, kind="klines_1m")) == 3 * 1_440


def test_where_every_host_refuses_it_is_told(venue: Venue, tmp_path: Path) -> None:
    venue.always[spot.MAIN] = venue.always[spot.DATA] = Status(451)
    run = backfill(venue, tmp_path, kind="klines_1m")
    assert not run.whole
    assert run.told == [
        "binance:BTCUSDT klines_1m: pages: api.binance.com: HTTP 451; data-api.binance.vision: HTTP 451"
    ]


def test_a_kline_that_lies_between_two_slots_makes_its_file_unusable(venue: Venue, tmp_path: Path) -> None:
    name = "BTCUSDT-1m-2025-01-01"
    line = ",".join(map(str, kline(START_MS + 30_000, microseconds=True)))
    venue.put(f"{spot.ARCHIVE}/daily/klines/BTCUSDT/1m/{name}.zip", zipped(f"{name}.csv", [line]))
    klines(venue, list(range(1_440)))
    run = backfill(venue, tmp_path, kind="klines_1m", end="2025-01-02")
    assert run.whole
    assert "lies between two slots" in run.told[0]


def test_aggregated_trades_keep_the_ids_of_the_trades_in_them(venue: Venue, tmp_path: Path) -> None:
    from schemas import Trade

    start_us = START_MS * 1_000
    lines = [f"{number},10.5,2,{3 * number},{3 * number + 2},{start_us + number},False,True" for number in range(50)]
    name = "BTCUSDT-aggTrades-2025-01-01"
    venue.put(f"{spot.ARCHIVE}/daily/aggTrades/BTCUSDT/{name}.zip", zipped(f"{name}.csv", lines))

    def answer(query: Mapping[str, str], body: bytes) -> Any:
        first = int(query["fromId"])
        return [
            {"a": number, "p": "10.5", "q": "2", "f": 3 * number, "l": 3 * number + 2,
             "T": start_us + DAY_MS * 1_000 + number, "m": False, "M": True}
            for number in range(first, 80)
        ][: int(query["limit"])]  # fmt: skip

    venue.pages[f"{spot.MAIN}/api/v3/aggTrades"] = answer
    run = backfill(venue, tmp_path, kind="agg_trades", end="2025-01-03")
    found = kept(tmp_path, Trade, "binance_agg:BTCUSDT", "agg_trades")
    assert found["trade_id"].to_list() == list(range(80))
    assert found.select("first_id", "last_id", "side").row(79) == (237, 239, "buy")
    assert run.whole
