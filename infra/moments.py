"""Moments as people give them."""

import time
from datetime import UTC, datetime

from infra.errors import UserError

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def parse_since(text: str, now_ns: int | None = None, option: str = "--since") -> int:
    """A moment in ns since the epoch from "15m" ago or an ISO time.

    >>> parse_since("2m", now_ns=180_000_000_000)
    60000000000
    >>> parse_since("1970-01-01T00:00:01Z")
    1000000000

    Raises:
        UserError: it is neither.

    """
    number, unit = text[:-1], UNITS.get(text[-1:])
    if unit is not None and number.isdigit():
        return (time.time_ns() if now_ns is None else now_ns) - int(number) * unit * 1_000_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text!r} is neither a span like 15m nor a time like 2025-11-25T18:00Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
