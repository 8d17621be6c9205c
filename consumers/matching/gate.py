"""What a venue refuses, whatever the book is: requests that break the market's rules or make no sense."""

from dataclasses import dataclass

import msgspec

from consumers.steps import Steps, decimal
from schemas import Control, Market, OrderRequest, Rejected

PLACING = frozenset({"place", "replace"})
CANCELLING = frozenset({"cancel", "cancel_all"})


class Fees(msgspec.Struct):
    """Fee rates in a Market's details."""

    maker: float | None = msgspec.field(default=None, name="makerFeeRate")
    taker: float | None = msgspec.field(default=None, name="takerFeeRate")


@dataclass(slots=True)
class Rules:
    """How an instrument trades; empty or 0 where that is unknown."""

    status: str = ""
    price_step: float = 0.0
    size_step: float = 0.0
    size_least: float = 0.0
    maker_fee: float | None = None  # rates
    taker_fee: float | None = None

    @classmethod
    def of(cls, market: Market) -> "Rules":
        """What a venue says.

        Raises:
            Rejected: the details are no JSON object, or a fee rate in them is no number.

        """
        try:
            fees = msgspec.json.decode(market.details or "{}", type=Fees)
        except msgspec.MsgspecError as error:
            raise Rejected(f"details of {market.instrument}: {error}") from error
        return cls(market.status, market.price_step, market.size_step, market.size_least, fees.maker, fees.taker)

    def refusal(self, request: OrderRequest, now_ns: int) -> str:
        """Why a request to place or replace is refused at a time; empty if it is not.

        >>> request = OrderRequest("x:A", 1, "s", 1, "c", "place", "id", "", "buy", "limit", "GTT", True, False, 1003,
        ...                        5, 1, 1, 99, 9, "")
        >>> Rules("open", 0.5, 0.1, 0.5).refusal(request, 1)
        'price_step: 100.3 is no multiple of 0.5'

        """
        price, size = request.price, request.size
        if self.status not in ("", "open"):
            return f"market: {self.status}"
        if request.side not in ("buy", "sell"):
            return f"side: {request.side!r} is not buy or sell"
        if request.kind not in ("limit", "market") or (request.kind == "limit") != (price > 0):
            return f"kind: {request.kind!r} at the price {price}"
        if request.time_in_force not in ("GTT", "IOC"):
            return f"time_in_force: {request.time_in_force!r} is not GTT or IOC"
        if request.post_only and not rests(request):
            return "post_only: of an order that does not rest"
        if rests(request) and request.expires_ns <= now_ns:
            return f"expires_ns: {request.expires_ns} is past"
        if size <= 0:
            return f"size: {size}"
        if self.price_step and not Steps.of(self.price_step).holds(price, request.price_decimals):
            return f"price_step: {price / 10**request.price_decimals} is no multiple of {self.price_step}"
        if self.size_step and not Steps.of(self.size_step).holds(size, request.size_decimals):
            return f"size_step: {size / 10**request.size_decimals} is no multiple of {self.size_step}"
        if decimal(self.size_least).scaleb(request.size_decimals) > size:
            return f"size_least: {size / 10**request.size_decimals} is less than {self.size_least}"
        return ""


def check(event: OrderRequest | Control | Market) -> None:
    """See that the venue can make sense of what it is told.

    Raises:
        Rejected: it cannot.

    """
    if isinstance(event, Market):
        Rules.of(event)
    elif isinstance(event, Control):
        if event.action == "reset" and not event.reason.strip():
            raise Rejected("a reset without a reason")
    elif event.action not in PLACING | CANCELLING:
        raise Rejected(f"action {event.action!r} is none of {', '.join(sorted(PLACING | CANCELLING))}")


def rests(request: OrderRequest) -> bool:
    """Whether what does not trade at once stays."""
    return request.kind == "limit" and request.time_in_force == "GTT"
