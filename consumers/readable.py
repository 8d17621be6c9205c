"""Records as people read them: the levels of books as decimals, bytes as text, times as times of day."""

from datetime import UTC, datetime
from typing import Any

from schemas import Record
from schemas.levels import unpacked

SCALED = {"best_bid", "best_ask"}  # as prices, in records that say their decimals
LEVELS = 3  # of a side that a line shows


def plain(record: Record) -> dict[str, Any]:
    """Every field of a record as a plain value; a level is a pair of decimals, price and size.

    >>> from schemas import Clock
    >>> plain(Clock(5))
    {'event_ns': 5}
    """
    values: dict[str, Any] = {name: getattr(record, name) for name in record.__struct_fields__}
    decimals = values.get("price_decimals"), values.get("size_decimals")
    for name, value in values.items():
        if isinstance(value, bytes):
            values[name] = _text(value) if None in decimals else _levels(value, *decimals)
        elif name in SCALED and isinstance(value, int) and decimals[0] is not None:
            values[name] = decimal(value, decimals[0])
    return values


def decimal(number: int, decimals: int) -> str:
    """A whole number of 10^-decimals.

    >>> decimal(-1205, 2), decimal(7, 0)
    ('-12.05', '7')
    """
    digits = str(abs(number)).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    return ("-" if number < 0 else "") + whole + (f".{fraction}" if fraction else "")


def line(record: Record) -> str:
    """A record on one line.

    >>> from schemas import Heartbeat
    >>> line(Heartbeat("a:B", 1_500_000_000, 0, 7, 9))
    '00:00:01.500 a:B Heartbeat received_ns=0 sequence=7 last_trade_id=9'
    """
    values = plain(record)
    moment = datetime.fromtimestamp(values.pop("event_ns") / 1e9, UTC)
    key = values.pop(record.key_field, record.key)
    told = " ".join(f"{name}={_short(value)}" for name, value in values.items())
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1_000:03} {key} {type(record).__name__} {told}".rstrip()


def _levels(data: bytes, price_decimals: Any, size_decimals: Any) -> list[list[str]]:
    return [[decimal(price, price_decimals), decimal(size, size_decimals)] for price, size in unpacked(data).tolist()]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.hex()


def _short(value: Any) -> str:
    if isinstance(value, list):
        shown = ",".join(f"{price}x{size}" for price, size in value[:LEVELS])
        return f"[{shown}{f',… {len(value)}' if len(value) > LEVELS else ''}]"
    if isinstance(value, float):
        return f"{value:.10g}"
    return repr(value) if isinstance(value, str) and (" " in value or not value) else str(value)
