"""The exchange on loopback: its REST interface, its account stream and its public streams, with faults on demand."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, unquote, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request as Handshake
from websockets.http11 import Response

from consumers.gateways.extended import Hosts
from tests.extended_venue.account import MARKET, Keys, Wrong
from tests.extended_venue.exchange import Exchange, now_ms
from tests.http_venue import Answer, HttpVenue, Request
from tests.waiting import PATIENCE_S

TICK_S = 0.02
API, STREAM = "/api/v1", "/stream.extended.exchange/v1"


@dataclass
class Fault:
    """What goes wrong with the next requests to a path.

    ``lost``: the request never arrives. ``dropped``: it is carried out and the reply cut. A number: an HTTP status in
    place of being carried out. ``stalled``: carried out, and the reply comes after ``seconds``.
    """

    path: str
    kind: Literal["lost", "dropped", "stalled"] | int
    times: int = 1
    method: str = ""
    seconds: float = 3_600.0


@dataclass
class Account:
    """A connection to the account stream."""

    socket: ServerConnection
    waiting: asyncio.Queue[str] = field(default_factory=asyncio.Queue)
    sequence: int = 0

    def send(self, kind: str, data: Any) -> None:
        self.sequence += 1
        self.waiting.put_nowait(json.dumps({"type": kind, "data": data, "ts": now_ms(), "seq": self.sequence}))


class ExtendedVenue(HttpVenue):
    """The server; an async context manager. ``exchange`` may be moved at any time from its loop."""

    def __init__(self, keys: Keys | None = None, markets: list[dict[str, Any]] | None = None) -> None:
        super().__init__({})
        self.keys = keys or Keys()
        self.exchange = Exchange(json.loads(json.dumps(markets or [MARKET])), self.keys)
        self.exchange.emit = self._emit
        self.faults: list[Fault] = []
        self.refused: dict[str, int] = {}  # requests by the reason that they were refused for
        self.silent = False  # the account stream stays up and says nothing
        self.refuses = False  # handshakes of streams are refused
        self.public: dict[str, list[ServerConnection]] = {}
        self.accounts: list[Account] = []
        self._streams: Server | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._streams = await serve(
            self._stream, "127.0.0.1", 0, process_request=self._admit, close_timeout=0.2, compression=None
        )
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._streams is not None
        assert self._ticking is not None
        self._ticking.cancel()
        self._streams.close()
        await self._streams.wait_closed()
        await super().__aexit__(kind, error, trace)

    @property
    def hosts(self) -> Hosts:
        """Where a client finds it."""
        assert self._streams is not None
        port = self._streams.sockets[0].getsockname()[1]
        return Hosts(f"{self.url}{API}", f"ws://127.0.0.1:{port}{STREAM}")

    def asked(self, method: str, path: str) -> list[Request]:
        """The requests of a kind, in order."""
        return [one for one in self.requests if one.method == method and urlsplit(one.target).path == f"{API}{path}"]

    def ledger(self) -> dict[str, Any]:
        """The exchange's own books, to hold others against; also at /ledger."""
        exchange = self.exchange
        return {
            "orders": len(exchange.orders),
            "open": [order["externalId"] for order in exchange.open()],
            "sizes": {market: str(size) for market, size in exchange.sizes.items()},
            "trades": exchange.trades,
            "cash": str(exchange.cash),
            "equity": exchange.balance()["equity"],
            "fired": exchange.fired,
            "refused": self.refused,
        }

    def disconnect(self) -> None:
        """Cut every account stream."""
        for account in self.accounts:
            account.socket.transport.abort()

    # REST.

    def _next(self, request: Request) -> Answer:
        fault = self._fault(request)
        if fault is not None and isinstance(fault.kind, int):
            return Answer(fault.kind, b"{}" if fault.kind < 500 else b"<html>")
        if fault is not None and fault.kind == "lost":
            return Answer(200, b"{}", cut=0)
        answer = self._carry_out(request)
        if fault is not None and fault.kind == "dropped":
            return Answer(answer.status, answer.body, cut=0)
        if fault is not None:
            return Answer(answer.status, answer.body, wait_s=fault.seconds)
        return answer

    def _fault(self, request: Request) -> Fault | None:
        path = urlsplit(request.target).path.removeprefix(API)
        for fault in self.faults:
            if fault.times > 0 and path.startswith(fault.path) and fault.method in ("", request.method):
                fault.times -= 1
                return fault
        return None

    def _carry_out(self, request: Request) -> Answer:
        parts = urlsplit(request.target)
        path, query = parts.path.removeprefix(API), parse_qs(parts.query)
        agent = request.headers.get("user-agent", "")
        if not agent or "python" in agent.lower():
            return Answer(403, b"<html>")
        if path.startswith("/user") and request.headers.get("x-api-key") != self.keys.api_key:
            return _error(401, 1000, "Unauthorized")
        try:
            return _ok(self._data(request.method, path, query, request.body))
        except Wrong as wrong:
            self.refused[str(wrong)] = self.refused.get(str(wrong), 0) + 1
            return _error(404 if wrong.code in (1001, 1142) else 400, wrong.code, str(wrong))
        except (KeyError, ValueError, TypeError) as error:
            return _error(400, 1002, f"Malformed request: {error!r}")

    def _data(self, method: str, path: str, query: dict[str, list[str]], body: bytes) -> Any:
        exchange = self.exchange
        first = {name: values[0] for name, values in query.items()}
        match method, path:
            case "GET", "/info/markets":
                return [row for name, row in exchange.markets.items() if name in query.get("market", exchange.markets)]
            case "GET", "/ledger":
                return self.ledger()
            case "GET", "/user/account/info":
                return {"status": "ACTIVE", "l2Key": hex(self.keys.public_key), "l2Vault": self.keys.vault}
            case "GET", "/user/fees":
                maker, taker = exchange.fees
                return [{"market": first["market"], "makerFeeRate": maker, "takerFeeRate": taker}]
            case "GET", "/user/balance":
                return exchange.balance()
            case "GET", "/user/positions":
                return exchange.positions()
            case "GET", "/user/orders":
                return exchange.open()
            case "GET", "/user/trades":
                newest = list(reversed(exchange.trades))
                if "cursor" in first:
                    newest = [trade for trade in newest if trade["id"] < int(first["cursor"])]
                return newest[: int(first.get("limit", 1_000))]
            case "GET", "/user/funding/history":
                return [row for row in exchange.payments if row["paidTime"] >= int(first["fromTime"])]
            case "POST", "/user/order":
                return exchange.place(json.loads(body))
            case "DELETE", "/user/order":
                return exchange.cancel(first["externalId"])
            case "POST", "/user/order/massCancel":
                asked = json.loads(body)
                if not asked.get("cancelAll") and not asked.get("markets"):
                    raise Wrong(1002, "Nothing to cancel")
                return exchange.mass_cancel(None if asked.get("cancelAll") else asked["markets"])
            case "POST", "/user/deadmanswitch":
                return exchange.arm(int(first["countdownTime"]))
        if method == "GET" and path.startswith("/user/orders/external/"):
            order = exchange.by_external(unquote(path.rpartition("/")[2]))
            return [order] if order is not None else []
        raise Wrong(1001, f"No {method} {path}")

    # Streams.

    def _admit(self, connection: ServerConnection, request: Handshake) -> Response | None:
        agent = request.headers.get("User-Agent", "")
        if self.refuses or not agent or "python" in agent.lower():
            return connection.respond(503 if self.refuses else 403, "")
        if request.path == f"{STREAM}/account" and request.headers.get("X-Api-Key") != self.keys.api_key:
            return connection.respond(401, "")
        return None

    async def _stream(self, connection: ServerConnection) -> None:
        path = connection.request.path.removeprefix(STREAM) if connection.request is not None else ""
        if path != "/account":
            self.public.setdefault(path, []).append(connection)
            await connection.wait_closed()
            self.public[path].remove(connection)
            return
        account = Account(connection)
        account.send("BALANCE", {"balance": self.exchange.balance()})
        self.accounts.append(account)
        closed = asyncio.create_task(connection.wait_closed())
        try:
            while not closed.done():
                frame = asyncio.create_task(account.waiting.get())
                await asyncio.wait({frame, closed}, return_when=asyncio.FIRST_COMPLETED)
                if frame.done():
                    await connection.send(frame.result())
                frame.cancel()
        except Exception:
            return
        finally:
            closed.cancel()
            self.accounts.remove(account)

    def _emit(self, kind: str, data: dict[str, Any]) -> None:
        for account in self.accounts:
            if not self.silent:
                account.send(kind, data)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.exchange.tick()


