"""Ways in which a venue sends frames: a websocket, server-sent events, or none where a feed only fetches.

Whatever goes wrong with a connection is Refused, with the venue's HTTP status, or Lost. An address that is none is
InvalidURI, as websockets calls it.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Protocol

import httpx2
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

MAX_FRAME_BYTES = 16 * 1024 * 1024
OPEN_S = 10.0
SEND_S = 5.0


class Refused(Exception):
    """The venue answered the request for a stream with an HTTP status."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.headers = headers


class Lost(Exception):
    """There is no connection, or no longer."""


class Stream(Protocol):
    """A connection that brings frames."""

    async def receive(self) -> str | bytes:
        """Wait for the next frame; raises Lost."""
        ...

    async def send(self, frame: str) -> None:
        """Send a frame; raises Lost."""
        ...


@contextlib.asynccontextmanager
async def connected(url: str, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
    """A connection to an address, closed in order on the way out.

    Raises:
        InvalidURI: the address is none.
        Refused, Lost: it cannot be reached, or was lost.

    """
    way = _events if url.startswith(("http://", "https://")) else _websocket
    async with way(url, headers) as stream:
        yield stream


class Websocket:
    """Frames as messages."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes:
        try:
            return await self._socket.recv()
        except (OSError, EOFError, WebSocketException) as error:
            raise _lost(error) from error

    async def send(self, frame: str) -> None:
        try:
            await self._socket.send(frame)
        except (OSError, EOFError, WebSocketException) as error:
            raise _lost(error) from error


@contextlib.asynccontextmanager
async def _websocket(url: str, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
    others = {name: value for name, value in headers.items() if name != "User-Agent"}
    try:
        socket = await connect(
            url,
            additional_headers=others,
            user_agent_header=headers.get("User-Agent"),
            max_size=MAX_FRAME_BYTES,
            max_queue=(1024, 256),
            open_timeout=OPEN_S,
            close_timeout=1,
        )
    except InvalidURI:
        raise
    except InvalidStatus as refusal:
        raise Refused(refusal.response.status_code, refusal.response.headers) from None
    except (OSError, EOFError, TimeoutError, InvalidHandshake, WebSocketException) as error:
        raise _lost(error) from error
    try:
        yield Websocket(socket)
    finally:  # left by an exception, the library would tell the venue of an error that is none of its
        await socket.close()


class Events:
    """Server-sent events; the data of each is a frame."""

    def __init__(self, events: AsyncGenerator[str]) -> None:
        self._events = events

    async def receive(self) -> str | bytes:
        try:
            return await anext(self._events)
        except StopAsyncIteration:
            raise Lost("the venue has ended the stream") from None
        except httpx2.HTTPError as error:
            raise _lost(error) from error

    async def send(self, frame: str) -> None:
        raise Lost("a stream of events takes no frames")


@contextlib.asynccontextmanager
async def _events(url: str, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
    limits = httpx2.Timeout(OPEN_S, read=None)
    try:
        async with (
            httpx2.AsyncClient(timeout=limits) as client,
            client.sse(url, headers=dict(headers), max_event_size=MAX_FRAME_BYTES) as source,
        ):
            response = source.response
            if response.status_code != 200:
                raise Refused(response.status_code, response.headers)
            async with contextlib.aclosing(_data(source)) as events:
                yield Events(events)
    except (httpx2.InvalidURL, httpx2.UnsupportedProtocol) as error:
        raise InvalidURI(url, str(error)) from error
    except httpx2.HTTPError as error:
        raise _lost(error) from error


async def _data(source: httpx2.EventSource) -> AsyncGenerator[str]:
    async for event in source:
        if event.data:
            yield event.data


def _lost(error: Exception) -> Lost:
    return Lost(f"{type(error).__name__}: {error}")
