"""A venue on this machine: a websocket server that does what a script says, faults included.

A script is a list for each connection, in order; when the lists are used up, further connections get the last one
again. In a list, a str or bytes is a frame to send; the classes below are faults. What a list ends with is silence:
the connection stays open until the client or the server goes.

>>> async def example():
...     async with Loopback([["hello", Drop()], Refuse(429), ["again"]]) as venue:
...         return venue.url
"""

import asyncio
import dataclasses
import http
import time
from collections.abc import Sequence
from types import TracebackType

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclasses.dataclass(frozen=True)
class Pause:
    """Send nothing for some seconds."""

    seconds: float


@dataclasses.dataclass(frozen=True)
class Drop:
    """Cut the TCP connection, after the first half of ``frame`` where one is given."""

    frame: str = ""


@dataclasses.dataclass(frozen=True)
class Close:
    """Close properly."""

    code: int = 1001


@dataclasses.dataclass(frozen=True)
class Refuse:
    """Answer the handshake with an HTTP status; stands in place of a connection's list."""

    status: int
    retry_after: str = ""


Action = str | bytes | Pause | Drop | Close
Script = Sequence[Sequence[Action] | Refuse]


class Loopback:
    """The server; an async context manager.

    ``attempts`` holds the monotonic seconds of each handshake, ``headers`` what it carried, ``requests`` what clients
    have sent, by connection, ``closes`` the code with which each connection ended.
    ``waits`` False plays a list at once, without waiting for the client's first frame.
    """

    def __init__(self, script: Script, *, waits: bool = True) -> None:
        self.attempts: list[float] = []
        self.headers: list[Headers] = []
        self.requests: list[list[str | bytes]] = []
        self.closes: list[int | None] = []
        self._script = script
        self._waits = waits
        self._server: Server | None = None
        self._admitted: dict[ServerConnection, Sequence[Action]] = {}

    async def __aenter__(self) -> "Loopback":
        self._server = await serve(
            self._play, "127.0.0.1", 0, process_request=self._admit, close_timeout=0.2, compression=None
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def _current(self) -> Sequence[Action] | Refuse:
        return self._script[min(len(self.attempts), len(self._script)) - 1]

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        self.attempts.append(time.monotonic())
        self.headers.append(request.headers)
        current = self._current()
        if not isinstance(current, Refuse):
            self._admitted[connection] = current
            return None
        status = http.HTTPStatus(current.status)
        headers = Headers({"Retry-After": current.retry_after} if current.retry_after else {})
        headers["Content-Length"] = "0"
        headers["Connection"] = "close"
        return Response(status.value, status.phrase, headers)

    async def _play(self, connection: ServerConnection) -> None:
        actions = self._admitted.pop(connection)
        requests: list[str | bytes] = []
        self.requests.append(requests)
        try:
            if self._waits:
                requests.append(await connection.recv())
            for action in actions:
                await self._act(connection, action)
            async for request in connection:
                requests.append(request)
        except ConnectionClosed:
            pass
        await connection.wait_closed()
        self.closes.append(connection.close_code)

    async def _act(self, connection: ServerConnection, action: Action) -> None:
        match action:
            case str() | bytes():
                await connection.send(action)
            case Pause():
                await asyncio.sleep(action.seconds)
            case Close():
                await connection.close(action.code)
            case Drop():
                data = action.frame.encode()
                if data:
                    connection.transport.write(b"\x81\x7e" + len(data).to_bytes(2, "big") + data[: len(data) // 2])
                await asyncio.sleep(0.02)
                connection.transport.abort()
