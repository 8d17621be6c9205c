"""The shell around a feed: all is published in order and confirmed before the process ends, however that comes."""

import asyncio
import os
import pathlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest
import typer

from infra.errors import UserError
from infra.publisher import Publisher, PublishError
from producers import __main__ as commands
from producers import publishing
from producers.backoff import Backoff
from producers.coinbase import Coinbase
from producers.feed import feeds
from producers.transport import Transport
from schemas import Clock, Connect, DeadLetter, Heartbeat, Record, Tick, Trade
from schemas.codec import Codec
from tests.loopback import Loopback
from tests.producers import venue
from tests.producers.test_transport import heartbeat, ticker
from tests.waiting import PATIENCE_S


class Kept:
    """Stands in for a publisher: keeps what it is given, and signals this process once it has had enough."""

    def __init__(
        self,
        fails_after: int = 10**9,
        signals: int | None = None,
        enough: Callable[["Kept"], bool] = lambda _kept: True,
    ) -> None:
        self.records: list[Record] = []
        self.polls = 0
        self.flushed = False
        self._fails_after = fails_after
        self._signals = signals
        self._enough = enough

    def publish(self, record: Record, **_more: Any) -> None:
        if len(self.records) >= self._fails_after:
            raise PublishError("broker gone")
        self.records.append(record)
        self._signal_once()

    def poll(self) -> None:
        self.polls += 1
        self._signal_once()

    def flush(self) -> None:
        self.flushed = True

    def _signal_once(self) -> None:
        # Not after some seconds: before the handlers are in place the signal would end pytest itself.
        if self._signals is not None and self._enough(self):
            os.kill(os.getpid(), self._signals)
            self._signals = None


def as_publisher(kept: Kept) -> Publisher:
    return cast(Publisher, kept)


def live(kept: Kept, seconds: float | None, frames: list[str]) -> None:
    async def run() -> None:
        async with Loopback([frames]) as loopback:
            outlet = publishing.Outlet(as_publisher(kept), "coinbase")
            quick = Backoff(base_s=0.02, cap_s=0.05, spacing_s=0.02)
            transport = Transport(Coinbase, ["ETH-USD"], outlet, url=loopback.url, backoff=quick)
            await publishing.live(transport, as_publisher(kept), seconds)

    asyncio.run(run())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_live_feed_ends_on_a_signal_with_everything_flushed(number: int) -> None:
    def told(kept: Kept) -> list[type[Record]]:
        return [type(record) for record in kept.records if not isinstance(record, Clock)]

    def enough(kept: Kept) -> bool:  # deliveries are served although the market is silent
        return len(told(kept)) == 3 and len(kept.records) >= 6 and kept.polls >= 1

    kept = Kept(signals=number, enough=enough)
    live(kept, None, [venue.subscriptions("ETH-USD"), ticker(1), heartbeat(1)])
    assert kept.flushed
    assert told(kept) == [Connect, Tick, Heartbeat]


def test_a_live_feed_ends_after_its_seconds() -> None:
    kept = Kept()
    live(kept, 0.3, [])
    assert kept.flushed


def test_a_record_that_cannot_be_delivered_ends_the_feed() -> None:
    kept = Kept(fails_after=1)
    with pytest.raises(PublishError, match="broker gone"):
        live(kept, PATIENCE_S, [venue.subscriptions("ETH-USD"), ticker(1)])
    assert not kept.flushed


def test_waiting_for_room_slows_the_feed_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    publish = kept.publish

    def crowded(record: Record) -> None:
        time.sleep(publishing.SLOW_S * 1.2)
        publish(record)

    monkeypatch.setattr(kept, "publish", crowded)
    outlet = publishing.Outlet(as_publisher(kept), "coinbase")
    for event_ns in (1, 2):
        outlet(Clock(event_ns))
    assert outlet.waits == 2
    assert kept.records == [Clock(1), Clock(2)]


def test_a_record_that_breaks_its_schema_becomes_a_dead_letter_and_ends_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, codec = Kept(), Codec()

    def checked(record: Record) -> None:
        codec.encode(record)
        kept.records.append(record)

    monkeypatch.setattr(kept, "publish", checked)
    outlet = publishing.Outlet(as_publisher(kept), "coinbase")
    for size in (0.0, 1.0):
        outlet(Trade("coinbase:ETH-USD", 1, 1, 1.0, size, "buy", 1, 1, 1))
    letter, trade = kept.records
    assert isinstance(letter, DeadLetter)
    assert (letter.source, letter.by) == ("coinbase", "codec")
    assert "Trade.size is 0.0" in letter.reason
    assert isinstance(trade, Trade)


def test_played_records_are_published_until_they_end() -> None:
    kept = Kept()
    records: list[Record] = [Clock(1), Heartbeat("v:S", 2, 2, 0, 0)]
    assert publishing.play(records, as_publisher(kept), "coinbase") == 2
    assert kept.records == records
    assert kept.flushed


def test_playing_ends_on_a_signal_with_everything_flushed_and_gives_the_signal_back() -> None:
    def endless() -> Iterator[Record]:
        for event_ns in range(10**9):
            time.sleep(0.001)
            yield Clock(event_ns)

    def enough(kept: Kept) -> bool:
        return kept.polls >= 1 and len(kept.records) > 10

    kept, before = Kept(signals=signal.SIGTERM, enough=enough), signal.getsignal(signal.SIGTERM)
    count = publishing.play(endless(), as_publisher(kept), "coinbase")
    assert kept.flushed
    assert count == len(kept.records)
    assert signal.getsignal(signal.SIGTERM) is before


def test_clocks_are_told_until_a_signal() -> None:
    kept = Kept(signals=signal.SIGINT, enough=lambda kept: len(kept.records) >= 5)
    publishing.tell_time(as_publisher(kept), 50_000_000)
    times = [record.event_ns for record in kept.records]
    assert len(times) >= 5
    assert times == sorted(set(times))
    assert kept.flushed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "nosuch"}, "no feed 'nosuch'; there are binance"),
        ({"name": "simulator", "url": "ws://here"}, "--url"),
        ({"name": "simulator", "redundant": True}, "--redundant need a connection"),
        (
            {"name": "coinbase", "channel": ["ticker", "full"]},
            "--channel: coinbase has no 'full'; it has ticker, heart",
        ),
        ({"name": "binance"}, "binance needs symbols"),
        ({"name": "coinbase", "speed": "2"}, "--speed"),
        ({"name": "simulator", "speed": "fast"}, "--speed: expected max or a number above 0, not 'fast'"),
        ({"name": "simulator", "speed": "-1"}, "--speed: expected max or a number above 0, not '-1'"),
        ({"name": "coinbase", "recording": pathlib.Path("nosuch.jsonl")}, "--recording: no file nosuch.jsonl"),
    ],
)
def test_a_users_mistake_is_told_before_anything_starts(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said.replace("--", "")):
        commands.feed(**arguments)


def test_the_list_names_every_feed_with_its_channels(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit):
        commands._list(True)
    told = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert told == {name: list(feed.known_channels) for name, feed in feeds().items()}
