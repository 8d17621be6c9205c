"""The gateway as a process, on a broker and the loopback venue: killed, told to end, and left without what it needs."""

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from confluent_kafka import Consumer, TopicPartition

from infra.broker import consumer_config, full_name
from infra.local import LocalKafka
from infra.publisher import Publisher
from infra.settings import Settings
from schemas import Clock, Control, Fill, OrderRequest, OrderState, Record
from schemas.codec import Codec
from schemas.position import Position
from tests import waiting
from tests.consumers.gateways.running import INSTRUMENT, ask
from tests.data import ROOT
from tests.extended_venue.server import ExtendedVenue, Fault, Hosted, hosted
from tests.live import read
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.real_broker
CODEC = Codec()


@pytest.fixture
def live(make_topics: Callable[..., Settings]) -> Settings:
    """Settings for the broker whose topics exist, of one partition each: they are soon made, and soon read."""
    return make_topics(partitions=1)


class Market:
    """Keeps the merged log and the executor's group moving, as a merger and a worker would."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.publisher = Publisher(settings, CODEC)
        self._executor = Consumer(consumer_config(settings, f"{settings.group}.market_maker"))
        self._offset = 0

    def move(self) -> None:
        """Time goes on."""
        now_ns = time.time_ns()
        value = CODEC.encode(Clock(now_ns))
        self.publisher.publish_raw("merges", value, b"*", 0, [(b"x".decode(), Position("ticks", 0, 1).header())])
        self.publisher.flush(PATIENCE_S)
        self._offset += 1
        place = TopicPartition(full_name(self.settings, "merges"), 0, self._offset)
        self._executor.commit(offsets=[place], asynchronous=False)

    def ask(self, *requests: Record) -> None:
        for request in requests:
            self.publisher.publish(request)
        self.publisher.flush(PATIENCE_S)


class Running:
    """The command as a process."""

    started: ClassVar[list["subprocess.Popen[bytes]"]] = []

    def __init__(self, settings: Settings, venue: ExtendedVenue, folder: Path, *more: str) -> None:
        self.log = folder / "gateway.log"
        self.environment = environment(settings, venue)
        self.arguments = [
            "trade", "extended", "ETH-USD", "--api-url", venue.hosts.api, "--stream-url", venue.hosts.stream, *more,
        ]  # fmt: skip
        self._folder = folder
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "infra.cli", *self.arguments], cwd=self._folder, env=self.environment,
                stdout=log, stderr=log,
            )  # fmt: skip
        self.started.append(self.process)

    def told(self) -> str:
        return self.log.read_text()

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


def environment(settings: Settings, venue: ExtendedVenue) -> dict[str, str]:
    return {
        **os.environ,
        **venue.keys.environment(),
        "PYTHONPATH": str(ROOT),
        "TIDEMILL_BROKERS": settings.brokers,
        "TIDEMILL_TOPIC_PREFIX": settings.topic_prefix,
        "TIDEMILL_GROUP": settings.group,
        "TIDEMILL_DATA_DIR": str(settings.data_dir),
        "TIDEMILL_PARTITIONS": "1",
    }


def written(settings: Settings, kind: type[Record]) -> list[Any]:
    """The records of a kind that stand in its topic."""
    records = [CODEC.decode(message.value() or b"") for part in read(settings, kind.topic) for message in part]
    return [record for record in records if isinstance(record, kind)]


def states(settings: Settings, client_id: str) -> list[str]:
    return [state.status for state in written(settings, OrderState) if state.client_id == client_id]


def until(true: Callable[[], bool], market: Market, running: Running | None = None) -> None:
    """Let time go on until something is true."""

    def come() -> bool:
        if true():
            return True
        assert running is None or running.process.poll() is None, running.told()[-4_000:]
        market.move()
        return False

    waiting.until(come, running.told if running is not None else str, 0.1)


@pytest.fixture(autouse=True)
def _none_left() -> Iterator[None]:
    yield
    while Running.started:
        process = Running.started.pop()
        process.kill()
        process.wait()


@pytest.fixture
def venue() -> Iterator[tuple[ExtendedVenue, Hosted]]:
    server = ExtendedVenue()
    with hosted(server) as host:
        yield server, host


Place = tuple[ExtendedVenue, Hosted]


def placed(market: Market, running: Running, client_id: str) -> None:
    """Ask for orders under an id until one is open: the gateway may still be reconciling."""
    number = 0

    def is_open() -> bool:
        nonlocal number
        name = f"{client_id}-{number}"
        found = states(market.settings, name)
        if not number or "rejected" in found:
            number += 1
            market.ask(ask(f"{client_id}-{number}"))
        return "open" in found

    until(is_open, market, running)


def test_a_request_becomes_an_order_and_sigterm_leaves_none(live: Settings, venue: Place, tmp_path: Path) -> None:
    server, host = venue
    market, running = Market(live), Running(live, server, tmp_path)
    placed(market, running, "id")
    host(lambda exchange: exchange.trade("ETH-USD", "SELL", "1990", "0.04"))
    until(lambda: len(written(live, Fill)) == 1, market, running)
    assert running.end(signal.SIGTERM) == 0, running.told()
    assert server.exchange.open() == []
    assert server.exchange.fires_at == float("inf")
    assert [state.status for state in written(live, OrderState)][-1] == "cancelled"
    assert stat.S_IMODE(next(live.data_dir.glob("*.nonce")).stat().st_mode) == 0o600


def test_killed_with_9_it_leaves_nothing_after_the_countdown_and_the_next_one_knows_what_was(
    live: Settings, venue: Place, tmp_path: Path
) -> None:
    server, host = venue
    market, running = Market(live), Running(live, server, tmp_path, "--countdown", "3")
    placed(market, running, "id")
    host(lambda exchange: exchange.trade("ETH-USD", "SELL", "1990", "0.04"))
    until(lambda: len(written(live, Fill)) == 1, market, running)
    assert running.end(signal.SIGKILL) == -signal.SIGKILL
    host(lambda exchange: exchange.trade("ETH-USD", "SELL", "1990", "0.01"))
    market.ask(ask("late"))
    until(lambda: not server.exchange.open(), market)
    assert server.exchange.fired == 1
    placed_before = len(server.exchange.orders)
    running.start()
    until(lambda: len(written(live, Fill)) == 2, market, running)
    until(lambda: "rejected" in states(live, "late"), market, running)
    placed(market, running, "again")
    assert running.end(signal.SIGTERM) == 0
    nonces = [order["externalId"] for order in server.exchange.orders.values()]
    assert len(set(nonces)) == len(nonces) > placed_before
    assert "late" not in nonces


def test_without_data_every_order_is_withdrawn_until_there_are_some_again(
    live: Settings, venue: Place, tmp_path: Path
) -> None:
    server, _ = venue
    market, running = Market(live), Running(live, server, tmp_path, "--away", "2")
    placed(market, running, "id")
    waiting.until(lambda: not server.exchange.open(), running.told)
    for words in ("no data for", "market_maker"):
        waiting.until(lambda: any(words in control.reason for control in written(live, Control)), running.told, 0.2)  # noqa: B023
    placed(market, running, "again")
    running.end(signal.SIGTERM)


def test_without_a_broker_every_order_is_withdrawn(private_broker: LocalKafka, tmp_path: Path, venue: Place) -> None:
    from infra.broker import ensure_topics
    from infra.settings import load_settings

    settings = load_settings(env_file=None, brokers=private_broker.address, data_dir=tmp_path / "data", partitions=1)
    ensure_topics(settings)
    server, _ = venue
    market = Market(settings)
    running = Running(settings, server, tmp_path, "--away", "2")
    placed(market, running, "id")
    private_broker.stop()
    waiting.until(lambda: not server.exchange.open(), running.told)
    done = command(running, "kill", "--reason", "no broker", "--api-url", server.hosts.api)
    assert done.returncode == 0, done.stderr
    assert "no halt written" in done.stderr
    assert "every order at the venue is cancelled" in done.stdout
    private_broker.start()
    placed(Market(settings), running, "again")
    assert running.end(signal.SIGTERM) == 0, running.told()


def command(running: Running, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "infra.cli", *arguments], cwd=ROOT, env=running.environment, capture_output=True,
        text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip


def test_kill_halts_over_a_restart_and_resume_needs_a_reason(live: Settings, venue: Place, tmp_path: Path) -> None:
    server, _ = venue
    market, running = Market(live), Running(live, server, tmp_path)
    placed(market, running, "id")
    done = command(running, "kill", "--reason", "it went wrong", "--api-url", server.hosts.api)
    assert done.returncode == 0, done.stderr
    assert server.exchange.open() == []
    assert {control.action for control in written(live, Control)} >= {"halt"}
    running.end(signal.SIGKILL)
    running.start()
    until(lambda: running.told().count("account stream up") == 2, market, running)
    market.ask(ask("no"))
    until(lambda: states(live, "no") == ["rejected"], market, running)
    assert "it went wrong" in written(live, OrderState)[-1].reason
    assert command(running, "resume", "--reason", " ").returncode == 2
    assert command(running, "resume").returncode == 2
    assert command(running, "resume", "--reason", "looked into it").returncode == 0
    placed(market, running, "again")
    running.end(signal.SIGTERM)


def test_a_doubt_over_the_broker_is_one_order(live: Settings, venue: Place, tmp_path: Path) -> None:
    server, _ = venue
    market, running = Market(live), Running(live, server, tmp_path)
    placed(market, running, "id")
    server.faults.append(Fault("/user/order", "dropped", method="POST"))
    request = ask("doubt", price="1989")
    market.ask(request, request)
    until(lambda: "open" in states(live, "doubt"), market, running)
    assert [order["externalId"] for order in server.exchange.orders.values()].count("doubt") == 1
    running.end(signal.SIGTERM)


def test_no_output_holds_a_key(live: Settings, venue: Place, tmp_path: Path) -> None:
    server, _ = venue
    market, running = Market(live), Running(live, server, tmp_path)
    running.environment["TIDEMILL_LOG_LEVEL"] = "DEBUG"
    running.end(signal.SIGTERM)
    running.start()
    server.faults += [Fault("/user/order", 401, method="POST"), Fault("/user/orders", 503, times=2)]
    placed(market, running, "id")
    line = Path(f"/proc/{running.process.pid}/cmdline").read_bytes().decode()
    running.end(signal.SIGTERM)
    outputs = [running.told(), line, command(running, "kill", "--no-venue").stderr]
    outputs += [repr(written(live, kind)) for kind in (OrderRequest, OrderState, Control)]
    keys = server.keys
    for secret in (keys.api_key, f"{keys.private_key:x}", str(keys.private_key)):
        for output in outputs:
            assert secret not in output.lower()
    assert "account stream up" in running.told()


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("TRADING_ENABLED", "TRADING_ENABLED=true"),
        ("TIDEMILL_TRADING_MODE", "TIDEMILL_TRADING_MODE=live"),
        ("API_KEY", "API_KEY"),
        ("STARK_PRIVATE", "STARK_PRIVATE"),
        ("VAULT_NUMBER", "VAULT_NUMBER"),
    ],
)
def test_it_is_off_unless_everything_is_given(live: Settings, tmp_path: Path, left_out: str, said: str) -> None:
    server = ExtendedVenue()
    given = environment(live, server)
    del given[left_out]
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "trade", "extended", "ETH-USD"], cwd=tmp_path, env=given,
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"not given: {said} (" in done.stderr
    assert INSTRUMENT not in done.stderr
