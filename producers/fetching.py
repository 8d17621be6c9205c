"""A feed's requests over HTTP: within the venue's limits, repeated until they are answered, and never a hammer.

- Connections that fail, timeouts, torn bodies and 5xx are tried again for ever, with exponential backoff up to a cap.
- A host that says stop (403, 418, 429, 451) is left alone by every request for what Retry-After asks, and for long.
- Any other refusal, or a body that is too long, ends this request; the feed's agenda brings it again in its time.
- Weights are counted by host. Half of a limit may go at once, the other half is spread over its period, so that no
  window of that length can hold more than the venue allows.
- Where a venue names a version of what it sent (ETag, Last-Modified), it is asked for news only, and what it sent
  before stands as the answer while there are none: the feed sees that the source was seen.
"""

import asyncio
import time
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import httpx2
import stamina
from aiolimiter import AsyncLimiter

from infra import logs, metrics
from producers.agenda import Fetch
from producers.backoff import Backoff

MAX_BODY_BYTES = 16 * 1024 * 1024
WHOLE_S = 60.0  # for an answer, however slowly it comes
PART_S = 10.0
KEPT_MOST = 256
log = logs.logger(__name__)


class Limit(NamedTuple):
    """What a host allows: so much weight in so many seconds."""

    weight: int
    seconds: float


LIMITS = {
    "api.binance.com": Limit(6000, 60),
    "data-api.binance.vision": Limit(6000, 60),
    "fapi.binance.com": Limit(2400, 60),
    "hermes.pyth.network": Limit(30, 10),
    "gamma-api.polymarket.com": Limit(300, 10),
    "api.hyperliquid.xyz": Limit(1200, 60),
    "www.deribit.com": Limit(20, 1),
}
OTHERS = Limit(10, 1)


class Again(Exception):
    """The request has failed in a way that may pass."""


class Stop(Exception):
    """The host wants to be left alone."""

    def __init__(self, status: int, rest_s: float) -> None:
        super().__init__(f"HTTP {status}, left alone for {rest_s:.0f} s")
        self.rest_s = rest_s


class Failed(Exception):
    """The venue has no such answer for us."""


class Kept(NamedTuple):
    """An answer, and the headers that ask for a newer one."""

    conditions: dict[str, str]
    body: bytes


class Fetcher:
    """Makes the requests of one feed; an async context manager.

    ``base_url`` replaces the scheme and host of every request.
    """

    def __init__(
        self,
        feed: str,
        headers: Mapping[str, str],
        *,
        base_url: str = "",
        backoff: Backoff | None = None,
        limits: Mapping[str, Limit] = LIMITS,
    ) -> None:
        self._feed = feed
        self._base_url = base_url
        self._backoff = Backoff() if backoff is None else backoff
        self._limits = limits
        self._buckets: dict[str, AsyncLimiter] = {}
        self._resting: dict[str, float] = {}  # until when, monotonic, by host
        self._kept: dict[tuple[str, str], Kept] = {}
        self._client = httpx2.AsyncClient(headers=dict(headers), timeout=PART_S)
        self._log = log.bind(feed=feed)

    async def __aenter__(self) -> "Fetcher":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, fetch: Fetch) -> bytes | None:
        """The body of the answer; None where the venue refuses this request. Waits as long as it takes."""
        host = ""
        try:
            host = _host(fetch.url)
            async for attempt in stamina.retry_context(
                on=lambda error: self._again(fetch.tag, host, error),
                attempts=None,
                timeout=None,
                wait_initial=self._backoff.base_s,
                wait_max=self._backoff.cap_s,
                wait_jitter=self._backoff.base_s,
            ):
                with attempt:
                    return await self._attempt(fetch, host)
        except Failed as refusal:
            metrics.FETCHES.labels(self._feed, "failed").inc()
            self._log.warning("not fetched", tag=fetch.tag, host=host, error=str(refusal))
        return None

    async def _attempt(self, fetch: Fetch, host: str) -> bytes:
        while (left_s := self._resting.get(host, 0.0) - time.monotonic()) > 0.0:
            await asyncio.sleep(left_s)
        bucket = self._bucket(host)
        await bucket.acquire(min(fetch.weight, bucket.max_rate))
        try:
            async with asyncio.timeout(WHOLE_S):
                return await self._exchange(fetch)
        except (httpx2.TransportError, httpx2.DecodingError, TimeoutError) as error:
            raise Again(f"{type(error).__name__}: {error}") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Failed(f"{type(error).__name__}: {error}") from error

    async def _exchange(self, fetch: Fetch) -> bytes:
        url = rebased(fetch.url, self._base_url)
        key = fetch.url, fetch.body
        kept = self._kept.get(key)
        headers = dict(kept.conditions) if kept is not None else {}
        if fetch.body:
            headers["Content-Type"] = "application/json"
        method = "POST" if fetch.body else "GET"
        async with self._client.stream(method, url, headers=headers, content=fetch.body or None) as response:
            if response.status_code == 304 and kept is not None:
                metrics.FETCHES.labels(self._feed, "unchanged").inc()
                return kept.body
            self._check(response)
            body = await _whole(response)
        self._keep(key, response.headers, body)
        metrics.FETCHES.labels(self._feed, "answered").inc()
        return body

    def _check(self, response: httpx2.Response) -> None:
        status = response.status_code
        rest_s = self._backoff.rest_s(status, response.headers)
        if rest_s is not None:
            raise Stop(status, rest_s)
        if status >= 500 or status == 408:
            raise Again(f"HTTP {status}")
        if status != 200:
            raise Failed(f"HTTP {status}")

    def _keep(self, key: tuple[str, str], headers: Mapping[str, str], body: bytes) -> None:
        named = {"If-None-Match": headers.get("ETag"), "If-Modified-Since": headers.get("Last-Modified")}
        conditions = {name: value for name, value in named.items() if value}
        self._kept.pop(key, None)
        if conditions:
            self._kept[key] = Kept(conditions, body)
            if len(self._kept) > KEPT_MOST:
                del self._kept[next(iter(self._kept))]

    def _bucket(self, host: str) -> AsyncLimiter:
        if host not in self._buckets:
            limit = self._limits.get(host, OTHERS)
            self._buckets[host] = AsyncLimiter(limit.weight / 2, limit.seconds)
        return self._buckets[host]

    def _again(self, tag: str, host: str, error: Exception) -> bool | float:
        """Whether to try again, or after how many seconds."""
        if not isinstance(error, Again | Stop):
            return False
        metrics.FETCHES.labels(self._feed, "stopped" if isinstance(error, Stop) else "lost").inc()
        self._log.warning("fetched in vain", tag=tag, host=host, error=str(error))
        if isinstance(error, Again):
            return True
        self._resting[host] = time.monotonic() + error.rest_s
        return error.rest_s


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError as error:
        raise Failed(f"not an address: {error}") from error


async def _whole(response: httpx2.Response) -> bytes:
    body = bytearray()
    async for part in response.aiter_bytes():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise Failed(f"an answer of more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def rebased(url: str, base_url: str) -> str:
    """The address on another host, where one is given; its own path and query are kept unless that names some.

    >>> rebased("https://venue/v1/book?symbol=A", "http://127.0.0.1:80"), rebased("https://venue/v1", "")
    ('http://127.0.0.1:80/v1/book?symbol=A', 'https://venue/v1')
    """
    if not base_url:
        return url
    base, given = urlsplit(base_url), urlsplit(url)
    if base.path.strip("/") or base.query:
        return base_url
    return urlunsplit((base.scheme, base.netloc, given.path, given.query, ""))
