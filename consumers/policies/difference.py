"""What to ask for, so that the orders of one side become what is wanted there.

- Nothing wanted: every order of the side goes.
- One wanted and none there: it is placed.
- One wanted and one there: it stays while its price is near enough, its size neither beyond what the position leaves
  room for nor worn down, and its end far enough; else it is replaced. A market that cannot replace, or a position whose
  bound both orders together would break should the old one still trade, has it cancelled, and the new one placed when
  the venue has said that the old one is gone.
- Two there: the newest stays, as if it were the only one.
- An order that the venue has not answered for, or that is leaving, is not touched, and nothing is placed beside it.
- After a change the side rests for a while, unless an order must go.

So no side ever holds two orders of ours that could both trade beyond the bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.orders import Order, remaining
from consumers.policies.quoting import BASIS_POINT, Grid, Target
from consumers.steps import rounded_up, unscaled

MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When an order is worth changing."""

    ticks: int  # price steps by which it must be off
    bps: float  # or of its price, whichever is more
    every_ms: int  # between two changes of a side
    refill_share: float  # of the wanted size; with less left the order is renewed
    renew_ms: int  # before it ends by itself
    replace: bool  # the venue can replace


class Plan(NamedTuple):
    """What to ask for on one side."""

    cancel: tuple[str, ...] = ()  # client ids
    replace: tuple[str, Target] | None = None  # client id of the order that goes, and what comes
    place: Target | None = None

    def __bool__(self) -> bool:
        return bool(self.cancel or self.replace or self.place)


NOTHING = Plan()


def difference(
    target: Target | None,
    live: Sequence[Order],
    room: int,
    grid: Grid,
    thresholds: Thresholds,
    now_ns: int,
    changed_ns: int,
) -> Plan:
    """The plan for one side.

    ``live`` are its orders, oldest first; ``room`` is how much may be traded on it before the position's bound, scaled
    by the grid; ``changed_ns`` is when the side was last changed.
    """
    staying = [order for order in live if not order["leaving"]]
    if target is None:
        return Plan(_ids(staying))
    if not live:
        return Plan(place=target) if _rested(thresholds, now_ns, changed_ns) else NOTHING
    if len(staying) > 1:
        return Plan(_ids(staying[:-1]))
    if len(staying) < len(live) or staying[0]["status"] == "requested":
        return NOTHING
    order = staying[0]
    left = rounded_up(remaining(order), order["size_decimals"], grid.size.decimals)
    if left > room:
        return Plan(_ids(staying))
    if _stays(order, left, target, grid, thresholds, now_ns) or not _rested(thresholds, now_ns, changed_ns):
        return NOTHING
    if thresholds.replace and left + target.size <= room:
        return Plan(replace=(order["client_id"], target))
    return Plan(_ids(staying))


def _stays(order: Order, left: int, target: Target, grid: Grid, thresholds: Thresholds, now_ns: int) -> bool:
    price = unscaled(order["price"], order["price_decimals"])
    off = abs(price - grid.price.number(target.price))
    worth = max(thresholds.ticks * grid.price.number(grid.price.step), thresholds.bps * BASIS_POINT * price)
    near = not off or off < worth * (1.0 - 1e-9)  # a difference of floats may fall just short of whole steps
    full = left >= thresholds.refill_share * target.size
    lasting = not order["expires_ns"] or order["expires_ns"] - now_ns > thresholds.renew_ms * MILLISECOND
    return near and full and lasting


def _rested(thresholds: Thresholds, now_ns: int, changed_ns: int) -> bool:
    return not changed_ns or now_ns - changed_ns >= thresholds.every_ms * MILLISECOND


def _ids(orders: Sequence[Order]) -> tuple[str, ...]:
    return tuple(order["client_id"] for order in orders)
