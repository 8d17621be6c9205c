"""What no strategy may do, whatever it computes: limits that stand outside it.

    order      notional of one order: |price * size|, at the mid for a market order
    position   notional at the mid of what would be held if all live orders of its side and this one were filled
    rate       orders placed within one second of event time
    band       distance of a limit price from the mid, as a share of it
    loss       fall of the equity since the UTC day began, or since it was first told, open positions counted at the mid

The first four are asked before an order is sent (``check``), the last whenever a figure comes (``equity``, ``mark``),
the position also when the venue tells of it. Each answer is a reason, empty where all is well. After a breach the
caller cancels everything and yields the Control that ``halt`` gives. A halt stays until a Control resets it, with a
reason. All that is known is in ``Watch``, plain values that a stage keeps in its state.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from consumers.orders import Order, remaining
from consumers.steps import unscaled
from schemas import EVERY_KEY, Control, Equity, NetPosition, OrderRequest

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
BPS = 10_000.0


@dataclass(frozen=True, slots=True)
class LimitOptions:
    """How much is allowed, of one executor on one instrument."""

    order: float = 1_000.0  # quote currency
    position: float = 5_000.0  # quote currency
    orders_per_s: int = 20
    loss_per_day: float = 200.0  # quote currency
    band_bps: float = 200.0

    def __post_init__(self) -> None:
        for name in ("order", "position", "loss_per_day", "band_bps"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.orders_per_s < 1:
            raise ValueError(f"orders_per_s must be at least 1, not {self.orders_per_s}")


class Watch(TypedDict):
    """What the limits have to remember."""

    halted: dict[str, str]  # why, by scope; empty while trading
    placed_ns: list[int]  # event times of the newest orders, at most orders_per_s of them
    held: float  # base units, negative when short
    equity: float  # as last told, carried to when the position last changed
    equity_mid: float  # mid at that time; 0 where none was known
    mid: float  # newest; 0 before the first
    day: int  # UTC day since the epoch; -1 before the first equity
    day_equity: float  # equity at which the day began


def fresh() -> Watch:
    """Before anything has happened."""
    return Watch(halted={}, placed_ns=[], held=0.0, equity=0.0, equity_mid=0.0, mid=0.0, day=-1, day_equity=0.0)


def why_halted(watch: Watch) -> str:
    """Why nothing may be placed; empty while trading."""
    return next(iter(watch["halted"].values()), "")


def within_band(price: float, mid: float, band_bps: float) -> bool:
    """Whether a price is no further from the mid than a limit allows."""
    return abs(price - mid) / mid * BPS <= band_bps


class Limits:
    """The limits of one executor on one instrument.

    >>> limits = Limits(LimitOptions(order=50.0), fresh())
    >>> limits.mark(1, 100.0)
    ''
    >>> request = OrderRequest("x:A", 1, "s", 1, "c", "place", "id", "", "buy", "limit", "GTT", True, False, 100, 1, 0,
    ...                        0, 99, 9, "")
    >>> limits.check(request, [])
    'order: 100.0 is more than 50.0'
    """

    def __init__(self, options: LimitOptions, watch: Watch) -> None:
        self.options = options
        self.watch = watch

    @property
    def halted(self) -> str:
        """Why nothing may be placed; empty while trading."""
        return why_halted(self.watch)

    def check(self, request: OrderRequest, live: Sequence[Order]) -> str:
        """Why an order may not be placed, ``live`` being those that have not ended; one that may counts as placed."""
        options, watch, mid = self.options, self.watch, self.watch["mid"]
        if self.halted:
            return f"halted: {self.halted}"
        if not mid:
            return "band: no mid is known"
        price = unscaled(request.price, request.price_decimals) or mid
        size = unscaled(request.size, request.size_decimals)
        if price * size > options.order:
            return f"order: {price * size} is more than {options.order}"
        if not within_band(price, mid, options.band_bps):
            return f"band: {price} is more than {options.band_bps} bps from {mid}"
        sign = 1.0 if request.side == "buy" else -1.0
        waiting = sum(
            unscaled(remaining(order), order["size_decimals"])
            for order in live
            if order["side"] == request.side and not order["reduce_only"]
        )
        reached = abs(watch["held"] + sign * (waiting + size)) * mid
        if not request.reduce_only and reached > options.position and reached > abs(watch["held"]) * mid:
            return f"position: {reached} could be reached, more than {options.position}"
        placed = watch["placed_ns"]
        if len(placed) == options.orders_per_s and request.event_ns - placed[0] < SECOND:
            return f"rate: more than {options.orders_per_s} orders within a second"
        watch["placed_ns"] = [*placed, request.event_ns][-options.orders_per_s :]
        return ""

    def position(self, position: NetPosition) -> str:
        """Take what is held; why that is a breach."""
        watch, before = self.watch, abs(self.watch["held"])
        watch["equity"], watch["equity_mid"] = self._worth(), watch["mid"]  # what comes anew has moved nothing yet
        watch["held"] = unscaled(position.size, position.size_decimals)
        notional = abs(watch["held"]) * watch["mid"]
        if abs(watch["held"]) > before and notional > self.options.position:
            return f"position: {notional} is more than {self.options.position}"
        return ""

    def equity(self, equity: Equity) -> str:
        """Take what trading has brought so far; why that is a breach."""
        watch = self.watch
        watch["equity"], watch["equity_mid"] = equity.equity, watch["mid"]
        return self._lost(equity.event_ns)

    def mark(self, event_ns: int, mid: float) -> str:
        """Value what is held at a new mid; why that is a breach."""
        self.watch["mid"] = mid
        self.watch["equity_mid"] = self.watch["equity_mid"] or mid
        return self._lost(event_ns) if self.watch["day"] >= 0 else ""  # an account may have a past

    def control(self, control: Control, strategy: str, instrument: str) -> None:
        """Halt or reset, if that is meant for the executor.

        A reset ends the halt of its scope, one of ``*`` all of them, and one without a reason none.
        """
        halted, scope = self.watch["halted"], control.scope
        if scope not in (EVERY_KEY, strategy, instrument):
            return
        if control.action == "halt":
            halted.setdefault(scope, control.reason or f"by {control.by}")
        elif control.action == "reset" and control.reason.strip():
            for name in list(halted) if scope == EVERY_KEY else [scope]:
                halted.pop(name, None)
            if not halted:
                self.watch["day_equity"] = self._worth()  # the loss that was looked at counts no more

    def halt(self, event_ns: int, instrument: str, reason: str) -> Control:
        """Stop, and the record that says so: the executor's instrument alone is halted."""
        self.watch["halted"].setdefault(instrument, reason)
        return Control(event_ns, instrument, "halt", "limits", reason)

    def _worth(self) -> float:
        """The equity at the newest mid."""
        watch = self.watch
        return watch["equity"] + watch["held"] * (watch["mid"] - watch["equity_mid"])

    def _lost(self, event_ns: int) -> str:
        watch, now, day = self.watch, self._worth(), event_ns // DAY
        if day > watch["day"]:
            watch["day"], watch["day_equity"] = day, now
        lost = watch["day_equity"] - now
        if lost > self.options.loss_per_day:
            return f"loss: {lost} since the day began, more than {self.options.loss_per_day}"
        return ""
