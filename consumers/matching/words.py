"""What has happened at the paper venue, as the records that say so."""

from consumers.matching.exchange import Exchange, Executed, Told
from consumers.matching.resting import Resting
from schemas import Equity, Fill, NetPosition, OrderRequest, OrderState

VENUE = "paper"


def told(exchange: Exchange, instrument: str, told: Told, at_ns: int) -> OrderState:
    """What has become of an order."""
    order = told.order
    return OrderState(
        instrument, at_ns, order.strategy, VENUE, order.client_id, order.venue_id, told.status, _side(order),
        order.price, order.size, told.filled, exchange.price_decimals, exchange.size_decimals, order.post_only,
        order.reduce_only, order.expires_ns, told.reason,
    )  # fmt: skip


def refused(request: OrderRequest, reason: str, at_ns: int) -> OrderState:
    """An order that never was."""
    return OrderState(
        request.instrument, at_ns, request.strategy, VENUE, request.client_id, "", "rejected", request.side,
        request.price, request.size, 0, request.price_decimals, request.size_decimals, request.post_only,
        request.reduce_only, request.expires_ns, reason,
    )  # fmt: skip


def filled(exchange: Exchange, instrument: str, trade: Executed, number: int, at_ns: int) -> Fill:
    """A trade of an order, the venue's ``number``-th."""
    order = trade.order
    return Fill(
        instrument, at_ns, order.strategy, VENUE, order.client_id, order.venue_id, f"{VENUE}-{number}", _side(order),
        trade.price, trade.size, exchange.price_decimals, exchange.size_decimals, trade.fee,
        "maker" if trade.maker else "taker", trade.mid,
    )  # fmt: skip


def held(exchange: Exchange, instrument: str, mark: float, cause: str, at_ns: int) -> NetPosition:
    """The position, valued at a price; 0 for none."""
    position = exchange.account.position
    return NetPosition(instrument, at_ns, VENUE, position, exchange.size_decimals, exchange.entry(), mark, cause)


def worth(exchange: Exchange, instrument: str, mark: float, at_ns: int) -> Equity:
    """What trading has brought, what is held at a price."""
    account = exchange.account
    price_unit, unit = 10**exchange.price_decimals, 10 ** (exchange.price_decimals + exchange.size_decimals)
    realised = (account.cash + account.cost) / unit
    unrealised = (account.position * mark * price_unit - account.cost) / unit if account.position else 0.0
    total = realised + unrealised - account.fees + account.funding
    return Equity(instrument, at_ns, VENUE, realised, unrealised, account.fees, account.funding, total, 0.0)


def _side(order: Resting) -> str:
    return "buy" if order.buy else "sell"
