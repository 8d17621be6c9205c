"""``collect`` and ``maker`` as they are called: from a venue's stream, from the topics, until a signal."""

import asyncio
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner
from websockets.asyncio.server import ServerConnection, serve

from consumers.collector_command import from_topics, writing
from infra import cli
from infra.broker import ensure_topics
from infra.errors import UserError
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Book, Record, Trade
from tests.consumers.maker import book
from tests.data import ROOT
from tests.streams import NOON
from tests.waiting import PATIENCE_S, until, until_true

NOW_MS = int(time.time() * 1_000)
ETH = "extended:ETH-USD"


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


async def play(connection: ServerConnection) -> None:
    """The venue's streams of books and trades, a message every 10 ms."""
    assert connection.request is not None
    books = "orderbooks" in connection.request.path
    for number in range(1, 1_000_000):
        at = NOW_MS + 200 * number
        price = 3_000 + number % 3
        if books:
            levels = {"m": "ETH-USD", "b": [{"p": f"{price}.5", "q": "2"}], "a": [{"p": f"{price + 1}", "q": "3"}]}
            await connection.send(json.dumps({"type": "SNAPSHOT", "ts": at, "seq": number, "data": levels}))
        else:
            deal = {"m": "ETH-USD", "S": "SELL", "tT": "TRADE", "T": at, "p": f"{price}.5", "q": "0.1", "i": number}
            await connection.send(json.dumps({"ts": at, "seq": number, "data": [deal]}))
        await asyncio.sleep(0.01)


def collect(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "infra.cli", *arguments],
        cwd=ROOT, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_venues_stream_becomes_files_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    async def session() -> tuple[int, str]:
        async with serve(play, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            process = collect("collect", ETH, "--direct", "--url", f"ws://127.0.0.1:{port}", "--out", str(tmp_path))
            files = [tmp_path / name for name in ("orderbook_depth.csv", "trades.csv")]
            await until_true(lambda: all(file.exists() and file.stat().st_size > 5_000 for file in files))
            process.send_signal(number)
            _, errors = await asyncio.to_thread(process.communicate, timeout=PATIENCE_S)
            return process.returncode, errors

    code, errors = asyncio.run(session())
    assert code == 0, errors
    books, trades = rows(tmp_path / "orderbook_depth.csv"), rows(tmp_path / "trades.csv")
    assert len(books) >= 100  # the first that are flushed; what came after them is flushed at the end
    assert {row["market"] for row in books} == {"ETH-USD"}
    assert all(float(row["bid_price0"]) + 0.5 == float(row["ask_price0"]) for row in books)
    assert len(trades) > 10
    assert {row["side"] for row in trades} == {"sell"}
    assert f"books={len(books)}" in errors


def publish(settings: Settings, *records: Record) -> None:
    with Publisher(settings, codec(settings)) as publisher:
        for record in records:
            publisher.publish(record)


def test_the_topics_become_files(settings: Settings, tmp_path: Path) -> None:
    name = "x:ETH-USD"
    books = [book(at) for at in range(1, 6)]
    other = msgspec.structs.replace(books[0], instrument="x:BTC-USD")
    trade = Trade(name, NOON, NOON, 3_000.5, 0.25, "sell", 1, 1, 1)
    ensure_topics(settings)
    publish(settings, *books, other, trade)
    with writing([name], tmp_path) as collector:
        from_topics(settings, collector, [name], "earliest", end=True)
    assert [int(row["timestamp_ms"]) for row in rows(tmp_path / "orderbook_depth.csv")] == [
        made.event_ns // 10**6 for made in books if isinstance(made, Book)
    ]
    assert len(rows(tmp_path / "trades.csv")) == 1


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["ETH-USD"], "ETH-USD: expected venue:SYMBOL"),
        (["nowhere:ETH-USD"], "expected venue:SYMBOL with a venue of"),
        ([ETH, "binance:ETHUSDT", "--direct"], "one venue at a time"),
        ([ETH, "--url", "ws://x"], "goes with --direct"),
        ([ETH, "--direct", "--end"], "has no past"),
    ],
)
def test_a_mistake_in_the_call_is_named(arguments: list[str], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(cli.app, ["collect", *arguments, "--out", str(tmp_path)])
    assert isinstance(result.exception, UserError)
    assert named in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_maker_collects_only_while_trading_is_not_enabled(settings: Settings, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"trading_enabled": False, "market": "ETH-USD", "data_dir": str(tmp_path / "data")}))
    given = {"TIDEMILL_BROKERS": settings.brokers, "TIDEMILL_TOPIC_PREFIX": settings.topic_prefix}
    ensure_topics(settings)
    process = collect("maker", "--config", str(config), **given)
    path = tmp_path / "data" / "orderbook_depth.csv"

    def collected() -> bool:  # it begins with what is new, and keeps rows a hundred at a time
        publish(settings, *[msgspec.structs.replace(book(), instrument=ETH)] * 200)
        return path.exists() and len(rows(path)) > 0

    try:
        until(collected, every_s=0.2)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
