"""Moments as people give them, in ns since the epoch; a time without a zone is UTC."""

import time
from datetime import UTC, datetime

from infra.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_since(text: str, now_ns: int | None = None, option: str = "--since") -> int:
    """A moment from "15m" ago or an ISO time.

    >>> parse_since("2m", now_ns=180_000_000_000)
    60000000000
    >>> parse_since("1970-01-01T00:00:01.5Z")
    1500000000

    Raises:
        UserError: it is neither.

    """
    number, unit = text[:-1], UNITS.get(text[-1:])
    if unit is not None and number.isdigit():
        return (time.time_ns() if now_ns is None else now_ns) - int(number) * unit * 1_000_000_000
    try:
        return _of_iso(text)
    except ValueError:
        raise UserError(f"{option}: {text!r} is neither a span like 15m nor a time like 2025-11-25T18:00Z") from None


def parse_moment(text: str, option: str) -> int | None:
    """A moment from an ISO time or ns since the epoch; None from nothing.

    >>> parse_moment("1970-01-01T00:00:01", "--start"), parse_moment("12", "--start"), parse_moment("", "--start")
    (1000000000, 12, None)

    Raises:
        UserError: it is neither.

    """
    if not text:
        return None
    if text.isdigit():
        return int(text)
    try:
        return _of_iso(text)
    except ValueError:
        raise UserError(f"{option}: {text!r} is no time; expected e.g. 2025-11-25T18:00") from None


def _of_iso(text: str) -> int:
    """Exact to the microsecond, which a float of seconds is not."""
    moment = datetime.fromisoformat(text)
    elapsed = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000_000 + elapsed.microseconds * 1_000
