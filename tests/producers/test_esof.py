"""The sky against published almanacs, the sessions against the cities' clocks, and the feed that gives them in time."""

import itertools
import math
from datetime import UTC, datetime

import pytest

from producers.esof import GRID_NS, Esof
from producers.esof_sky import (
    AMERICA,
    ASIA,
    DAY_NS,
    EUROPE,
    Session,
    ephemeris,
    mercury_speed,
    moon_illumination,
    moon_phase,
    progress,
)
from schemas import Connect, Ephemeris, Heartbeat, Record
from schemas.codec import Codec

MINUTE_NS = 60_000_000_000
CODEC = Codec()
MONTH_DAYS = 29.53


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000_000


# Published times in UTC, to the minute: the phases as almanacs have them, the stations as astrologers' calendars do.
NEW_MOONS = ["2025-01-29T12:36", "2025-03-29T10:58", "2025-09-21T19:54", "2026-02-17T12:01", "2026-08-12T17:37"]
FULL_MOONS = ["2025-01-13T22:27", "2025-03-14T06:55", "2025-09-07T18:09", "2026-03-03T11:38", "2026-08-28T04:18"]
RETROGRADES = [
    ("2025-03-15T06:46", "2025-04-07T11:08"),
    ("2025-07-18T04:45", "2025-08-11T07:30"),
    ("2025-11-09T19:01", "2025-11-29T17:38"),
    ("2026-02-26T06:48", "2026-03-20T19:33"),
    ("2026-06-29T17:36", "2026-07-23T22:58"),
    ("2026-10-24T07:13", "2026-11-13T15:54"),
]


@pytest.mark.parametrize(
    ("moment", "phase"), [(moment, 0.0) for moment in NEW_MOONS] + [(moment, 0.5) for moment in FULL_MOONS]
)
def test_moons_are_new_and_full_within_a_minute_of_the_almanac(moment: str, phase: float) -> None:
    found = moon_phase(at(f"{moment}+00:00"))
    assert abs(math.remainder(found - phase, 1.0)) < 1 / (MONTH_DAYS * 1440)
    assert moon_illumination(at(f"{moment}+00:00")) == pytest.approx(2 * phase, abs=0.003)


def test_quarters_are_half_lit_and_the_moon_waxes_before_it_wanes() -> None:
    first, last = at("2026-02-24T12:27+00:00"), at("2026-03-11T09:38+00:00")
    assert moon_phase(first) == pytest.approx(0.25, abs=1e-4)
    assert moon_phase(last) == pytest.approx(0.75, abs=1e-4)
    assert moon_illumination(first) == pytest.approx(0.5, abs=0.01)
    assert moon_illumination(first + DAY_NS) > moon_illumination(first)
    assert moon_illumination(last + DAY_NS) < moon_illumination(last)


