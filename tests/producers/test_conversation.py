"""What is said on a connection: frames sent, secrets filled in, requests alone, and mistakes that spread no further."""

import asyncio
import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from pydantic import SecretStr

from infra.errors import UserError
from producers import conversation, frames
from producers.agenda import Agenda, Fetch
from producers.feed import Feed, Recent, Shard
from producers.keys import Keys
from producers.transport import Transport
from schemas import Clock, Connect, DeadLetter, Heartbeat, IndexValue, Record, Rejected
from tests.http_venue import Answer, HttpVenue
from tests.loopback import Drop, Loopback, Pause
from tests.producers.running import QUICK
from tests.waiting import until_true

SECRET = "canary-4711"


class Echo(Feed):
    """Heartbeats of what a frame names; asks for more while told to."""

    name: ClassVar[str] = "echo"
    url: ClassVar[str] = "wss://venue.example/ws"
    silence_s: ClassVar[float] = 60.0

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._outgoing: list[str] = []

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        return [*super().subscribe(symbols), f"subscribe {' '.join(symbols)} with $(venue_key)"]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        if frame == "test_request":
            self._outgoing.append("test $(venue_key)")
            return iter(())
        if frame == "bug":
            raise ZeroDivisionError("a mistake in the feed")
        symbol = str(frame)
        return iter([*self.connects(symbol, received_ns), Heartbeat(f"echo:{symbol}", 1, received_ns, 0, 0)])

    def outgoing(self) -> Sequence[str]:
        frames, self._outgoing = self._outgoing, []
        return frames


class Pinging(Echo):
    bearer: ClassVar[str] = "venue_key"
    headers: ClassVar[dict[str, str]] = {"X-Key": "$(venue_key)", "User-Agent": "browser"}
    ping: ClassVar[str] = "PING"
    ping_s: ClassVar[float] = 0.1


class Sharded(Echo):
    """One symbol to a connection."""

    @classmethod
    def shards(cls, symbols: Sequence[str], channels: Sequence[str]) -> list[Shard]:
        return [Shard((symbol,), tuple(channels)) for symbol in symbols]


class Rates(Feed):
    """Only fetches: a value every 50 ms, a record where it has changed and a heartbeat always."""

    name: ClassVar[str] = "rates"
    silence_s: ClassVar[float] = 60.0
    bearer: ClassVar[str] = "venue_key"
    headers: ClassVar[dict[str, str]] = {"X-Unit": "us"}

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._agenda = Agenda()
        self._value = 0.0

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        for symbol in symbols:
            self._agenda.add(Fetch(symbol, f"https://venue.example/rates?symbol={symbol}"), every_s=0.05)
        return super().subscribe(symbols)

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        return self._agenda.due(now_ns)

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        try:
            value = float(json.loads(body)["rate"])
        except (ValueError, KeyError, TypeError):
            raise Rejected("no rate") from None
        records = self.connects(tag, received_ns)
        if value != self._value:
            self._value = value
            records.append(IndexValue(f"rates:{tag}", received_ns, received_ns, value, 0.0, 0.0, 0))
        return iter([*records, Heartbeat(f"rates:{tag}", received_ns, received_ns, 0, 0)])


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "TICK_S", 0.02)


def keys() -> Keys:
    return Keys({"venue_key": SecretStr(SECRET)})


async def played(transport: Transport, until: Callable[[], bool]) -> None:
    running = asyncio.create_task(transport.run())
    try:
        await until_true(until, running)
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def spoken(
    script: Any, until: Callable[[list[Record], Loopback], bool], make: type[Feed] = Echo, **options: Any
) -> Any:
    """The records of a feed over a scripted websocket, and what the venue heard."""

    async def play() -> tuple[list[Record], Loopback]:
        records: list[Record] = []
        async with Loopback(script) as loopback:
            settings: dict[str, Any] = {"backoff": QUICK, "clock_interval_ns": 0, "url": loopback.url, "keys": keys()}
            transport = Transport(make, options.pop("symbols", ["A"]), records.append, **settings | options)
            await played(transport, lambda: until(records, loopback))
        return records, loopback

    return asyncio.run(play())


def answered(answers: Sequence[Answer], until: Callable[[list[Record]], bool], **options: Any) -> Any:
    """The records of a feed that only fetches, and what the venue was asked."""

    async def play() -> tuple[list[Record], HttpVenue]:
        records: list[Record] = []
        async with HttpVenue({"/rates": answers}) as venue:
            settings: dict[str, Any] = {
                "backoff": QUICK,
                "clock_interval_ns": 0,
                "fetch_url": venue.url,
                "keys": keys(),
            }
            transport = Transport(Rates, ["A"], records.append, **settings | options)
            await played(transport, lambda: until(records))
        return records, venue

    return asyncio.run(play())


def rate(value: float, **more: Any) -> Answer:
    return Answer(body=b'{"rate":%r}' % value, **more)


