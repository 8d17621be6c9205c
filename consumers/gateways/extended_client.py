"""Requests to Extended over HTTPS, within its limits.

- What may be said twice (every question, a cancel, the dead man's switch) is tried again while nobody knows what became
  of it. An order is sent once.
- A 4xx is the venue's no. A timeout, a cut reply, a 5xx or an answer that is no JSON is Ambiguous.
- Questions keep to two fifths of the venue's limit. Orders have a rate of their own in the gateway; with cancels and
  the switch they never wait behind questions.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2
import msgspec
import stamina
from aiolimiter import AsyncLimiter

from consumers.gateways.venue import Ambiguous, Refused
from infra import logs, metrics

PART_S = 5.0
WHOLE_S = 10.0
REQUESTS, PERIOD_S = 1_000, 60.0  # what the venue allows an address
MISSING = {404, "NOT_FOUND"}  # HTTP status, or the venue's code
log = logs.logger(__name__)


class Busy(Ambiguous):
    """The venue wants fewer requests; nothing was done."""


class Client:
    """Speaks to the REST interface under ``base_url``; ``headers`` hold the API key."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, tries_s: float = 10.0, part_s: float = PART_S
    ) -> None:
        self._client = httpx2.AsyncClient(headers=dict(headers), timeout=part_s)
        self._base_url = base_url.rstrip("/")
        self._limiter = AsyncLimiter(REQUESTS / 5, PERIOD_S / 2)
        self._tries_s = tries_s

    async def close(self) -> None:
        await self._client.aclose()

    async def ask(self, path: str, **query: Any) -> Any:
        """The data of an answer to a question."""
        return await self._again("GET", path, query, waits=True)

    async def order(self, body: dict[str, Any]) -> Any:
        """Send an order, once.

        Raises:
            Refused: the venue has not taken it.
            Ambiguous: nobody knows.

        """
        try:
            return await self._once("POST", "/user/order", {}, body, waits=False)
        except Busy as busy:
            raise Refused(str(busy)) from busy

    async def tell(self, method: str, path: str, body: dict[str, Any] | None = None, **query: Any) -> Any:
        """Say what may be said twice, at once."""
        return await self._again(method, path, query, body, waits=False)

    async def _again(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None = None, *, waits: bool
    ) -> Any:
        async for attempt in stamina.retry_context(
            on=Ambiguous, attempts=None, timeout=self._tries_s, wait_initial=0.1, wait_max=2.0, wait_jitter=0.1
        ):
            with attempt:
                return await self._once(method, path, query, body, waits=waits)
        raise AssertionError  # the loop returns or raises

    async def _once(
        self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None, *, waits: bool
    ) -> Any:
        if waits:
            await self._limiter.acquire()
        try:
            async with asyncio.timeout(WHOLE_S):
                response = await self._client.request(
                    method, f"{self._base_url}{path}", params=query or None, json=body
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            self._count(path, "unreached")
            if method == "POST" and path == "/user/order":
                raise Refused(f"not sent: {type(error).__name__}: {error}") from error
            raise Ambiguous(f"{type(error).__name__}: {error}") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            self._count(path, "unknown")
            raise Ambiguous(f"{type(error).__name__}: {error}") from error
        return self._data(path, response)

    def _data(self, path: str, response: httpx2.Response) -> Any:
        status = response.status_code
        if status >= 500 or status == 408:
            self._count(path, "unknown")
            raise Ambiguous(f"HTTP {status}")
        if status == 429:
            self._count(path, "busy")
            raise Busy(f"HTTP {status}")
        try:
            answer = msgspec.json.decode(response.content, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            if status >= 400:
                raise Refused(f"HTTP {status}", missing=status in MISSING) from error
            raise Ambiguous(f"HTTP {status} with an answer that is no JSON") from error
        if status >= 400 or str(answer.get("status", "")).upper() != "OK":
            self._count(path, "refused")
            raise _refusal(status, answer)
        self._count(path, "answered")
        return answer.get("data")

    @staticmethod
    def _count(path: str, outcome: str) -> None:
        metrics.VENUE_REQUESTS.labels("extended", path.split("/")[2], outcome).inc()


def _refusal(status: int, answer: dict[str, Any]) -> Refused:
    error = answer.get("error")
    told = error if isinstance(error, dict) else {}
    code, message = told.get("code", status), str(told.get("message", ""))[:200]
    return Refused(f"{code} {message}".strip(), missing=status in MISSING or code in MISSING)
