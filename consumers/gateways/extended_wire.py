"""Extended's answers and account messages as words that every venue has.

Wire format: the vendor's API documentation, private REST and the account stream v1, and its SDK's models. Rules:

- ``externalId`` is our id of an order. A trade may name the venue's id alone.
- Times are ms; a few examples of the documentation have seconds.
- A position is LONG or SHORT with a size of at least 0; one that is CLOSED has none.
- An order's ``statusReason`` says why it was rejected or cancelled.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

from consumers.gateways.extended_orders import MILLISECOND, Rules
from consumers.gateways.extended_signing import Assets
from consumers.gateways.venue import Funds, Held, Paid, Refused, Told, Traded
from consumers.steps import Steps
from producers.wire import UNREADABLE, Milliseconds, decoder
from schemas import Rejected

Number = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,30}(\.[0-9]{1,30})?$")]
FIRST_MS = 10**11  # a smaller time is one in seconds
STATUSES = {
    "NEW": "open",
    "TRIGGERED": "open",
    "UNTRIGGERED": "accepted",
    "PARTIALLY_FILLED": "partly_filled",
    "FILLED": "filled",
    "CANCELLED": "cancelled",
    "REJECTED": "rejected",
    "EXPIRED": "expired",
    "UNKNOWN": "unknown",
}


class Order(msgspec.Struct, rename="camel"):
    """An order."""

    id: int
    market: str
    side: Literal["BUY", "SELL"]
    status: str
    qty: Number
    updated_time: Milliseconds
    external_id: str = ""
    status_reason: str | None = ""
    price: Number | None = None
    filled_qty: Number | None = None
    reduce_only: bool = False
    post_only: bool = False
    expire_time: Milliseconds = 0
    expiry_time: Milliseconds | None = 0

    def told(self) -> Told:
        """The venue's word on it."""
        return Told(
            instrument(self.market), self.external_id or f"venue-{self.id}", str(self.id),
            STATUSES.get(self.status, "unknown"), self.side.lower(), Decimal(self.price or 0), Decimal(self.qty),
            Decimal(self.filled_qty or 0), self.post_only, self.reduce_only,
            nanoseconds(self.expire_time or self.expiry_time or 0), nanoseconds(self.updated_time),
            "" if self.status_reason in (None, "NONE") else str(self.status_reason),
        )  # fmt: skip


class Trade(msgspec.Struct, rename="camel"):
    """A trade of ours."""

    id: int
    market: str
    order_id: int
    side: Literal["BUY", "SELL"]
    price: Number
    qty: Number
    fee: Number
    is_taker: bool
    created_time: Milliseconds
    external_id: str | None = ""

    def traded(self) -> Traded:
        """The trade."""
        return Traded(
            instrument(self.market), str(self.id), self.external_id or "", str(self.order_id), self.side.lower(),
            Decimal(self.price), Decimal(self.qty), Decimal(self.fee), not self.is_taker,
            nanoseconds(self.created_time),
        )  # fmt: skip


class Position(msgspec.Struct, rename="camel"):
    """What is held of a market."""

    market: str
    side: Literal["LONG", "SHORT"]
    size: Number
    open_price: Number
    mark_price: Number = "0"
    status: str = "OPENED"
    updated_at: Milliseconds = 0
    updated_time: Milliseconds = 0

    def held(self) -> Held:
        """What is held."""
        size = Decimal(0 if self.status == "CLOSED" else self.size) * (1 if self.side == "LONG" else -1)
        entry = Decimal(self.open_price) if size else Decimal(0)
        event_ns = nanoseconds(self.updated_at or self.updated_time)
        return Held(instrument(self.market), size, entry, Decimal(self.mark_price), event_ns)


class Balance(msgspec.Struct, rename="camel"):
    """The account's funds."""

    equity: Number
    updated_time: Milliseconds

    def funds(self) -> Funds:
        """The account's equity."""
        return Funds(Decimal(self.equity), nanoseconds(self.updated_time))