def sent(loopback: Loopback) -> list[str | bytes]:
    """What the first connection has sent so far."""
    return loopback.requests[0] if loopback.requests else []


def words(records: Sequence[Record]) -> list[Any]:
    told: list[Any] = []
    for record in records:
        match record:
            case Connect():
                told.append(f"{record.instrument} {record.cause}")
            case Heartbeat():
                told.append("beat")
            case IndexValue():
                told.append(record.value)
            case DeadLetter():
                told.append(record.reason)
    return told


def has(word: Any) -> Callable[[list[Record]], bool]:
    return lambda records: word in words(records)


def test_frames_that_a_feed_wants_sent_are_sent_with_their_secrets_which_stand_nowhere_else(
    tmp_path: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "day.jsonl"
    with frames.Recorder(path) as recorder:
        records, loopback = spoken(
            [["test_request", "A"]], lambda records, loopback: len(sent(loopback)) == 2, recorder=recorder
        )
    assert loopback.requests == [[f"subscribe A with {SECRET}", f"test {SECRET}"]]
    assert words(records)[:2] == ["echo:A start", "beat"]
    assert SECRET not in path.read_text()
    assert SECRET not in "".join(capfd.readouterr())


def test_pings_and_headers_are_those_that_the_venue_wants() -> None:
    _, loopback = spoken([["A"]], lambda records, loopback: sent(loopback).count("PING") >= 3, make=Pinging)
    assert sent(loopback)[0] == f"subscribe A with {SECRET}"
    headers = loopback.headers[0]
    assert (headers["Authorization"], headers["X-Key"]) == (f"Bearer {SECRET}", SECRET)
    assert headers.get_all("User-Agent") == ["browser"]


@pytest.mark.parametrize(("make", "missing"), [(Echo, "venue_key"), (Rates, "venue_key")])
def test_a_secret_that_is_missing_is_told_by_its_settings_name_before_anything_starts(
    make: type[Feed], missing: str
) -> None:
    secrets: list[Mapping[str, SecretStr | None]] = [{}, {"venue_key": None}, {"venue_key": SecretStr("")}]
    for known in secrets:
        with pytest.raises(UserError, match=f"{missing} .TIDEMILL_VENUE_KEY.: not set"):
            Transport(make, ["A"], lambda record: None, keys=Keys(known))


def test_a_feed_that_only_fetches_runs_without_a_socket_and_clocks_run_beside_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    answers = [rate(1.0), Answer(503), rate(1.0), Answer(body=b"junk"), rate(2.0)]
    records, venue = answered(answers, has(2.0), clock_interval_ns=20_000_000)
    assert [word for word in words(records) if word != "beat"] == ["rates:A start", 1.0, "no rate", 2.0]
    assert words(records).count("beat") >= 3
    assert any(isinstance(record, Clock) for record in records)
    headers = venue.requests[0].headers
    assert (headers["authorization"], headers["x-unit"]) == (f"Bearer {SECRET}", "us")
    assert headers["user-agent"].startswith("Mozilla/5.0")
    assert set(venue.targets()) == {"/rates?symbol=A"}
    assert SECRET not in "".join(capfd.readouterr())


def test_a_source_that_goes_on_failing_is_a_stall_and_comes_back() -> None:
    answers = [rate(1.0), *[Answer(500)] * 10, rate(3.0)]
    records, _ = answered(answers, has(3.0), silence_s=0.4)
    assert "rates:A stall" in words(records)


def test_answers_are_recorded_and_replay_to_the_same_records(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "day.jsonl.zst"
    with frames.Recorder(path) as recorder:
        records, _ = answered([rate(1.0), Answer(body=b"junk"), rate(2.0)], has(2.0), recorder=recorder)
    assert list(frames.records(path, Rates)) == records


def test_a_mistake_in_a_feed_costs_its_frame_and_its_connection() -> None:
    records, loopback = spoken(
        [["A", "bug", "A"], ["A", "B"]], lambda records, loopback: "echo:B error" in words(records)
    )
    assert words(records)[:4] == [
        "echo:A start",
        "beat",
        "ZeroDivisionError in the feed: a mistake in the feed",
        "echo:A error",
    ]
    assert len(loopback.attempts) == 2


def test_a_shard_that_comes_to_grief_does_not_touch_the_others() -> None:
    script = [["A", Pause(0.05), "bug"], ["B", *["B", Pause(0.05)] * 200], [Drop()]]
    records, loopback = spoken(
        script, lambda records, loopback: len(loopback.attempts) >= 8, make=Sharded, symbols=["A", "B"]
    )
    assert words(records).count("echo:B start") == 1
    assert not any("echo:B" in str(word) and "start" not in str(word) for word in words(records))
    asked = sorted(requests[0] for requests in loopback.requests[:2])
    assert asked == [f"subscribe {symbol} with {SECRET}" for symbol in "AB"]
