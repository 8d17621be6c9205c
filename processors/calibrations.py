"""Topic ``calibrations``: each predicted jump loss held against the move that came.

Windows of one settlement time follow each other without overlap. The prediction is the jump loss at the window's start;
the move is 100 |ln(mid at the end / mid at the start)| and the realised loss the jump loss of that move. The average of
many small moves says nothing about one settlement: whether the prediction is too low is what these records answer.
"""

import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from processors.online.jump_loss import jump_loss
from processors.online.rows import FIRST, columns_of, doubled, row_type
from processors.stage import BatchStage, Events, NoOptions, Rejection
from schemas import Calibration, JumpLoss
from schemas.columns import Keys, Table
from schemas.jit import kernel, shared

MILLISECOND = 1_000_000


@dataclass(slots=True)
class CalibrationState:
    """The open window."""

    opened_ns: int = 0
    mid: float = 0.0
    predicted: float = 0.0
    low: float = 0.0
    high: float = 0.0
    stale: bool = False


@shared
def is_over(state: Any, event_ns: int, settlement_ms: int) -> bool:
    """Whether a window is open and ends by now."""
    return state.mid > 0.0 and event_ns >= state.opened_ns + settlement_ms * MILLISECOND  # type: ignore[no-any-return]


@shared
def move_percent(state: Any, mid: float) -> float:
    """The move since the window opened."""
    return 100.0 * abs(math.log(mid / state.mid))


@shared
def begin(state: Any, event_ns: int, mid: float, predicted: float, low: float, high: float, stale: bool) -> None:
    """Open a window."""
    state.opened_ns, state.mid, state.stale = event_ns, mid, stale
    state.predicted, state.low, state.high = predicted, low, high


class Calibrations(BatchStage[JumpLoss, Calibration]):
    """Ends a window when a jump loss at or past its end comes, and opens the next with it.

    >>> stage = Calibrations("kraken:ETH-USD")
    >>> def loss(event_ns, mid):
    ...     return JumpLoss(instrument="kraken:ETH-USD", event_ns=event_ns, fee_units=5000, fee_percent=0.05, mid=mid,
    ...                     settlement_ms=1000, mu_percent=0.02, jump_loss_percent=0.01, low_percent=0.0,
    ...                     high_percent=0.02, mu_low_percent=0.0, mu_high_percent=0.04, buckets=1, stale=False,
    ...                     feed_age_ms=0)
    >>> list(stage.on_event(loss(0, 100.0)))
    []
    >>> [round(window.realised_percent, 6) for window in stage.on_event(loss(10**9, 101.0))]
    [0.970033]
    """

    State = CalibrationState
    columns = (
        "event_ns", "settlement_ms", "fee_percent", "mid", "jump_loss_percent", "low_percent", "high_percent", "stale"
    )  # fmt: skip
    state: CalibrationState

    def on_event(self, event: JumpLoss) -> Iterator[Calibration]:
        state = self.state
        state.stale = state.stale or event.stale
        if is_over(state, event.event_ns, event.settlement_ms):
            opened_ns, _, predicted, low, high, stale = astuple(state)
            move = move_percent(state, event.mid)
            realised = jump_loss(move, event.fee_percent)
            yield Calibration(
                self.key, event.event_ns, opened_ns, event.fee_percent, predicted, low, high, move, realised, stale
            )
        elif state.mid > 0.0:
            return
        begin(
            state, event.event_ns, event.mid, event.jump_loss_percent, event.low_percent, event.high_percent,
            event.stale,
        )  # fmt: skip

    @classmethod
    def on_batch(
        cls, options: NoOptions, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        rows = _run(states, events.key, events.cause, *events.columns.values())
        columns = columns_of(rows)
        return [Table(Calibration, rows["cause"].copy(), rows["key"].copy(), columns)], []


ROW = row_type(
    event_ns=np.int64,
    opened_ns=np.int64,
    fee_percent=np.float64,
    predicted_percent=np.float64,
    low_percent=np.float64,
    high_percent=np.float64,
    move_percent=np.float64,
    realised_percent=np.float64,
    stale=np.bool_,
)


@kernel
def _run(states, keys, causes, event_ns, settlement_ms, fee, mid, predicted, low, high, stale):  # type: ignore[no-untyped-def]
    rows, filled = np.empty(FIRST, ROW), 0
    for index in range(len(keys)):
        state, now = states[keys[index]], event_ns[index]
        state.stale = state.stale or stale[index]
        if is_over(state, now, settlement_ms[index]):
            if filled == len(rows):
                rows = doubled(rows)
            row = rows[filled]
            row.cause, row.key, row.event_ns, row.opened_ns = causes[index], keys[index], now, state.opened_ns
            row.fee_percent = fee[index]
            row.predicted_percent, row.low_percent, row.high_percent = state.predicted, state.low, state.high
            row.move_percent = move_percent(state, mid[index])
            row.realised_percent = jump_loss(row.move_percent, fee[index])
            row.stale = state.stale
            filled += 1
        elif state.mid > 0.0:
            continue
        begin(state, now, mid[index], predicted[index], low[index], high[index], stale[index])
    return rows[:filled]
