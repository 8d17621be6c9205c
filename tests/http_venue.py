"""A venue over HTTP on this machine: answers each request as a script says, faults included.

The script gives the answers to a path in order; when they are used up, the last one is given again. An answer may be a
function of the request. A path that the script does not hold is answered with 404.

>>> async def example():
...     async with HttpVenue({"/book": [Answer(503), Answer(body=b"{}")]}) as venue:
...         return venue.url
"""

import asyncio
import contextlib
import dataclasses
import http
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple


@dataclasses.dataclass(frozen=True)
class Answer:
    """What to send: ``cut`` ends the connection after so many bytes of the body, ``wait_s`` waits before it all."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cut: int | None = None
    wait_s: float = 0.0


@dataclasses.dataclass(frozen=True)
class Events:
    """A stream of server-sent events: each piece is written as it stands, a number waits for so many seconds.

    The stream ends after the last one, or stays open and silent where it ends with a number.
    """

    pieces: Sequence[str | float]


class Request(NamedTuple):
    """What a client asked, and when, in monotonic seconds."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float


Script = Mapping[str, Sequence[Answer | Events | Callable[[Request], Answer]]]


class HttpVenue:
    """The server; an async context manager. ``requests`` holds what was asked, in order."""

    def __init__(self, script: Script) -> None:
        self.requests: list[Request] = []
        self._script = script
        self._asked: dict[str, int] = {}
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "HttpVenue":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def targets(self) -> list[str]:
        """The paths that were asked for, with their queries."""
        return [request.target for request in self.requests]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while (request := await _read(reader)) is not None:
                self.requests.append(request)
                if not await self._answer(writer, self._next(request)):
                    break
        writer.close()
        self._writers.discard(writer)

    def _next(self, request: Request) -> Answer | Events:
        path = request.target.partition("?")[0]
        answers = self._script.get(path, [Answer(404)])
        number = self._asked[path] = self._asked.get(path, -1) + 1
        answer = answers[min(number, len(answers) - 1)]
        return answer if isinstance(answer, Answer | Events) else answer(request)

    async def _answer(self, writer: asyncio.StreamWriter, answer: Answer | Events) -> bool:
        """Send an answer; whether the connection is good for another request."""
        if isinstance(answer, Events):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            for piece in answer.pieces:
                if isinstance(piece, str):
                    writer.write(piece.encode())
                    await writer.drain()
                else:
                    await asyncio.sleep(piece)
            if answer.pieces and not isinstance(answer.pieces[-1], str):
                await asyncio.sleep(3600)
            return False
        await asyncio.sleep(answer.wait_s)
        headers = {"Content-Length": str(len(answer.body))} | dict(answer.headers)
        lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body[: answer.cut])
        await writer.drain()
        return answer.cut is None


async def _read(reader: asyncio.StreamReader) -> Request | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ")
    headers: dict[str, str] = {}
    while (line := await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body, time.monotonic())
