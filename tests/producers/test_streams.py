"""Server-sent events run like a websocket: each event a frame, and every end is followed by a new connection."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest
from websockets.exceptions import InvalidURI

from producers.feed import Feed, Shard
from producers.transport import Transport
from schemas import Connect, DeadLetter, IndexValue, Record, Rejected
from tests.http_venue import Answer, Events, HttpVenue
from tests.producers.running import QUICK
from tests.waiting import until_true


class Prices(Feed):
    """A stream of numbers."""

    name: ClassVar[str] = "prices"
    url: ClassVar[str] = "https://venue.example/stream"
    silence_s: ClassVar[float] = 60.0
    headers: ClassVar[dict[str, str]] = {"X-Agent": "us"}

    @classmethod
    def address(cls, shard: Shard) -> str:
        return f"{cls.url}?ids={','.join(shard.symbols)}"

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        try:
            value = float(frame)
        except ValueError:
            raise Rejected("not a number") from None
        price = IndexValue("prices:A", received_ns, received_ns, value, 0.0, 0.0, 0)
        return iter([*self.connects("A", received_ns), price])


def run(
    script: Sequence[Answer | Events], until: Callable[[list[Record]], bool], **options: Any
) -> tuple[list[Record], HttpVenue]:
    async def play() -> tuple[list[Record], HttpVenue]:
        records: list[Record] = []
        async with HttpVenue({"/stream": script}) as venue:
            settings: dict[str, Any] = {"backoff": QUICK, "clock_interval_ns": 0, "url": venue.url} | options
            running = asyncio.create_task(Transport(Prices, ["A"], records.append, **settings).run())
            await until_true(lambda: until(records), running)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return records, venue

    return asyncio.run(play())


def told(records: Sequence[Record]) -> list[str | float]:
    words: list[str | float] = []
    for record in records:
        match record:
            case Connect():
                words.append(record.cause)
            case IndexValue():
                words.append(record.value)
            case DeadLetter():
                words.append(record.reason)
    return words


def value(last: float) -> Callable[[list[Record]], bool]:
    return lambda records: any(isinstance(record, IndexValue) and record.value == last for record in records)


def test_each_event_is_a_frame_and_comments_are_none() -> None:
    pieces: list[str | float] = [
        ": hello\n\n",
        "data: 1\n\n",
        "event: price\nid: 7\ndata: 2\r\n\r\n",
        "data: ju",
        "nk\n\ndata:3\n\n",
        1.0,
    ]
    records, venue = run([Events(pieces)], value(3))
    assert told(records) == ["start", 1.0, 2.0, "not a number", 3.0]
    (request,) = venue.requests
    assert request.target == "/stream?ids=A"
    assert request.headers["accept"] == "text/event-stream"
    assert request.headers["x-agent"] == "us"


def test_a_stream_that_ends_or_breaks_or_is_refused_comes_again() -> None:
    script: list[Answer | Events] = [
        Events(["data: 1\n\n"]),
        Answer(503),
        Answer(body=b"text"),
        Events(["data: 2\n\n", "data: 3\n\n", 1.0]),
    ]
    records, venue = run(script, value(3))
    assert told(records) == ["start", 1.0, "disconnect", 2.0, 3.0]
    assert len(venue.requests) == 4


def test_a_silent_stream_is_given_up_as_a_stall_though_comments_come() -> None:
    began = time.monotonic()
    comments: list[str | float] = [piece for _ in range(20) for piece in (": still here\n\n", 0.05)]
    records, _ = run([Events(["data: 1\n\n", *comments]), Events(["data: 2\n\n", 1.0])], value(2), silence_s=0.6)
    assert told(records) == ["start", 1.0, "stall", 2.0]
    assert 0.6 <= time.monotonic() - began < Prices.silence_s


def test_a_stream_that_says_stop_is_left_alone_for_long() -> None:
    script: list[Answer | Events] = [Answer(429, headers={"Retry-After": "1"}), Events(["data: 1\n\n", 1.0])]
    _, venue = run(script, value(1))
    assert venue.requests[1].at - venue.requests[0].at >= 0.99


def test_an_address_that_is_none_is_said_at_once() -> None:
    transport = Transport(Prices, ["A"], lambda record: None, url="https://")
    with pytest.raises(InvalidURI):
        asyncio.run(asyncio.wait_for(transport.run(), 5))