@pytest.mark.parametrize(("begins", "ends"), RETROGRADES)
def test_mercury_turns_within_two_minutes_of_the_almanac(begins: str, ends: str) -> None:
    start, end = at(f"{begins}+00:00"), at(f"{ends}+00:00")
    for station, sign in ((start, 1), (end, -1)):
        assert sign * mercury_speed(station - 2 * MINUTE_NS) > 0 > sign * mercury_speed(station + 2 * MINUTE_NS)
    inside = [ephemeris("esof:EARTH", start + (end - start) * step // 8).mercury_retrograde for step in range(1, 8)]
    assert all(inside)


def test_mercury_is_retrograde_three_times_a_year_and_then_for_three_weeks() -> None:
    begin = at("2025-01-01T00:00+00:00")
    days = [mercury_speed(begin + day * DAY_NS) < 0.0 for day in range(730)]
    assert sum(later and not earlier for earlier, later in itertools.pairwise(days)) == 6
    assert sum(days) == pytest.approx(
        sum((at(f"{e}+00:00") - at(f"{b}+00:00")) / DAY_NS for b, e in RETROGRADES), abs=6
    )


@pytest.mark.parametrize(
    ("session", "opens", "closes"),
    [
        (AMERICA, "2026-01-05T09:30-05:00", "2026-01-05T16:00-05:00"),
        (AMERICA, "2026-07-06T09:30-04:00", "2026-07-06T16:00-04:00"),
        (AMERICA, "2026-03-09T09:30-04:00", "2026-03-09T16:00-04:00"),  # the first Monday of summer time there
        (EUROPE, "2026-03-09T08:00+00:00", "2026-03-09T16:30+00:00"),  # three weeks later it begins here
        (EUROPE, "2026-03-30T08:00+01:00", "2026-03-30T16:30+01:00"),
        (ASIA, "2026-03-09T09:00+09:00", "2026-03-09T15:30+09:00"),
        (ASIA, "2026-07-06T09:00+09:00", "2026-07-06T15:30+09:00"),
    ],
)
def test_sessions_keep_their_citys_clock(session: Session, opens: str, closes: str) -> None:
    start, end = at(opens), at(closes)
    assert progress(session, start - MINUTE_NS) == progress(session, end + MINUTE_NS) == 0.0
    assert progress(session, start) == pytest.approx(0.0, abs=1e-12)
    assert progress(session, (start + end) // 2) == pytest.approx(1.0)
    assert progress(session, start + (end - start) // 6) == pytest.approx(0.5)


def test_no_session_is_held_on_saturday_and_sunday() -> None:
    for hour in range(48):
        moment = at("2026-07-04T00:00-04:00") + hour * 60 * MINUTE_NS
        assert progress(AMERICA, moment) == 0.0


def test_day_and_week_are_turns_from_midnight_and_from_monday() -> None:
    monday = ephemeris("esof:EARTH", at("2026-11-16T00:00+00:00"))
    assert (monday.weekday, monday.day_sine, monday.day_cosine) == (0, 0.0, 1.0)
    assert (monday.week_sine, monday.week_cosine) == (0.0, 1.0)
    thursday = ephemeris("esof:EARTH", at("2026-11-19T12:00+00:00"))
    assert thursday.weekday == 3
    assert (thursday.day_sine, thursday.day_cosine) == (pytest.approx(0.0, abs=1e-12), pytest.approx(-1.0))
    assert (thursday.week_sine, thursday.week_cosine) == (pytest.approx(0.0, abs=1e-12), pytest.approx(-1.0))
    assert ephemeris("esof:EARTH", at("2026-11-22T23:59+00:00")).weekday == 6


# The feed.


def feed() -> Esof:
    found = Esof()
    found.subscribe(["EARTH"])
    return found


def ephemerides(records: list[Record]) -> list[int]:
    return [record.event_ns for record in records if isinstance(record, Ephemeris)]


def test_every_quarter_of_an_hour_is_given_once_when_it_has_come() -> None:
    esof, begin = feed(), at("2026-11-21T17:07+00:00")
    found: list[Record] = []
    for second in range(0, 7200, 7):
        now_ns = begin + second * 1_000_000_000
        records = list(esof.tick(now_ns))
        assert all(now_ns - GRID_NS < moment <= now_ns for moment in ephemerides(records))
        found += records
    assert ephemerides(found) == [begin // GRID_NS * GRID_NS + step * GRID_NS for step in range(9)]
    assert isinstance(found[0], Connect)
    assert sum(isinstance(record, Connect) for record in found) == 1
    assert sum(isinstance(record, Heartbeat) for record in found) == 120
    for record in found:
        assert CODEC.decode(CODEC.encode(record)) == record


def test_what_was_missed_in_a_pause_is_given_up_to_a_day_of_it() -> None:
    esof, begin = feed(), at("2026-11-21T17:00+00:00")
    list(esof.tick(begin))
    assert ephemerides(list(esof.tick(begin + 4 * GRID_NS))) == [begin + step * GRID_NS for step in range(1, 5)]
    after = ephemerides(list(esof.tick(begin + 30 * DAY_NS)))
    assert after == [begin + 29 * DAY_NS + step * GRID_NS for step in range(1, 97)]


def test_a_new_connection_goes_on_where_the_last_one_stopped() -> None:
    esof, begin = feed(), at("2026-11-21T17:00+00:00")
    list(esof.tick(begin))
    again = Esof("error", esof.recent)
    again.subscribe(["EARTH"])
    assert ephemerides(list(again.tick(begin + MINUTE_NS))) == []
    assert ephemerides(list(again.tick(begin + GRID_NS))) == [begin + GRID_NS]


def test_the_next_day_is_computed_ahead_and_not_again() -> None:
    esof, begin = feed(), at("2031-05-05T00:00+00:00")
    for second in range(100):
        list(esof.tick(begin + second * 1_000_000_000))
    known = ephemeris.cache_info().misses
    for step in range(96):
        ephemeris("esof:EARTH", begin + step * GRID_NS)
    assert ephemeris.cache_info().misses == known