def _ok(data: Any) -> Answer:
    return Answer(200, json.dumps({"status": "OK", "data": data}).encode())


def _error(status: int, code: int, message: str) -> Answer:
    return Answer(status, json.dumps({"status": "ERROR", "error": {"code": code, "message": message}}).encode())


class Hosted:
    """The venue in a thread of its own, for clients that are other processes."""

    def __init__(self, venue: ExtendedVenue, loop: asyncio.AbstractEventLoop) -> None:
        self.venue, self._loop = venue, loop

    def __call__(self, work: Callable[[Exchange], Any]) -> Any:
        """Do something to the exchange in its loop, and give what it gives."""

        async def run() -> Any:
            return work(self.venue.exchange)

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10.0)

    def begin(self, work: Coroutine[Any, Any, None]) -> "Future[None]":
        """Start something that goes on in its loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)


@contextlib.contextmanager
def hosted(venue: ExtendedVenue) -> Iterator[Hosted]:
    """Run a venue for as long as the context lasts."""
    up, over = threading.Event(), threading.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def run() -> None:
        async with venue:
            loops.append(asyncio.get_running_loop())
            up.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert up.wait(PATIENCE_S)
    try:
        yield Hosted(venue, loops[0])
    finally:
        over.set()
        thread.join(10.0)
