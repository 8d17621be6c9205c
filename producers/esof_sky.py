"""Where moon and Mercury stand, and how far day, week and trading sessions have come: functions of time alone.

- Positions are apparent, geocentric, in the ecliptic of the date, as almanacs have them. The moon's phase is its
  longitude less the sun's. Mercury is retrograde while its longitude falls; its speed is the mean over two hours.
- Times are UTC. Sessions keep the clocks of their city, summer time included, from Monday to Friday; holidays, and
  Tokyo's pause at noon, are not known here.
"""

import functools
import math
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import ephem

from schemas import Ephemeris

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
EPOCH_DAY = 25_567.5  # of 1970-01-01 in ephem's count, which begins at noon of 1899-12-31
MONDAY = 3  # days since Monday at the epoch


class Session(NamedTuple):
    """When a city trades, in minutes of its own day."""

    zone: ZoneInfo
    opens: int
    closes: int


ASIA = Session(ZoneInfo("Asia/Tokyo"), 9 * 60, 15 * 60 + 30)
EUROPE = Session(ZoneInfo("Europe/London"), 8 * 60, 16 * 60 + 30)
AMERICA = Session(ZoneInfo("America/New_York"), 9 * 60 + 30, 16 * 60)


@functools.lru_cache(maxsize=4096)
def ephemeris(instrument: str, at_ns: int) -> Ephemeris:
    """All of it at one moment.

    >>> sky = ephemeris("esof:EARTH", 1_786_556_220_000_000_000)  # new moon and eclipse of 12 August 2026
    >>> round(sky.moon_phase, 3), round(sky.moon_illumination, 3), sky.mercury_retrograde, sky.weekday
    (0.0, 0.0, False, 2)
    """
    speed = mercury_speed(at_ns)
    day, week = math.tau * (at_ns % DAY_NS) / DAY_NS, math.tau * _week(at_ns)
    return Ephemeris(
        instrument,
        at_ns,
        moon_phase(at_ns),
        moon_illumination(at_ns),
        speed < 0.0,
        speed,
        math.sin(day),
        math.cos(day),
        math.sin(week),
        math.cos(week),
        int(_week(at_ns) * 7),
        progress(ASIA, at_ns),
        progress(EUROPE, at_ns),
        progress(AMERICA, at_ns),
    )


def moon_phase(at_ns: int) -> float:
    """Elongation of the moon in turns, from 0 to below 1."""
    return (_longitude(ephem.Moon, at_ns) - _longitude(ephem.Sun, at_ns)) / math.tau % 1.0 % 1.0


def moon_illumination(at_ns: int) -> float:
    """Lit share of the moon's disc, from 0 to 1."""
    return float(min(max(ephem.Moon(_date(at_ns)).moon_phase, 0.0), 1.0))


def mercury_speed(at_ns: int) -> float:
    """Rate of Mercury's longitude in degrees a day."""
    before, after = (_longitude(ephem.Mercury, at_ns + hours * HOUR_NS) for hours in (-1, 1))
    return math.degrees(math.remainder(after - before, math.tau)) * 12.0


def progress(session: Session, at_ns: int) -> float:
    """Half a sine over a session, 0 outside it.

    >>> [round(progress(ASIA, hour * HOUR_NS), 3) for hour in (-1, 0, 3, 6, 7)]  # Thursday 1 January 1970
    [0.0, 0.0, 0.993, 0.239, 0.0]
    """
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_ns // 1000)
    local = moment.astimezone(session.zone)
    minutes = local.hour * 60 + local.minute + local.second / 60 + local.microsecond / 60e6
    if local.weekday() > 4 or not session.opens <= minutes <= session.closes:
        return 0.0
    return max(math.sin(math.pi * (minutes - session.opens) / (session.closes - session.opens)), 0.0)


def _week(at_ns: int) -> float:
    """How far the week has come, in turns from Monday."""
    return (at_ns + MONDAY * DAY_NS) % (7 * DAY_NS) / (7 * DAY_NS)


def _date(at_ns: int) -> float:
    return EPOCH_DAY + at_ns / DAY_NS


def _longitude(body: type[ephem.Body], at_ns: int) -> float:
    date = _date(at_ns)
    found = body(date)
    return float(ephem.Ecliptic(ephem.Equatorial(found.g_ra, found.g_dec, epoch=date), epoch=date).lon)
