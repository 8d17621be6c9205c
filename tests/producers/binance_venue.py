"""Binance on this machine: trades and diffs of some symbols on every connection, what was missed again over REST.

Faults: connections are cut, messages not sent, trades never offered again, the server announced to shut down.
"""

import asyncio
import contextlib
import itertools
import json
import time
import urllib.parse
from collections.abc import Sequence
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tests.http_venue import Answer, HttpVenue, Request
from tests.producers.binance import Pairs, confirmed, depth, snapshot, trade, trade_row

FIRST_ID = 1_000


class Exchange:
    """The venue; an async context manager. Each symbol's n-th message is its n-th trade, or n-th diff.

    ``muted`` holds the numbers of messages that no connection gets, ``lost`` the ids of trades that REST does not
    offer. A diff n sets the bid 100 + n % 5 to the size n, so the book after it is known to anyone.
    """

    def __init__(self, symbols: Sequence[str], every_s: float = 0.004) -> None:
        self.symbols = symbols
        self.number = 0
        self.muted: set[int] = set()
        self.lost: set[int] = set()
        self.connections: list[ServerConnection] = []
        self.handshakes: list[str] = []
        self._every_s = every_s
        self._server: Server | None = None
        self._speaking: asyncio.Task[None] | None = None
        self._rest = HttpVenue({"/api/v3/historicalTrades": [self._trades], "/api/v3/depth": [self._depth]})

    async def __aenter__(self) -> "Exchange":
        await self._rest.__aenter__()
        self._server = await serve(self._converse, "127.0.0.1", 0, close_timeout=0.2)
        self._speaking = asyncio.create_task(self._speak())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._speaking is not None
        self._speaking.cancel()
        self._server.close()
        await self._server.wait_closed()
        await self._rest.__aexit__(kind, error, trace)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def fetch_url(self) -> str:
        return self._rest.url

    @property
    def fetched(self) -> list[str]:
        """What was asked for over REST."""
        return self._rest.targets()

    def cut(self) -> None:
        """Cut every connection."""
        for connection in self.connections:
            connection.transport.abort()

    async def shut_down(self) -> None:
        """Announce the end of the connections there are, and end them a while later."""
        ending = list(self.connections)
        for connection in ending:
            await connection.send('{"e":"serverShutdown","E":1770123456789}')
        await asyncio.sleep(1.0)
        for connection in ending:
            await connection.close()

    async def _speak(self) -> None:
        for self.number in itertools.count(1):
            for connection, symbol in itertools.product(list(self.connections), self.symbols):
                if self.number not in self.muted:
                    await self._tell(connection, symbol)
            await asyncio.sleep(self._every_s)

    async def _tell(self, connection: ServerConnection, symbol: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(trade(FIRST_ID + self.number, symbol, T=now_us()))
            levels = bids(self.number, self.number)
            await connection.send(depth(self.number, self.number, levels, symbol=symbol, E=now_us()))

    async def _converse(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        self.handshakes.append(connection.request.path)
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                request = json.loads(text)
                assert request["method"] == "SUBSCRIBE"
                await connection.send(confirmed(request["id"]))
                self.connections.append(connection)
        if connection in self.connections:
            self.connections.remove(connection)

    def _trades(self, request: Request) -> Answer:
        query = asked(request)
        first = int(query["fromId"])
        numbers = [number for number in range(first, FIRST_ID + self.number + 1) if number not in self.lost]
        rows = [trade_row(number) | {"time": now_us()} for number in numbers[: int(query["limit"])]]
        return Answer(body=json.dumps(rows).encode())

    def _depth(self, request: Request) -> Answer:
        assert asked(request)["limit"] == "5000"
        return Answer(body=snapshot(self.number, bids(max(self.number - 4, 1), self.number), [["200.00", "1"]]))


def now_us() -> int:
    return time.time_ns() // 1_000


def bids(first: int, last: int) -> Pairs:
    """Levels that diffs set."""
    return [[f"{100 + number % 5}.00", str(number)] for number in range(first, last + 1)]


def asked(request: Request) -> dict[str, str]:
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(request.target).query))
