"""The Binance feeds over real recordings: every message against what its JSON says, read in the plainest way."""

import functools
import gzip
import json
from collections import Counter
from typing import Any

import pytest

from producers import frames
from producers.binance import Binance
from producers.binance_futures import BinanceFutures
from producers.binance_rows import klines, trades
from producers.feed import Feed, feeds
from producers.session import Session
from schemas import Bar, Connect, DeadLetter, Depth, Heartbeat, Mark, Record, Tick, Trade
from schemas.levels import unpacked
from tests.data import recording
from tests.recorded_books import messages

MILLISECOND = 1_000_000


@functools.cache
def played(venue: str, name: str, symbol: str) -> tuple[list[Record], list[tuple[int, dict[str, Any]]]]:
    """Records of a recorded stream, its bare snapshot handed over as the answer that it was; and its messages."""
    session, found, seen = Session(feeds()[venue], (), ("trade", "bookTicker", "depth@100ms")), [], []
    session.open()
    for received_ns, message in messages(name):
        seen.append((received_ns, message))
        if "lastUpdateId" in message:
            body = json.dumps(message, separators=(",", ":")).encode()
            found += session.answer(f"{symbol}@depth@100ms", body, received_ns)
            continue
        channel = {"depthUpdate": "depth@100ms", "trade": "trade"}.get(message.get("e", ""), "bookTicker")
        wrapped = {"stream": f"{symbol}@{channel}", "data": message}
        found += session.receive(json.dumps(wrapped, separators=(",", ":")), received_ns)
    assert not session.ended
    return found, seen


def whole(pairs: list[list[str]], decimals: tuple[int, int]) -> list[list[int]]:
    """Levels as whole numbers, where all texts have their decimals written out."""
    assert all(
        len(text.partition(".")[2]) == places for pair in pairs for text, places in zip(pair, decimals, strict=True)
    )
    return [[int(text.replace(".", "")) for text in pair] for pair in pairs]


@pytest.mark.parametrize(("name", "symbol", "counts"), [
    ("spot_btcusdt", "btcusdt", (9_757, 28_040)), ("spot_ethusdt", "ethusdt", (6_106, 24_077)),
])  # fmt: skip
def test_each_message_of_a_spot_recording_gives_its_record(name: str, symbol: str, counts: tuple[int, int]) -> None:
    found, seen = played("binance", name, symbol)
    assert Counter(map(type, found)) == {
        Connect: 1, Trade: counts[0], Tick: counts[1], Depth: Counter(map(type, found))[Depth],
    }  # fmt: skip
    sold = {True: "sell", False: "buy"}
    assert [
        (trade.trade_id, trade.price, trade.size, trade.side, trade.event_ns, trade.received_ns)
        for trade in found if isinstance(trade, Trade)
    ] == [
        (said["t"], float(said["p"]), float(said["q"]), sold[said["m"]], said["T"] * MILLISECOND, received_ns)
        for received_ns, said in seen if said.get("e") == "trade"
    ]  # fmt: skip
    ids = [trade.trade_id for trade in found if isinstance(trade, Trade)]
    assert ids == list(range(ids[0], ids[0] + counts[0]))
    assert [
        (tick.sequence, tick.bid, tick.bid_size, tick.ask, tick.ask_size, tick.event_ns, tick.price, tick.trade_id)
        for tick in found if isinstance(tick, Tick)
    ] == [
        (said["u"], *(float(said[field]) for field in "bBaA"), received_ns, 0.0, 0)
        for received_ns, said in seen if "e" not in said and "u" in said
    ]  # fmt: skip