class Payment(msgspec.Struct, rename="camel"):
    """A funding payment."""

    id: int
    market: str
    funding_fee: Number
    paid_time: Milliseconds

    def paid(self) -> Paid:
        """The payment; the venue's sign is taken for that of what the account received."""
        return Paid(instrument(self.market), str(self.id), Decimal(self.funding_fee), nanoseconds(self.paid_time))


class Fees(msgspec.Struct, rename="camel"):
    """What trading a market costs the account, as rates."""

    market: str
    maker_fee_rate: Number
    taker_fee_rate: Number


class Placed(msgspec.Struct, rename="camel"):
    """An order that was accepted."""

    id: int
    external_id: str


class AccountInfo(msgspec.Struct, rename="camel"):
    """Whose account an API key opens."""

    status: str
    l2_key: str
    l2_vault: int | str


class Trading(msgspec.Struct, rename="camel"):
    """The rules of a market."""

    min_order_size: Number
    min_order_size_change: Number
    min_price_change: Number
    max_limit_order_value: Number = "0"


class Chain(msgspec.Struct, rename="camel"):
    """A market's assets on the chain."""

    collateral_id: str
    collateral_resolution: int
    synthetic_id: str
    synthetic_resolution: int


class Market(msgspec.Struct, rename="camel"):
    """A market."""

    name: str
    trading_config: Trading
    l2_config: Chain
    status: str = "ACTIVE"

    def rules(self, fees: Fees) -> Rules:
        """How it trades.

        Raises:
            Refused: nothing new can be opened in it.

        """
        if self.status != "ACTIVE":
            raise Refused(f"market {self.name} is {self.status}")
        config, chain = self.trading_config, self.l2_config
        assets = Assets(
            int(chain.synthetic_id, 16), chain.synthetic_resolution, int(chain.collateral_id, 16),
            chain.collateral_resolution,
        )  # fmt: skip
        return Rules(
            instrument(self.name), self.name, Steps.of(config.min_price_change), Steps.of(config.min_order_size_change),
            Decimal(config.min_order_size), Decimal(config.max_limit_order_value), assets, fees.maker_fee_rate,
            fees.taker_fee_rate,
        )  # fmt: skip


class News(msgspec.Struct, rename="camel"):
    """What has changed in the account."""

    orders: list[Order] | None = None
    trades: list[Trade] | None = None
    positions: list[Position] | None = None
    balance: Balance | None = None


class Message(msgspec.Struct):
    """A message of the account stream."""

    ts: Milliseconds
    seq: int
    type: str = ""
    data: News | None = None


class Heard(NamedTuple):
    """A message read: its number, and what it tells."""

    sequence: int
    updates: list[Told | Traded | Held | Funds]


MESSAGE = decoder(Message)


def message(frame: str | bytes) -> Heard:
    """A frame of the account stream.

    Raises:
        Rejected: it cannot be read.

    """
    try:
        read = MESSAGE.decode(frame)
    except UNREADABLE as error:
        raise Rejected(f"unreadable: {error}") from error
    return Heard(read.seq, list(_updates(read.data or News())))


def _updates(news: News) -> Iterator[Told | Traded | Held | Funds]:
    yield from (order.told() for order in news.orders or [])
    yield from (trade.traded() for trade in news.trades or [])
    yield from (position.held() for position in news.positions or [])
    if news.balance is not None:
        yield news.balance.funds()


def convert(data: Any, kind: Any) -> Any:
    """An answer's data as a type.

    Raises:
        Rejected: it is none.

    """
    try:
        return msgspec.convert(data, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Rejected(f"an answer that is none: {error}") from error


def instrument(market: str) -> str:
    """Our name of a market."""
    return f"extended:{market}"


def nanoseconds(stamp: int) -> int:
    """A time of the venue's in ns."""
    return stamp * MILLISECOND * (1 if stamp >= FIRST_MS or stamp == 0 else 1_000)
