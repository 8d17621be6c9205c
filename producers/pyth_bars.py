"""Pyth's minute history: a reply of Pyth Pro as Bars.

Wire format: the TradingView shape that ``/v1/fixed_rate@200ms/history`` of Pyth Pro answers with, and before it the
Benchmarks shim: columns ``t`` (start of each bar in seconds), ``o``, ``h``, ``l``, ``c`` and sometimes ``v``. Rules:

- ``s`` is ``ok``, ``no_data``, which is an answer without bars, or ``error``, which is refused with ``errmsg``.
- Minutes without a publication are absent: a gap in ``t`` is the venue's own.
- The last bar may still be open: only bars that end at or before ``until_ns`` are given.
"""

import math
from typing import Literal
from urllib.parse import urlencode

import msgspec

from schemas import Bar, Rejected

SECOND_NS = 1_000_000_000
HISTORY = "https://pyth.dourolabs.app/v1/fixed_rate@200ms/history"


class Reply(msgspec.Struct):
    """Columns of bars, oldest first."""

    s: Literal["ok", "no_data", "error"]
    t: list[int] = []
    o: list[float] = []
    h: list[float] = []
    l: list[float] = []  # noqa: E741 - the venue's name
    c: list[float] = []
    v: list[float] = []
    errmsg: str = ""


DECODER = msgspec.json.Decoder(Reply)


def history_url(symbol: str, from_s: int, to_s: int, resolution: str = "1") -> str:
    """Where bars are; ``symbol`` is Pyth's, as ``Crypto.BTC/USD``, and ``resolution`` counts minutes.

    >>> history_url("Crypto.BTC/USD", 60, 120).removeprefix(HISTORY)
    '?symbol=Crypto.BTC%2FUSD&resolution=1&from=60&to=120'
    """
    return f"{HISTORY}?{urlencode({'symbol': symbol, 'resolution': resolution, 'from': from_s, 'to': to_s})}"


def bars(instrument: str, body: bytes, until_ns: int, width_s: int = 60) -> list[Bar]:
    """Bars of a reply, oldest first.

    Raises:
        Rejected: the reply is malformed or an error, or its bars are not in order.

    >>> reply = b'{"s":"ok","t":[60,120],"o":[10,11],"h":[12,11],"l":[9,11],"c":[11,11]}'
    >>> [(bar.event_ns, bar.open, bar.close) for bar in bars("pyth:Crypto.BTC/USD", reply, 120 * SECOND_NS)]
    [(120000000000, 10.0, 11.0)]

    """
    try:
        reply = DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise Rejected(f"unreadable history: {error}") from error
    if reply.s == "error":
        raise Rejected(f"venue says: {reply.errmsg[:200] or 'error'}")
    volumes = reply.v or [0.0] * len(reply.t)
    if len({len(column) for column in (reply.t, reply.o, reply.h, reply.l, reply.c, volumes)}) != 1:
        raise Rejected("columns of unequal length")
    if any(later <= earlier for earlier, later in zip(reply.t, reply.t[1:], strict=False)):
        raise Rejected("bars out of order")
    if reply.t and not 0 <= reply.t[0] <= reply.t[-1] < 2**33:
        raise Rejected(f"bars from {reply.t[0]} to {reply.t[-1]}, which are no seconds since 1970")
    found: list[Bar] = []
    for start_s, first, high, low, last, volume in zip(
        reply.t, reply.o, reply.h, reply.l, reply.c, volumes, strict=True
    ):
        if not 0.0 < low <= min(first, last) <= max(first, last) <= high < math.inf or not 0.0 <= volume < math.inf:
            raise Rejected(f"impossible bar at {start_s}: {first} {high} {low} {last} {volume}")
        end_ns = (start_s + width_s) * SECOND_NS
        if end_ns <= until_ns:
            found.append(Bar(instrument, end_ns, end_ns, width_s * 1000, first, high, low, last, volume, 0.0, 0, 0.0))
    return found
