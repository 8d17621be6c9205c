"""Topic ``calibrations``: each predicted jump loss held against the move that came.

Windows of one settlement time follow each other without overlap. The prediction is the jump loss at the window's start;
the move is 100 |ln(mid at the end / mid at the start)| and the realised loss the jump loss of that move. The average of
many small moves says nothing about one settlement: whether the prediction is too low is what these records answer.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from processors.online.jump_loss import jump_loss
from processors.stage import Stage
from schemas import Calibration, JumpLoss

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


class Calibrations(Stage[JumpLoss, Calibration]):
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
    state: CalibrationState

    def on_event(self, event: JumpLoss) -> Iterator[Calibration]:
        state = self.state
        if state.mid > 0.0:
            state.stale |= event.stale
            if event.event_ns < state.opened_ns + event.settlement_ms * MILLISECOND:
                return
            move = 100.0 * abs(math.log(event.mid / state.mid))
            yield Calibration(
                instrument=self.key,
                event_ns=event.event_ns,
                opened_ns=state.opened_ns,
                fee_percent=event.fee_percent,
                predicted_percent=state.predicted,
                low_percent=state.low,
                high_percent=state.high,
                move_percent=move,
                realised_percent=jump_loss(move, event.fee_percent),
                stale=state.stale,
            )
        self.state = CalibrationState(
            event.event_ns, event.mid, event.jump_loss_percent, event.low_percent, event.high_percent, event.stale
        )
