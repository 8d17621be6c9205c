"""Replies of Pyth's history over real ones in shape, and everything that such a reply may be instead."""

import gzip
import json

import pytest

from producers.pyth_bars import SECOND_NS, bars
from schemas import Rejected
from tests.data import recording, reference

INSTRUMENT = "pyth:Crypto.BTC/USD"
LATE_NS = 2**62


def reply(**columns: object) -> bytes:
    good = {"s": "ok", "t": [60, 120], "o": [10, 11], "h": [12, 11], "l": [9, 11], "c": [11, 11]}
    return json.dumps(good | columns).encode()


@pytest.mark.parametrize("coin", ["btc", "eth"])
def test_every_bar_of_a_reply_of_four_days_is_given_with_its_end_as_event_time(coin: str) -> None:
    body = gzip.decompress(recording(f"pyth/derived_benchmarks_history_{coin}_1m.json.gz").read_bytes())
    columns = json.loads(body)
    found = bars(INSTRUMENT, body, LATE_NS)
    assert [bar.event_ns for bar in found] == [(start + 60) * SECOND_NS for start in columns["t"]]
    assert [[bar.open, bar.high, bar.low, bar.close, bar.volume] for bar in found] == [
        list(map(float, row)) for row in zip(*(columns[name] for name in "ohlcv"), strict=True)
    ]
    assert {(bar.width_ms, bar.received_ns - bar.event_ns) for bar in found} == {(60_000, 0)}


def test_minutes_that_the_venue_leaves_out_stay_out() -> None:
    cases = {case["test"]: case["benchmarks_reply"] for case in reference("pyth/synth_benchmarks_grid_cases.json")}
    columns = cases["test_fetch_data_gap_2"]
    closes = columns["c"]
    body = json.dumps({"s": "ok", "o": closes, "h": closes, "l": closes} | columns).encode()
    assert [(bar.event_ns // SECOND_NS - 60, bar.close) for bar in bars(INSTRUMENT, body, LATE_NS)] == list(
        zip(columns["t"], closes, strict=True)
    )


def test_a_bar_that_is_still_open_is_left_out() -> None:
    assert [bar.event_ns // SECOND_NS for bar in bars(INSTRUMENT, reply(), 180 * SECOND_NS)] == [120, 180]
    assert [bar.event_ns // SECOND_NS for bar in bars(INSTRUMENT, reply(), 180 * SECOND_NS - 1)] == [120]


def test_no_data_is_an_answer_without_bars() -> None:
    assert bars(INSTRUMENT, b'{"s":"no_data","t":[],"o":[],"h":[],"l":[],"c":[],"v":[]}', LATE_NS) == []


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"s":"error","errmsg":"unknown symbol"}', "venue says: unknown symbol"),
        (b"<html>429</html>", "unreadable history"),
        (b'{"s":"maybe"}', "unreadable history"),
        (reply(c=[11]), "unequal length"),
        (reply(v=[1, 2, 3]), "unequal length"),
        (reply(t=[120, 60]), "out of order"),
        (reply(t=[60, 60]), "out of order"),
        (reply(t=[60_000_000, 120_000_000_000_000]), "no seconds since 1970"),
        (reply(c=[11, None]), "unreadable history"),
        (reply(o=[13, 11]), "impossible bar at 60"),
        (reply(low=0, l=[0, 11]), "impossible bar at 60"),
        (reply(v=[1, -1]), "impossible bar at 120"),
    ],
)
def test_what_is_no_history_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        bars(INSTRUMENT, body, LATE_NS)
