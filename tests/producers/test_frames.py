"""Recordings: what is written comes back, whatever it was, and the real ones in ../shared/data read as they should."""

import gzip
import json
import pathlib
import tempfile
from collections import Counter

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from producers import frames
from producers.coinbase import Coinbase
from producers.coinbase_level2 import CoinbaseLevel2
from producers.feed import Feed
from producers.playback import Entry
from schemas import Connect, DeadLetter, Heartbeat, Record, Tick
from tests.data import recording
from tests.producers.venue import START_NS, heartbeat, ticker

ODD_FRAMES = ["{not json", "", '"text"', "[1]", '{"a":\n1}', b"\xff\xfe", b'{"a":1}', "{\ud800}"]


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.zst"])
def test_frames_come_back_with_the_ns_of_their_receipt(tmp_path: pathlib.Path, ending: str) -> None:
    path = tmp_path / f"deep/day{ending}"
    for part in (range(3), range(3, 5)):  # a recording is added to after a restart
        with frames.Recorder(path) as recorder:
            recorder.keep(Entry(frames.Connected("start"), START_NS + part[0]))
            for number in part:
                recorder.keep(Entry(ticker(number), START_NS + number))
    back = list(frames.read(path, Coinbase()))
    assert [received_ns - START_NS for _, received_ns in back] == [0, 0, 1, 2, 3, 3, 4]
    begun = frames.Connected("start")
    sent = [begun, ticker(0), ticker(1), ticker(2), begun, ticker(3), ticker(4)]
    assert [frame.decode() if isinstance(frame, bytes) else frame for frame, _ in back] == sent


@given(st.lists(st.sampled_from(ODD_FRAMES) | st.text(st.characters(codec="utf-8")), max_size=5))
def test_junk_comes_back_as_the_junk_it_was(odd: list[str | bytes]) -> None:
    path = pathlib.Path(tempfile.mkdtemp()) / "junk.jsonl"
    with frames.Recorder(path) as recorder:
        for frame in odd:
            recorder.keep(Entry(frame, START_NS))
    back = [frame for frame, _ in frames.read(path, Coinbase()) if isinstance(frame, str | bytes)]
    assert [_text(frame) for frame in back] == [_text(frame) for frame in odd]
    path.unlink()
    path.parent.rmdir()


@pytest.mark.parametrize("body", [b'{"a":1}', b"[[1,2],[3,4]]", b"[\n1]", b"", b"\xff\x00", "{café".encode()])
def test_an_answer_comes_back_as_what_was_fetched(tmp_path: pathlib.Path, body: bytes) -> None:
    path = tmp_path / "day.jsonl"
    with frames.Recorder(path) as recorder:
        recorder.keep(Entry(frames.Fetched("klines/ETHUSDT", body), START_NS))
        recorder.keep(Entry(ticker(1), START_NS + 1))
    answer, frame = frames.read(path, Coinbase())
    kept = body.decode("utf-8", "backslashreplace").encode()
    assert answer == (frames.Fetched("klines/ETHUSDT", kept), START_NS)
    assert frame == (ticker(1).encode(), START_NS + 1)


def _text(frame: str | bytes) -> str:
    data = frame.encode("utf-8", "replace") if isinstance(frame, str) else frame
    return data.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("ending", [".jsonl", ".jsonl.zst"])
def test_a_recording_that_was_torn_loses_at_most_a_second_and_can_be_added_to(
    tmp_path: pathlib.Path, ending: str
) -> None:
    path = tmp_path / f"whole{ending}"
    safe = [(0, 0)]  # bytes in the file, frames that must be readable from them
    with frames.Recorder(path) as recorder:
        for number in range(40):
            recorder.keep(Entry(ticker(number), START_NS + number * 250_000_000))
            if number % 4 == 0:  # a second has passed
                safe.append((path.stat().st_size, number + 1))
    assert len(set(safe)) == 11
    data = path.read_bytes()
    kept = [frame for frame, _ in frames.read(path, Coinbase())]
    assert len(kept) == 40
    torn = tmp_path / f"torn{ending}"
    for length in range(0, len(data), 97):
        torn.write_bytes(data[:length])
        with frames.Recorder(torn) as recorder:
            recorder.keep(Entry(ticker(99), START_NS))
        *before, last = (frame for frame, _ in frames.read(torn, Coinbase()))
        assert last == ticker(99).encode()
        assert before == kept[: len(before)]
        assert len(before) >= max(count for size, count in safe if size <= length)