@pytest.mark.parametrize(("make", "name", "symbol"), [
    (Binance, "spot_btcusdt", "btcusdt"),
    (Binance, "spot_ethusdt", "ethusdt"),
    (BinanceFutures, "usdm_ethusdt", "ethusdt"),
])  # fmt: skip
def test_a_recorded_book_is_joined_to_its_snapshot_and_goes_on_without_a_break(
    make: type[Feed], name: str, symbol: str
) -> None:
    found, seen = played(make.name, name, symbol)
    depths = [record for record in found if isinstance(record, Depth)]
    (snapshot,) = (message for _, message in seen if "lastUpdateId" in message)
    expected = [
        (received_ns, said)
        for received_ns, said in seen
        if said.get("e") == "depthUpdate" and said["u"] > snapshot["lastUpdateId"]
    ]
    assert [depth.kind for depth in depths] == ["connect", "snapshot", *["delta"] * len(expected)]
    assert depths[1].last_sequence == snapshot["lastUpdateId"]
    decimals = depths[1].price_decimals, depths[1].size_decimals
    assert decimals == ((8, 8) if make is Binance else (2, 3))
    assert unpacked(depths[1].bids).tolist() == whole(snapshot["bids"], decimals)
    assert unpacked(depths[1].asks).tolist() == whole(snapshot["asks"], decimals)
    last = snapshot["lastUpdateId"]
    for delta, (received_ns, said) in zip(depths[2:], expected, strict=True):
        assert (delta.first_sequence, delta.last_sequence, delta.received_ns) == (said["U"], said["u"], received_ns)
        assert delta.event_ns == said["T" if "T" in said else "E"] * MILLISECOND
        assert unpacked(delta.bids).tolist() == whole(said["b"], decimals)
        assert unpacked(delta.asks).tolist() == whole(said["a"], decimals)
        if make is Binance:
            assert said["U"] == last + 1 or (delta is depths[2] and said["U"] <= last)
        else:
            assert said["pu"] == last or (delta is depths[2] and said["pu"] <= last)
            assert delta.previous_sequence == last
        last = said["u"]


def test_best_quotes_of_a_futures_recording_carry_the_time_of_the_match() -> None:
    found, seen = played("binance_futures", "usdm_ethusdt", "ethusdt")
    ticks = [record for record in found if isinstance(record, Tick)]
    assert len(ticks) == 53_992
    assert [(tick.sequence, tick.event_ns, tick.bid, tick.ask) for tick in ticks] == [
        (said["u"], said["T"] * MILLISECOND, float(said["b"]), float(said["a"]))
        for _, said in seen if said.get("e") == "bookTicker"
    ]  # fmt: skip
    refused = [record for record in found if isinstance(record, DeadLetter)]
    assert len(refused) == 14_076
    assert {letter.reason for letter in refused} == {"unknown stream 'ethusdt@trade'"}


# Recordings of cryptofeed: several symbols on one connection, each with a snapshot that it fetched beside it.


def answers(name: str) -> dict[str, tuple[int, bytes]]:
    """Snapshots by symbol, with the ns of their receipt."""
    lines = gzip.decompress(recording(f"binance/cryptofeed_{name}_http_0_0.txt.gz").read_bytes()).decode().splitlines()
    found = {}
    for line in filter(None, lines):
        url, _, rest = line.partition(" -> ")
        seconds, _, body = rest.partition(": ")
        found[url.partition("symbol=")[2].partition("&")[0]] = (int(float(seconds) * 1e9), body.encode())
    return found


def conversation(make: type[Feed], name: str) -> tuple[list[Record], list[dict[str, Any]], dict[str, int]]:
    """Records of a recording with its snapshots where they came, its messages, and the snapshots' ids by symbol."""
    session, found, said = Session(make, (), make.known_channels), [], []
    session.open()
    snapshots = answers(name)
    waiting = sorted((received_ns, symbol, body) for symbol, (received_ns, body) in snapshots.items())
    with frames.opened(recording(f"binance/cryptofeed_{name}_ws.jsonl.zst")) as (lines, _):
        for line in lines:
            kept = json.loads(line)
            received_ns = int(kept["recv"] * 1e9)
            while waiting and waiting[0][0] <= received_ns:
                at_ns, symbol, body = waiting.pop(0)
                found += session.answer(f"{symbol.lower()}@depth@100ms", body, at_ns)
            said.append(kept["msg"]["data"])
            found += session.receive(json.dumps(kept["msg"], separators=(",", ":")), received_ns)
    assert not waiting
    assert not session.ended
    return found, said, {symbol: json.loads(body)["lastUpdateId"] for symbol, (_, body) in snapshots.items()}


