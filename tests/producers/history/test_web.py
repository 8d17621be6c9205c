"""Requests keep to a host's limits, all of them, and are tried again only where that can help."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from producers.agenda import Fetch
from producers.history.verdict import TRIES
from producers.history.web import Absent, Failure, Stopped, Web
from tests.producers.history.server import Status, Truncated, Venue, serve
from tests.waiting import PATIENCE_S, until

URL = "https://venue.example/page"
PAGE = "/venue.example/page"


@pytest.fixture
def venue() -> Iterator[Venue]:
    with serve(Venue()) as found:
        found.files[PAGE] = b"[1, 2, 3]"
        yield found


def test_weights_spread_requests_of_all_threads_over_time(venue: Venue) -> None:
    web = Web(weights={"venue.example": 6_000.0}, via=venue.url)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: web.get(Fetch("page", URL, weight=10)), range(8)))
    times = sorted(at_s for at_s, _ in venue.requests)
    assert times[-1] - times[0] >= 0.5 * 7 * 0.1  # half of it: the venue may hear of the first late


def test_a_pause_that_a_venue_asks_for_holds_for_every_request_to_it(venue: Venue) -> None:
    venue.faults[PAGE] = [Status(429, retry_after="1")]
    web = Web(via=venue.url)
    assert web.get(Fetch("page", URL)) == b"[1, 2, 3]"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: web.get(Fetch("page", URL)), range(4)))
    first, *others = sorted(at_s for at_s, _ in venue.requests)
    assert min(others) - first >= 1.0


def test_what_can_pass_is_tried_again_so_often_and_not_more(venue: Venue) -> None:
    venue.always[PAGE] = Status(502)
    with pytest.raises(Failure, match=r"venue\.example: HTTP 502"):
        Web(via=venue.url, pause_s=0.001).get(Fetch("page", URL))
    assert len(venue.requests) == TRIES


def test_an_answer_that_is_cut_is_asked_for_again(venue: Venue) -> None:
    venue.faults[PAGE] = [Truncated(), Truncated()]
    assert Web(via=venue.url, pause_s=0.001).get(Fetch("page", URL)) == b"[1, 2, 3]"


@pytest.mark.parametrize("status", [400, 401, 403, 451])
def test_a_refusal_is_not_argued_with(venue: Venue, status: int) -> None:
    venue.always[PAGE] = Status(status)
    with pytest.raises(Failure, match=f"HTTP {status}"):
        Web(via=venue.url).get(Fetch("page", URL))
    assert len(venue.requests) == 1


def test_what_is_not_there_is_told_apart(venue: Venue) -> None:
    with pytest.raises(Absent):
        Web(via=venue.url).get(Fetch("page", "https://venue.example/nothing"))


def test_where_nobody_listens_it_is_told() -> None:
    with pytest.raises(Failure, match="ConnectError"):
        Web(via="http://127.0.0.1:9", pause_s=0.001).get(Fetch("page", URL))


def test_a_request_that_waits_ends_when_the_user_wants_to(venue: Venue) -> None:
    venue.always[PAGE] = Status(429, retry_after="600")
    web = Web(via=venue.url)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(web.get, Fetch("page", URL))
        until(lambda: bool(venue.requests))
        web.stopping.set()
        with pytest.raises(Stopped):
            waiting.result(PATIENCE_S)


def test_a_download_that_lies_beyond_the_file_is_begun_anew(venue: Venue, tmp_path: Path) -> None:
    path = tmp_path / "page.part"
    path.write_bytes(b"something longer than what is there")
    Web(via=venue.url).download(URL, path)
    assert path.read_bytes() == b"[1, 2, 3]"
