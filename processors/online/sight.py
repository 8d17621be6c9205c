"""What the log of an instrument shows of its feed: how far it has been seen, and what was not.

Functions on a ``Sight``, or a row of an array with its fields; each takes one event and says what gap it shows, if any:
(cause, from_ns, to_ns, expected, seen, missed, recovered), all 0 where it shows none.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.jit import shared

CAUSES = ("", "missed", "stall", "start", "disconnect", "sequence", "error")
MISSED, STALL = 1, 2


@dataclass(slots=True)
class Sight:
    """How far one instrument has been seen; the fields that the functions here work on."""

    trade_id: int = 0  # largest seen or given up
    seen_ns: int = 0  # venue time of the last sign of life
    alive_ns: int = 0  # our time of it
    pending: int = 0  # cause of a connect that no sign of life has followed yet
    open: bool = False  # a stall has been reported and not closed
    told: int = 0  # last trade id of the last heartbeat
    hole_from: int = 0
    hole_to: int = 0
    quiet_ns: int = 0  # silence that the feed says is normal; 0: it says nothing


Row = tuple[int, int, int, int, int, int, bool]  # cause, from_ns, to_ns, expected, seen, missed, recovered
NONE: Row = (0, 0, 0, 0, 0, 0, False)


@shared
def alive(state: Any, event_ns: int, received_ns: int, known: int, seen: int) -> Row:
    """Take a sign of life by which trades up to ``known`` have gone past unseen and ``seen`` is the next after them."""
    hole = state.trade_id > 0 and known > state.trade_id
    row = NONE
    if state.seen_ns > 0 and (state.pending > 0 or state.open or hole):
        cause = state.pending if state.pending > 0 else (MISSED if hole else STALL)
        missed = known - state.trade_id if hole else 0
        expected = state.trade_id + 1 if state.trade_id > 0 else 0
        row = (cause, state.seen_ns, event_ns, expected, max(seen, expected), missed, missed == 0)
    if hole:
        state.hole_from, state.hole_to = state.trade_id + 1, known + 1
    state.trade_id = max(state.trade_id, known)
    state.pending, state.open = 0, False
    state.seen_ns, state.alive_ns = max(state.seen_ns, event_ns), max(state.alive_ns, received_ns)
    return row


@shared
def fills_hole(state: Any, trade_id: int) -> bool:
    """Whether a trade is one of those last found missing."""
    return bool(0 < state.hole_from <= trade_id < state.hole_to)


@shared
def on_tick(state: Any, event_ns: int, received_ns: int, trade_id: int) -> Row:
    """A tick is a sign of life; its trade id shows what was missed, or fills a hole."""
    if fills_hole(state, trade_id) and not state.open and state.pending == 0:
        state.seen_ns, state.alive_ns = max(state.seen_ns, event_ns), max(state.alive_ns, received_ns)
        return (MISSED, event_ns, event_ns, trade_id, trade_id, 0, True)
    row = alive(state, event_ns, received_ns, trade_id - 1, trade_id)
    state.trade_id = max(state.trade_id, trade_id)
    return row


@shared
def on_heartbeat(state: Any, event_ns: int, received_ns: int, last_trade_id: int) -> Row:
    """A heartbeat is a sign of life; what the one before told of and has not come by now was missed."""
    known = last_trade_id if state.pending > 0 else state.told
    row = alive(state, event_ns, received_ns, known, known + 1)
    state.told = last_trade_id
    return row


@shared
def on_clock(state: Any, now_ns: int, stale_ns: int) -> Row:
    """Silence for too long is a stall."""
    if state.seen_ns == 0 or state.open or now_ns - state.alive_ns <= limit(state, stale_ns):
        return NONE
    state.open = True
    return (STALL, state.seen_ns, 0, state.trade_id + 1 if state.trade_id > 0 else 0, 0, 0, False)


@shared
def on_connect(state: Any, cause: int, quiet_ns: int) -> None:
    """A connect says what ended the connection before, and how much silence is normal on this one."""
    state.pending, state.quiet_ns = cause, quiet_ns


@shared
def limit(state: Any, stale_ns: int) -> int:
    """How long a silence may last, in ns: what the feed said, else ``stale_ns``."""
    return state.quiet_ns if state.quiet_ns > 0 else stale_ns


def cause_codes(causes: NDArray[Any], where: NDArray[np.bool_]) -> NDArray[np.int64]:
    """``cause_code`` of some causes, 0 for the others."""
    codes = np.zeros(len(causes), np.int64)
    for index in np.flatnonzero(where).tolist():
        codes[index] = cause_code(causes[index])
    return codes


def cause_code(cause: str) -> int:
    """The number of a connect's cause; one that is not in the list counts as an error."""
    return CAUSES.index(cause) if cause in CAUSES[STALL:] else CAUSES.index("error")


def feed_of(instrument: str) -> str:
    """The feed that an instrument belongs to: its venue.

    >>> feed_of("coinbase:ETH-USD")
    'coinbase'
    """
    return instrument.partition(":")[0]
