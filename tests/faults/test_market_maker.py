"""The market maker at its venue, all parts as processes, and the broker, the venue and the executor failing in turn.

A recorded market is played at 60 times its speed on the loopback venue: feed → stages → merged log → market maker →
gateway → venue. However it goes: no order is placed twice, none is left behind, and our fills, position and cash are
those of the venue's own ledger. ``TIDEMILL_TEST_MARKET_MINUTES=60`` plays an hour.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.broker import ensure_topics
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from schemas import Fill, NetPosition, OrderRequest, Quote, Record
from tests.data import ROOT
from tests.extended_venue.market import Player, recorded, repeated
from tests.extended_venue.server import ExtendedVenue, Hosted, hosted
from tests.live import CODEC, read
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.real_broker
SPEED = 60.0
MINUTES = float(os.environ.get("TIDEMILL_TEST_MARKET_MINUTES", "20"))
LONGEST_S = 86_400.0  # it goes on while parts of ours come back
COUNTDOWN_S = 6
INSTRUMENT = "extended:ETH-USD"
START_CASH = 100_000  # of the venue's account
# At this speed a minute of the market is a second of the log: what is counted in time is shorter by as much.
OPTIONS: dict[str, dict[str, Any]] = {
    "volatilities": {"step_ms": 100, "window": 600},
    "intensities": {"every_ms": 1_000, "life_ms": 100, "block_ms": 1_000, "stale_ms": 1_000},
    "market_maker": {
        "gamma": 0.001, "horizon_s": 1.0, "order_size": 0.05, "inventory": 0.25, "answer_ms": 3_000,
        "limits": {"loss_per_day": 5_000.0},
    },
}  # fmt: skip


class Processes:
    """Commands as a user starts them, each with a log; killed at the end."""

    def __init__(self, settings: Settings, venue: ExtendedVenue, folder: Path) -> None:
        self._folder = folder
        self._environment = os.environ | venue.keys.environment() | {
            "PYTHONPATH": str(ROOT),
            "TIDEMILL_BROKERS": settings.brokers,
            "TIDEMILL_DATA_DIR": str(settings.data_dir),
            "TIDEMILL_STAGES": json.dumps(OPTIONS),
        }  # fmt: skip
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        with self._log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", *arguments], cwd=self._folder, env=self._environment,
                stdout=log, stderr=log,
            )  # fmt: skip

    def wait_for(self, name: str, words: str, times: int = 1) -> None:
        until(lambda: self.told(name).count(words) >= times, lambda: self.told(name))

    def told(self, name: str) -> str:
        return self._log(name).read_text()

    def end(self, name: str, number: int) -> int:
        process = self.running.pop(name)
        assert process.poll() is None, self.told(name)[-4_000:]
        process.send_signal(number)
        return process.wait(PATIENCE_S)

    def alive(self) -> None:
        for name, process in self.running.items():
            assert process.poll() is None, f"{name}\n{self.told(name)[-4_000:]}"

    def kill(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


def records(settings: Settings, kind: type[Record]) -> list[Any]:
    """The records of a kind, in the order of their log; its instrument has one partition."""
    found = [CODEC.decode(message.value() or b"") for part in read(settings, kind.topic) for message in part]
    return [record for record in found if isinstance(record, kind)]


WORKERS = {
    "books": ("worker", "books", "volatilities", "--instance", "books"),
    "intensities": ("worker", "intensities", "--instance", "intensities"),
    "maker": ("worker", "market_maker", "--instance", "maker"),
}


@pytest.fixture
def market() -> Iterator[tuple[ExtendedVenue, Hosted, Player]]:
    listed, steps = recorded()
    venue = ExtendedVenue(markets=[listed])
    with hosted(venue) as host:
        yield venue, host, Player(venue, "ETH-USD", repeated(steps, LONGEST_S), SPEED)


def test_whatever_fails_orders_and_money_are_the_venues(
    private_broker: LocalKafka, market: tuple[ExtendedVenue, Hosted, Player], tmp_path: Path
) -> None:
    venue, host, player = market
    settings = load_settings(env_file=None, brokers=private_broker.address, data_dir=tmp_path / "data")
    ensure_topics(settings)
    everything = Processes(settings, venue, tmp_path)
    base = f"ws://{urlsplit(venue.hosts.stream).netloc}"
    gateway = (
        "trade", "extended", "ETH-USD", "--api-url", venue.hosts.api, "--stream-url", venue.hosts.stream,
        "--countdown", str(COUNTDOWN_S),
    )  # fmt: skip
    try:
        everything.start("feed", "feed", "extended", "ETH-USD", "--url", base, "--fetch-url", venue.url)
        everything.start("merge", "merge", "--instrument", INSTRUMENT)
        for name, arguments in WORKERS.items():
            everything.start(name, *arguments)
        for name in WORKERS:
            everything.wait_for(name, "partitions taken over")
        everything.start("gateway", *gateway)
        everything.wait_for("gateway", "account stream up")
        playing = host.begin(player.run())
        placed = 0

        def trading() -> None:
            """Wait until an order is placed that was not there before, and stands."""
            nonlocal placed
            before = placed
            until(lambda: len(venue.exchange.orders) > before + 5 and bool(host(lambda exchange: exchange.open())))
            placed = len(venue.exchange.orders)
            everything.alive()

        def part(number: int) -> None:
            """Let a fifth of the market pass."""
            end = began + number * MINUTES * 60 / SPEED / 5
            time.sleep(max(0.0, end - time.monotonic()))

        began = time.monotonic()
        trading()
        part(1)
        private_broker.kill()
        time.sleep(2.0)
        private_broker.start()
        trading()
        part(2)
        host(lambda _: venue.disconnect())
        trading()
        part(3)
        everything.end("maker", signal.SIGKILL)
        everything.start("maker", *WORKERS["maker"])
        trading()
        part(4)
        everything.end("gateway", signal.SIGKILL)
        until(lambda: host(lambda exchange: exchange.fired) == 1)  # the dead man's switch
        assert not host(lambda exchange: exchange.open())
        everything.start("gateway", *gateway)
        trading()
        part(5)
        playing.cancel()
        assert everything.end("gateway", signal.SIGTERM) == 0
        ledger = host(lambda _: venue.ledger())
        check(settings, venue, ledger)
    finally:
        everything.kill()
        for name in ("feed", "merge", *WORKERS, "gateway"):
            with contextlib.suppress(FileNotFoundError):
                print(f"--- {name}\n{everything.told(name)[-2_000:]}")


def check(settings: Settings, venue: ExtendedVenue, ledger: dict[str, Any]) -> None:
    """Hold what we have written to what the venue has."""
    assert not ledger["open"]
    ids = Counter(order["externalId"] for order in venue.exchange.orders.values())
    assert set(ids.values()) == {1}, "an order was placed twice"
    asked = {request.client_id for request in records(settings, OrderRequest) if request.price}
    assert set(ids) <= asked
    fills = {fill.fill_id: fill for fill in records(settings, Fill)}
    trades = {str(trade["id"]): trade for trade in ledger["trades"]}
    print("orders", len(ids), "fills", len(trades), "refused", ledger["refused"], "cash", ledger["cash"])
    print(Counter(quote.reason for quote in records(settings, Quote)))
    assert trades
    assert set(fills) == set(trades)
    size, cash = Decimal(), Decimal()
    for fill in fills.values():
        signed = Decimal(fill.size).scaleb(-fill.size_decimals) * (1 if fill.side == "buy" else -1)
        size += signed
        cash -= signed * Decimal(fill.price).scaleb(-fill.price_decimals) + Decimal(repr(fill.fee))
    assert abs(Decimal(ledger["cash"]) - START_CASH - cash) < Decimal("1e-6")
    assert size == Decimal(ledger["sizes"]["ETH-USD"])
    last = records(settings, NetPosition)[-1]
    assert Decimal(last.size).scaleb(-last.size_decimals) == size
