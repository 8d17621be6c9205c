"""The grid and the slugs of up/down markets, against slugs that were really seen and days of changing clocks."""

import itertools
import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.polymarket_windows import COINS, Series, series
from schemas import Rejected
from tests.data import recording, reference

LONG = {name: coin for coin, name in COINS.items()}


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


def test_every_slug_that_was_seen_is_made_from_its_window_or_refused_for_its_year() -> None:
    made = refused = 0
    for seen in reference("polymarket/real_slugs.json")["slugs"]:
        slug, duration = seen["slug"], seen["duration"]
        if not re.search(r"-20\d\d\b|-\d{10}$", slug):
            with pytest.raises(Rejected, match="lacks its year"):
                series(slug)
            refused += 1
            continue
        if epoch := re.fullmatch(r"([a-z]+)-updown-\w+-(\d+)", slug):
            found = Series(epoch[1], duration).window(int(epoch[2]))
            assert found.start_s == int(epoch[2])
        elif hour := re.fullmatch(r"([a-z]+)-up-or-down-([a-z]+-\d+-\d+-\d+[ap]m)-et", slug):
            local = datetime.strptime(hour[2], "%B-%d-%Y-%I%p")
            summer = 4 if 3 < local.month < 11 else 5
            found = Series(LONG[hour[1]], duration).window(int(local.replace(tzinfo=UTC).timestamp()) + summer * 3600)
        else:
            coin, day = slug.split("-up-or-down-on-")
            noon = datetime.strptime(day, "%B-%d-%Y").replace(hour=16, tzinfo=UTC)  # all seen are in summer
            found = Series(LONG[coin], duration).window(int(noon.timestamp()) - 1)
            assert found.end_s == noon.timestamp()
        assert found.slug == slug
        made += 1
    assert (made, refused) == (14, 8)


def test_every_market_of_a_real_day_lies_on_the_grid() -> None:
    import gzip

    with gzip.open(recording("polymarket/btc_updown_5m_markets_2026-07-24.jsonl.gz"), "rt") as lines:
        markets = [json.loads(line) for line in lines]
    assert len(markets) == 292
    for market in markets:
        assert Series("btc", "5m").window(market["start_sec"]) == (
            market["start_sec"],
            market["end_sec"],
            market["slug"],
        )


@pytest.mark.parametrize(
    ("start", "end", "slug"),
    [
        ("2026-11-21T08:00-05:00", "2026-11-21T12:00-05:00", "btc-updown-4h-1795266000"),
        ("2026-07-01T08:00-04:00", "2026-07-01T12:00-04:00", "btc-updown-4h-1782907200"),
        ("2026-03-08T00:00-05:00", "2026-03-08T04:00-04:00", "btc-updown-4h-1772946000"),  # three hours
        ("2026-11-01T00:00-04:00", "2026-11-01T04:00-05:00", "btc-updown-4h-1793505600"),  # five
    ],
)
def test_windows_of_four_hours_follow_new_york(start: str, end: str, slug: str) -> None:
    assert Series("btc", "4h").window(at(start)) == (at(start), at(end), slug)
    assert Series("btc", "4h").window(at(end) - 1).slug == slug


@pytest.mark.parametrize(
    ("inside", "start", "end", "day"),
    [
        ("2026-05-27T11:59-04:00", "2026-05-26T12:00-04:00", "2026-05-27T12:00-04:00", "may-27-2026"),
        ("2026-05-27T12:00-04:00", "2026-05-27T12:00-04:00", "2026-05-28T12:00-04:00", "may-28-2026"),
        ("2026-03-08T00:00-05:00", "2026-03-07T12:00-05:00", "2026-03-08T12:00-04:00", "march-8-2026"),  # 23 hours
        ("2026-11-01T00:00-04:00", "2026-10-31T12:00-04:00", "2026-11-01T12:00-05:00", "november-1-2026"),  # 25
        ("2026-12-31T23:00-05:00", "2026-12-31T12:00-05:00", "2027-01-01T12:00-05:00", "january-1-2027"),
    ],
)
def test_days_run_from_noon_to_noon_and_are_named_by_their_end(inside: str, start: str, end: str, day: str) -> None:
    assert Series("xrp", "1d").window(at(inside)) == (at(start), at(end), f"xrp-up-or-down-on-{day}")


@pytest.mark.parametrize(
    ("start", "slug"),
    [
        ("2026-06-07T00:00-04:00", "solana-up-or-down-june-7-2026-12am-et"),
        ("2026-06-07T12:00-04:00", "solana-up-or-down-june-7-2026-12pm-et"),
        ("2026-12-31T23:00-05:00", "solana-up-or-down-december-31-2026-11pm-et"),
        ("2026-11-01T01:00-04:00", "solana-up-or-down-november-1-2026-1am-et"),
        ("2026-11-01T01:00-05:00", "solana-up-or-down-november-1-2026-1am-et"),  # the same hour again
    ],
)
def test_hours_are_named_by_new_yorks_clock(start: str, slug: str) -> None:
    assert Series("sol", "1h").window(at(start)) == (at(start), at(start) + 3600, slug)


@given(
    st.sampled_from(["5m", "15m", "1h", "4h", "1d"]),
    st.integers(at("2025-01-01T00:00-05:00"), at("2030-01-01T00:00-05:00")),
)
def test_windows_follow_each_other_without_a_gap_and_hold_the_moment(duration: str, now_s: int) -> None:
    windows = list(itertools.islice(Series("eth", duration).windows(now_s), 9))
    assert windows[0].start_s <= now_s < windows[0].end_s
    for earlier, later in itertools.pairwise(windows):
        assert earlier.start_s < earlier.end_s == later.start_s
        assert Series("eth", duration).window(later.start_s) == later


def test_a_symbol_is_a_series_or_else_a_slug() -> None:
    assert series("btc-updown-15m") == ("btc", "15m")
    assert series("btc-updown-15m-1765568700") is None
    assert series("bitcoin-up-or-down-on-may-27-2026") is None
    assert series("katana-fdv-above-1b-one-day-after-launch-395-996") is None