def test_a_bare_message_counts_as_received_when_it_was_sent(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "bare.jsonl.gz"
    path.write_bytes(gzip.compress(f"{ticker(1, at_s=1.5)}\n\n{{junk\n{heartbeat(1, at_s=2)}\n".encode()))
    records = list(frames.records(path, Coinbase))
    assert [type(record) for record in records] == [Connect, Tick, DeadLetter, Heartbeat]
    assert [record.event_ns - START_NS for record in records] == [1.5e9, 1.5e9, 1.5e9, 2e9]


def test_a_marked_connection_and_a_refusing_venue_make_new_connects(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "day.jsonl"
    with frames.Recorder(path) as recorder:
        for frame in (ticker(1), None, ticker(2), '{"type":"error","message":"bye"}', ticker(2), ticker(3)):
            if frame is None:
                recorder.keep(Entry(frames.Connected("stall"), START_NS))
            else:
                recorder.keep(Entry(frame, START_NS))
    found = [
        record.cause if isinstance(record, Connect) else getattr(record, "reason", "tick")
        for record in frames.records(path, Coinbase)
    ]
    repeated = "repeated: ETH-USD sequence 1006 trade_id 2"
    assert found == ["start", "tick", "stall", "tick", "venue says: bye: ", repeated, "error", "tick"]


def test_progress_goes_from_nothing_to_the_whole_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "day.jsonl.zst"
    text = "\n".join(json.dumps({"recv": 1, "msg": {"n": number}}) for number in range(200_000))
    path.write_bytes(zstandard.compress(text.encode()))
    told: list[tuple[int, int]] = []
    count = sum(1 for _ in frames.read(path, Coinbase(), lambda done, total: told.append((done, total))))
    size = path.stat().st_size
    assert count == 200_000
    assert told[0][0] <= size
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def counted(name: str, feed: type[Feed]) -> tuple[Counter[tuple[str, str]], list[Record]]:
    records = list(frames.records(recording(f"coinbase/{name}"), feed))
    return Counter((type(record).__name__, getattr(record, "instrument", "")) for record in records), records


def test_the_whole_day_parses_and_exactly_its_repeats_are_refused() -> None:
    counts, records = counted("eth_usd_ticker_2025-11-25.jsonl.zst", Coinbase)
    letters = [record.reason for record in records if isinstance(record, DeadLetter)]
    assert letters == [
        "repeated: ETH-USD sequence 90208488014 trade_id 737354485",
        "repeated: ETH-USD sequence 90208497141 trade_id 737354538",
    ]
    assert counts["Tick", "coinbase:ETH-USD"] == 120_689 - 2
    assert counts["Connect", "coinbase:ETH-USD"] == 1


def test_the_mixed_recording_gives_each_product_its_ticks() -> None:
    counts, _ = counted("mixed_btc_eth_sol_ticker_2025-11-25_17-18h.jsonl.zst", Coinbase)
    assert {key: count for key, count in counts.items() if key[0] != "Connect"} == {
        ("Tick", "coinbase:BTC-USD"): 35_494,
        ("Tick", "coinbase:ETH-USD"): 29_226,
        ("Tick", "coinbase:SOL-USD"): 23_321,
    }


def test_the_recorded_book_never_crosses_and_agrees_with_the_ticker_of_the_same_recording() -> None:
    name = "cryptofeed_level2_ticker_matches.jsonl.zst"
    counts, records = counted(name, CoinbaseLevel2)
    letters = [record for record in records if isinstance(record, DeadLetter)]
    assert len(letters) == 85 + 79 + 6  # tickers, matches and last matches: not of this feed
    assert {instrument for kind, instrument in counts if kind == "Tick"} == {
        f"coinbase_level2:{product}"
        for product in ("BAND-GBP", "BAND-BTC", "YFI-BTC", "CRV-EUR", "SKL-USD", "DASH-BTC")
    }
    quotes: dict[str, set[tuple[float, float]]] = {}
    for record in records:
        if isinstance(record, Tick):
            assert record.bid <= record.ask
            quotes.setdefault(record.instrument, set()).add((record.bid, record.ask))
    tickers = [json.loads(letter.payload) for letter in letters if b'"type":"ticker"' in letter.payload]
    seen = [
        (float(frame["best_bid"]), float(frame["best_ask"])) in quotes[f"coinbase_level2:{frame['product_id']}"]
        for frame in tickers
    ]
    assert sum(seen) >= 0.9 * len(seen) > 0
