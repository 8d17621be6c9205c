"""Topic ``wide_bars``: bars of five minutes out of one-minute bars, by OHLC rules (processors/online/resampling.py).

A window ends with the bar of its last minute, or with the first bar after it. Minutes may come in any order before; one
that comes again replaces what it was. A minute of a window that has ended is passed over. Bars of other widths are none
of this topic's concern.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from processors.online.resampling import MINUTE_NS, WIDE, Minute, Resampling, checked, minute_of
from processors.stage import NoOptions, Stage
from schemas import Bar, Rejected, WideBar

MINUTE_MS = 60_000


class WideBars(Stage[Bar, WideBar]):
    """Makes a wide bar of each window that has a minute.

    >>> stage = WideBars("kraken:ETH-USD")
    >>> def bar(minute):
    ...     end_ns = (minute + 1) * MINUTE_NS
    ...     return Bar("kraken:ETH-USD", end_ns, end_ns, 60_000, 9.0, 12.0, 8.0, 10.0, 5.0, 0.0, 0, 0.0)
    >>> [wide] = [wide for minute in (5, 6, 9) for wide in stage.on_event(bar(minute))]
    >>> wide.event_ns // MINUTE_NS, wide.minutes, wide.volume
    (10, 3, 15.0)
    """

    State = Resampling
    state: Resampling

    def __init__(self, key: str, options: NoOptions | None = None) -> None:
        self.key = key
        self.options = options or NoOptions()
        self.state = Resampling(WIDE)

    def on_event(self, event: Bar) -> Iterator[WideBar]:
        if event.width_ms != MINUTE_MS:
            return
        try:
            minute = minute_of(event.event_ns, event.received_ns)
            bar = checked(Minute(minute, event.open, event.high, event.low, event.close, event.volume))
        except ValueError as error:
            raise Rejected(str(error)) from None
        for wide in chain(self.state.update(bar), self.state.advance(minute + 1)):
            yield WideBar(
                instrument=self.key,
                event_ns=(wide.minute + WIDE) * MINUTE_NS,
                width_ms=WIDE * MINUTE_MS,
                open=wide.open,
                high=wide.high,
                low=wide.low,
                close=wide.close,
                volume=wide.volume,
                minutes=self.state.closed,
            )

    def snapshot(self) -> dict[str, Any]:
        """The open window as plain values."""
        return {"window": self.state.window, "minutes": [list(bar) for bar in self.state.minutes.values()]}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        bars = [Minute(*values) for values in snapshot["minutes"]]
        self.state = Resampling(WIDE, snapshot["window"], {bar.minute: bar for bar in bars})
