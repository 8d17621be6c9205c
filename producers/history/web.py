"""HTTP for a back-fill: requests of several threads, within each host's limits, tried again as verdict.py says.

A ``via`` stands before every host: https://host/path is asked for at <via>/host/path, as caching proxies offer it.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2

from producers.agenda import Fetch
from producers.history.verdict import Next, Verdict, cut, judge

TIMEOUT_S = 30.0
Taken = TypeVar("Taken")


class Absent(Exception):
    """The venue has no such file."""


class Failure(Exception):
    """The venue does not give what it should; the text says what it did instead."""


class Stopped(Exception):
    """The user wants to end."""


class Web:
    """A client of one venue; ``weights`` are what hosts allow a minute, and a host without one is not held back."""

    def __init__(
        self,
        headers: Mapping[str, str] | None = None,
        weights: Mapping[str, float] | None = None,
        via: str = "",
        pause_s: float = 1.0,
    ) -> None:
        self.stopping = threading.Event()
        self._via = via.rstrip("/")
        self._weights = dict(weights or {})
        self._pause_s = pause_s
        self._free_s: dict[str, float] = {}  # by host, from when on it may be asked
        self._refused: set[str] = set()  # hosts that will not serve us at all
        self._lock = threading.Lock()
        self._client = httpx2.Client(headers=dict(headers or {}), timeout=TIMEOUT_S)

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()

    def get(self, fetch: Fetch, hosts: Sequence[str] = ()) -> bytes:
        """The body of an answer, from the first of the hosts that gives one; without any, from the request's own.

        Raises:
            Absent, Failure, Stopped: as they say.

        """
        own = urlsplit(fetch.url).netloc
        reasons: list[str] = []
        hosts = hosts or [own]
        for host in [host for host in hosts if host not in self._refused] or hosts:
            moved = fetch._replace(url=fetch.url.replace(f"//{own}/", f"//{host}/", 1))
            try:
                return self._sent(moved, lambda response: response.read())
            except Failure as error:
                reasons.append(f"{host}: {error}")
        raise Failure("; ".join(reasons))

    def download(self, url: str, path: Path) -> None:
        """Put a file under ``path``, going on where an earlier try ended.

        Raises:
            Absent, Failure, Stopped: as they say.

        """
        path.parent.mkdir(parents=True, exist_ok=True)

        def write(response: httpx2.Response) -> None:
            with path.open("ab" if response.status_code == 206 else "wb") as file:
                for block in response.iter_bytes():
                    file.write(block)
                    self.go_on()

        def headers() -> dict[str, str]:
            there = path.stat().st_size if path.exists() else 0
            return {"Accept-Encoding": "identity"} | ({"Range": f"bytes={there}-"} if there else {})

        try:
            self._sent(Fetch("file", url), write, headers)
        except Failure as error:
            if not str(error).startswith("HTTP 416"):
                raise
            path.unlink(missing_ok=True)  # what is there goes beyond the file, which must be another one by now
            self._sent(Fetch("file", url), write, headers)

    def _sent(
        self,
        fetch: Fetch,
        take: Callable[[httpx2.Response], Taken],
        headers: Callable[[], Mapping[str, str]] = dict,
    ) -> Taken:
        """What ``take`` makes of the answer, once there is one to take."""
        host, tries = urlsplit(fetch.url).netloc, 0
        method, content = ("POST", fetch.body.encode()) if fetch.body else ("GET", None)
        while True:
            tries += 1
            self._wait(host, fetch.weight)
            more = dict(headers()) | ({"Content-Type": "application/json"} if fetch.body else {})
            try:
                with self._client.stream(method, self._address(fetch.url), content=content, headers=more) as response:
                    verdict = judge(response.status_code, response.headers.get("Retry-After", ""), tries, self._pause_s)
                    if verdict.next is Next.TAKE:
                        return take(response)
                    if verdict.next is Next.ELSEWHERE:
                        verdict = verdict._replace(reason=_told(verdict.reason, response.read()))
            except httpx2.RequestError as error:
                verdict = cut(f"{type(error).__name__}: {error}", tries, self._pause_s)
            self._heed(verdict, host)

    def _heed(self, verdict: Verdict, host: str) -> None:
        """Pause as a verdict says, or give up."""
        if verdict.next is Next.ABSENT:
            raise Absent
        if verdict.next is Next.ELSEWHERE:
            if verdict.reason.startswith(("HTTP 451", "HTTP 403")):
                self._refused.add(host)
            raise Failure(verdict.reason)
        if verdict.everyone:
            with self._lock:
                self._free_s[host] = max(self._free_s.get(host, 0.0), time.monotonic() + verdict.wait_s)
        elif self.stopping.wait(verdict.wait_s):
            raise Stopped

    def _wait(self, host: str, weight: int) -> None:
        """Wait for our turn at a host."""
        with self._lock:
            turn_s = max(time.monotonic(), self._free_s.get(host, 0.0))
            allowed = self._weights.get(host)
            self._free_s[host] = turn_s + (60.0 * weight / allowed if allowed else 0.0)
        if self.stopping.wait(turn_s - time.monotonic()):
            raise Stopped

    def go_on(self) -> None:
        if self.stopping.is_set():
            raise Stopped

    def _address(self, url: str) -> str:
        return f"{self._via}/{url.partition('//')[2]}" if self._via else url


def _told(reason: str, body: bytes) -> str:
    """A reason with what the venue says to it."""
    text = " ".join(body[:200].decode(errors="replace").split())
    return f"{reason}: {text}" if text else reason
