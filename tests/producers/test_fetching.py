"""Requests to a venue on this machine that fails in every way: answered in the end, and never a hammer."""

import asyncio
import gzip
import itertools
import time
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

import pytest
from prometheus_client import REGISTRY

from producers import fetching
from producers.agenda import Fetch
from producers.backoff import Backoff
from producers.fetching import Fetcher, Limit
from tests.http_venue import Answer, HttpVenue, Request
from tests.waiting import PATIENCE_S, until_true

QUICK = Backoff(base_s=0.01, cap_s=0.05, spacing_s=0.0)
BOOK = Fetch("book", "https://venue.example/v1/book?symbol=A", weight=5)
GOOD = Answer(body=b'{"good":1}')
UNLIMITED = {"venue.example": Limit(weight=1_000_000, seconds=1)}


def fetched(
    answers: Sequence[Answer | Callable[[Request], Answer]], fetches: Sequence[Fetch] = (BOOK,), **options: Any
) -> tuple[list[bytes | None], list[Request]]:
    """What the fetches bring, one after the other, and what the venue was asked."""

    async def run() -> tuple[list[bytes | None], list[Request]]:
        async with HttpVenue({"/v1/book": answers}) as venue:
            settings: dict[str, Any] = {"backoff": QUICK, "base_url": venue.url, "limits": UNLIMITED} | options
            async with (
                Fetcher("venue", settings.pop("headers", {}), **settings) as fetcher,
                asyncio.timeout(PATIENCE_S),
            ):
                return [await fetcher.get(fetch) for fetch in fetches], venue.requests

    return asyncio.run(run())


def test_a_request_carries_the_headers_of_its_feed_and_its_own_path() -> None:
    found, requests = fetched([GOOD], headers={"X-Key": "secret", "User-Agent": "us"})
    assert found == [GOOD.body]
    (request,) = requests
    assert (request.method, request.target) == ("GET", "/v1/book?symbol=A")
    assert (request.headers["x-key"], request.headers["user-agent"]) == ("secret", "us")


def test_a_body_is_posted_as_json() -> None:
    _, (request,) = fetched([GOOD], [BOOK._replace(body='{"type":"candle"}')])
    assert (request.method, request.body) == ("POST", b'{"type":"candle"}')
    assert request.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "bad",
    [
        Answer(500),
        Answer(503),
        Answer(408),
        Answer(body=GOOD.body, cut=3),
        Answer(body=GOOD.body, cut=0),
        Answer(body=b"torn", headers={"Content-Encoding": "gzip"}),
    ],
    ids=["500", "503", "408", "torn body", "no body", "no gzip"],
)
def test_what_may_pass_is_tried_again(bad: Answer) -> None:
    found, requests = fetched([bad, bad, bad, GOOD])
    assert found == [GOOD.body]
    assert len(requests) == 4


def test_an_answer_that_is_too_slow_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "WHOLE_S", 1.0)
    found, requests = fetched([Answer(body=b"late", wait_s=60.0), GOOD])
    assert found == [GOOD.body]
    assert len(requests) == 2


@pytest.mark.parametrize("status", [400, 404, 301, 204])
def test_a_refusal_that_will_not_pass_ends_the_request(status: int) -> None:
    headers = {"Location": "/elsewhere"} if status == 301 else {}
    found, requests = fetched([Answer(status, headers=headers), GOOD])
    assert found == [None]
    assert len(requests) == 1


def test_a_body_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_BODY_BYTES", 10_000)
    bomb = gzip.compress(bytes(1_000_000))
    found, _ = fetched([Answer(body=bomb, headers={"Content-Encoding": "gzip"})])
    assert found == [None]


def stops() -> float:
    """How often the venue has said stop in this process."""
    labels = {"feed": "venue", "outcome": "stopped"}
    return REGISTRY.get_sample_value("tidemill_fetches_total", labels) or 0.0


@pytest.mark.parametrize("status", [403, 418, 429, 451])
def test_a_host_that_says_stop_is_left_alone_by_all_requests(status: int) -> None:
    async def run() -> list[float]:
        async with HttpVenue({"/v1/book": [Answer(status), GOOD]}) as venue:
            backoff = Backoff(base_s=0.01, cap_s=0.6)
            settings: dict[str, Any] = {"base_url": venue.url, "backoff": backoff, "limits": UNLIMITED}
            async with Fetcher("venue", {}, **settings) as fetcher, asyncio.timeout(PATIENCE_S):
                before = stops()
                first = asyncio.create_task(fetcher.get(BOOK))
                await until_true(lambda: stops() > before)
                assert [await fetcher.get(BOOK), await first] == [GOOD.body] * 2
            return [request.at for request in venue.requests]

    times = asyncio.run(run())
    assert len(times) == 3
    assert times[1] - times[0] >= 0.29


@pytest.mark.parametrize("after", [lambda: "1", lambda: formatdate(time.time() + 2.5, usegmt=True)], ids=["s", "date"])
def test_retry_after_is_obeyed_in_seconds_and_as_a_date(after: Callable[[], str]) -> None:
    _, requests = fetched([lambda _request: Answer(429, headers={"Retry-After": after()}), GOOD])
    assert requests[1].at - requests[0].at >= 0.99


def test_what_has_not_changed_is_asked_for_news_only_and_answered_as_before() -> None:
    named = Answer(body=b"first", headers={"ETag": '"1"', "Last-Modified": "Wed, 21 Oct 2026 07:28:00 GMT"})
    found, requests = fetched([named, Answer(304), Answer(body=b"second")], [BOOK] * 3)
    assert found == [b"first", b"first", b"second"]
    assert "if-none-match" not in requests[0].headers
    for request in requests[1:]:
        assert request.headers["if-none-match"] == '"1"'
        assert request.headers["if-modified-since"] == "Wed, 21 Oct 2026 07:28:00 GMT"


def test_no_window_holds_more_than_the_host_allows() -> None:
    limits = {"venue.example": Limit(weight=40, seconds=0.8)}
    _, requests = fetched([GOOD], [BOOK] * 14, limits=limits)
    times = [request.at for request in requests]
    assert times[-1] - times[0] >= 0.9  # 14 requests of weight 5; 20 go at once, the others at 25 a second
    for first, last in itertools.combinations(range(14), 2):
        if times[last] - times[first] < 0.5:  # not 0.8: the venue may hear of the first later than we spoke
            assert (last - first + 1) * BOOK.weight <= 40 + BOOK.weight


def test_a_weight_above_the_limit_is_let_through_by_itself() -> None:
    found, _ = fetched([GOOD], [BOOK._replace(weight=1000)], limits={"venue.example": Limit(10, 0.1)})
    assert found == [GOOD.body]


def test_a_host_that_cannot_be_reached_is_tried_for_ever() -> None:
    async def run() -> None:
        async with Fetcher("venue", {}, base_url="http://127.0.0.1:9", backoff=QUICK) as fetcher:
            await asyncio.wait_for(fetcher.get(BOOK), 0.6)

    with pytest.raises(TimeoutError):
        asyncio.run(run())


def test_an_address_that_is_none_is_refused_and_no_more() -> None:
    async def run() -> bytes | None:
        async with Fetcher("venue", {}, backoff=QUICK) as fetcher:
            return await asyncio.wait_for(fetcher.get(Fetch("book", "nonsense://[")), 5)

    assert asyncio.run(run()) is None