@pytest.mark.parametrize(("make", "name", "refused"), [(Binance, "binance", 2), (BinanceFutures, "binance_futures", 0)])
def test_each_message_of_several_symbols_gives_its_record(make: type[Feed], name: str, refused: int) -> None:
    found, said, snapshots = conversation(make, name)
    kinds = Counter(message.get("e", "bookTicker") for message in said)
    closed = sum(message["k"]["x"] for message in said if "k" in message)
    deltas = [message for message in said if "U" in message and message["u"] > snapshots[message["s"]]]
    assert Counter(map(type, found)) == {
        kind: count
        for kind, count in {
            Connect: 4,
            Tick: kinds["bookTicker"],
            Trade: kinds["aggTrade"] - refused,
            DeadLetter: refused,
            Bar: closed,
            Heartbeat: kinds["kline"] - closed,
            Depth: 2 * 4 + len(deltas),
        }.items()
        if count
    }
    for symbol, last in snapshots.items():
        chain = [
            record for record in found if isinstance(record, Depth) and record.instrument == f"{make.name}:{symbol}"
        ]
        ids = [message["u"] for message in deltas if message["s"] == symbol]
        assert [depth.last_sequence for depth in chain] == [0, last, *ids]
        assert [depth.cause for depth in chain[:2]] == ["start", ""]


def test_aggregated_trades_of_a_recording_carry_the_ids_of_their_parts() -> None:
    found, said, _ = conversation(BinanceFutures, "binance_futures")
    expected = [message for message in said if message["e"] == "aggTrade"]
    assert [
        (trade.trade_id, trade.first_id, trade.last_id, trade.price, trade.size, trade.side, trade.event_ns)
        for trade in found
        if isinstance(trade, Trade)
    ] == [
        (said["a"], said["f"], said["l"], float(said["p"]), float(said["q"]), "sell" if said["m"] else "buy",
         said["T"] * MILLISECOND)
        for said in expected
    ]  # fmt: skip
    bars = [record for record in found if isinstance(record, Bar)]
    assert [(bar.event_ns, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades) for bar in bars] == [
        ((kline["T"] + 1) * MILLISECOND, *(float(kline[field]) for field in "ohlcv"), kline["n"])
        for kline in (message["k"] for message in said if "k" in message)
        if kline["x"]
    ]


# Single messages and rows that another project keeps as its fixtures.


def kept(file: str) -> Any:
    """One of them by the end of its file's name."""
    lines = recording("binance/nautilus_rust_fixtures.jsonl").read_text().splitlines()
    (found,) = (item["msg"] for item in map(json.loads, lines) if item["file"].endswith(file))
    return found


def of_futures(file: str, channel: str) -> list[Record]:
    message = kept(f"futures/market_data_json/{file}.json")
    feed = BinanceFutures(channels=[channel])
    frame = json.dumps({"stream": f"{message['s'].lower()}@{channel}", "data": message}, separators=(",", ":"))
    records = list(feed.parse(frame, message["E"] * MILLISECOND))
    assert isinstance(records[0], Connect)
    return records[1:]


def test_another_projects_fixtures_are_read_as_they_say() -> None:
    (trade,) = of_futures("agg_trade_stream", "aggTrade")
    assert trade == Trade("binance_futures:BTCUSDT", 123456785 * MILLISECOND, 123456789 * MILLISECOND,
                          0.001, 100.0, "sell", 5933014, 100, 105)  # fmt: skip
    (tick,) = of_futures("book_ticker_stream", "bookTicker")
    assert tick == Tick("binance_futures:BNBUSDT", 1568014460891 * MILLISECOND, 1568014460893 * MILLISECOND,
                        25.3519, 25.3652, 31.21, 40.66, 0.0, 0.0, "", 400900217, 0)  # fmt: skip
    mark, beat = of_futures("mark_price_stream", "markPrice@1s")
    assert mark == Mark("binance_futures:BTCUSDT", 1562305380000 * MILLISECOND, 1562305380000 * MILLISECOND,
                        11794.15, 11784.62659091, 0.00038167, 1562306400000 * MILLISECOND)  # fmt: skip
    assert isinstance(beat, Heartbeat)
    assert [type(record) for record in of_futures("kline_stream_open", "kline_1m")] == [Heartbeat]
    (row,) = trades("binance:X", json.dumps(kept("spot/http_json/trades_response.json")).encode())
    assert (row.trade_id, row.price, row.size, row.side, row.event_ns) == (
        28457, 4.000001, 12.0, "sell", 1499865549590 * MILLISECOND,
    )  # fmt: skip
    (bar,) = klines("binance:X", "1w", json.dumps(kept("spot/http_json/klines_response.json")).encode())
    assert (bar.event_ns, bar.high, bar.volume, bar.trades, bar.taker_buy_volume) == (
        1499644800000 * MILLISECOND, 0.8, 148976.11427815, 308, 1756.87402397,
    )  # fmt: skip
