"""A venue of numbered trades and book updates, for tests: a message a moment, the same on every connection.

``Numbers`` is its feed: trades and deltas by number, a snapshot on request, a notice before the end. ``Broadcast`` is
the venue.
"""

import asyncio
import contextlib
import http
import json
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import ClassVar

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from producers.agenda import Agenda, Fetch
from producers.feed import Feed, Recent, Resubscribe, Retire
from schemas import Depth, Record, Rejected, Trade
from tests.http_venue import Answer, HttpVenue

INSTRUMENT = "numbers:S"


def message(number: int) -> str:
    """The venue's ``number``-th: a trade, and the book updates 2 number - 1 and 2 number."""
    return json.dumps({"number": number})


def shutdown() -> str:
    return json.dumps({"event": "serverShutdown"})


class Numbers(Feed):
    """Each message a trade and a delta, in order after a snapshot that is fetched."""

    name: ClassVar[str] = "numbers"
    url: ClassVar[str] = "wss://venue.example/stream"
    silence_s: ClassVar[float] = 60.0
    shared_sequences: ClassVar[bool] = True

    def __init__(self, cause: str = "start", recent: Recent | None = None, channels: Sequence[str] = ()) -> None:
        super().__init__(cause, recent, channels)
        self._agenda = Agenda()
        self._last = -1  # of the book; -1 while the snapshot is awaited
        self._waiting: list[Depth] = []

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        self._agenda.add(Fetch("book", "https://venue.example/book"))
        return [*super().subscribe(symbols), "subscribe"]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        found = json.loads(frame)
        if found.get("event") == "serverShutdown":
            raise Retire("serverShutdown")
        if found.get("event") == "error":
            raise Resubscribe("error", "venue says so")
        if "number" not in found:
            raise Rejected("no number")
        number = found["number"]
        trade = Trade(INSTRUMENT, received_ns, received_ns, 1.0, 1.0, "buy", number, number, number)
        delta = depth("delta", 2 * number - 1, 2 * number, received_ns)
        records = [*self._began(received_ns), trade]
        if self._last < 0:
            self._waiting.append(delta)
        elif delta.last_sequence > self._last:
            records.append(delta)
        return iter(records)

    def fetches(self, now_ns: int) -> Sequence[Fetch]:
        return self._agenda.due(now_ns)

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        last = json.loads(body)["last"]
        self._agenda.done(tag)
        waiting, self._waiting, self._last = self._waiting, [], last
        records = [*self._began(received_ns), depth("snapshot", last, last, received_ns)]
        return iter([*records, *(delta for delta in waiting if delta.last_sequence > last)])

    def resync(self, symbol: str) -> list[str]:
        self._last = -1
        self._agenda.add(Fetch("book", "https://venue.example/book"))
        return ["resync"]

    def _began(self, received_ns: int) -> list[Record]:
        connects: list[Record] = [*self.connects("S", received_ns)]
        return [*connects, depth("connect", 0, 0, received_ns, self.cause)] if connects else []


def depth(kind: str, first: int, last: int, received_ns: int, cause: str = "") -> Depth:
    return Depth(
        INSTRUMENT, received_ns, received_ns, kind, cause, first, last, -1, 0, 0, b"", b"", b"", b"", 0, 0, False
    )


class Broadcast:
    """The venue: a websocket server that tells all its connections the same, and the book over HTTP.

    ``refusals`` is how many of the next handshakes are refused, ``lags_s`` by how much each connection hears later than
    the venue speaks, in the order of their coming; ``attempts`` counts all handshakes.
    """

    def __init__(self, lags_s: Sequence[float] = (), every_s: float = 0.004) -> None:
        self.number = 0
        self.refusals = 0
        self.attempts = 0
        self.connections: list[ServerConnection] = []
        self._lags_s = lags_s
        self._every_s = every_s
        self._server: Server | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._books = HttpVenue({"/book": [lambda request: Answer(body=b'{"last":%d}' % (2 * self.number))]})

    async def __aenter__(self) -> "Broadcast":
        await self._books.__aenter__()
        self._server = await serve(self._play, "127.0.0.1", 0, process_request=self._admit, close_timeout=0.2)
        self._speaking = asyncio.create_task(self._speak())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._speaking is not None
        self._server.close()
        await self._server.wait_closed()
        self._speaking.cancel()
        await self._books.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def fetch_url(self) -> str:
        return self._books.url

    async def tell(self, text: str) -> None:
        """Send something out of turn to every connection."""
        for connection in self.connections:
            await connection.send(text)

    def drop(self, place: int) -> None:
        """Cut a connection, counted from the oldest that is up."""
        self.connections[place].transport.abort()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts += 1
        if not self.refusals:
            return None
        self.refusals -= 1
        status = http.HTTPStatus.SERVICE_UNAVAILABLE
        return Response(status.value, status.phrase, Headers({"Content-Length": "0", "Connection": "close"}))

    async def _play(self, connection: ServerConnection) -> None:
        place = self.attempts - 1
        lag_s = self._lags_s[place] if place < len(self._lags_s) else 0.0
        with contextlib.suppress(ConnectionClosed):
            await connection.recv()
            heard = self.number
            self.connections.append(connection)
            while True:
                upto = self.number - int(lag_s / self._every_s)
                for number in range(heard + 1, upto + 1):
                    await connection.send(message(number))
                    heard = number
                await asyncio.sleep(self._every_s)
        if connection in self.connections:
            self.connections.remove(connection)

    async def _speak(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            self.number += 1
