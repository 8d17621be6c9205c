"""An order request as Extended takes it: rounded to the market's steps, checked against its rules, signed.

Prices are rounded away from the market, so that no order is more eager than what was asked for, and sizes down. Rules
of the venue's documentation ("Create or edit order"): the maker's fee rate for post-only orders, the taker's for all
others; a limit within 5 % (``limitPriceCap``, ``limitPriceFloor``) of the mark, which the venue checks; an expiry of at
most 90 days on the mainnet and 28 on the testnet; a market order is a limit that is IOC, and needs a price.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from consumers.gateways.extended_signing import Account, Assets, amounts, order_hash, sign
from consumers.gateways.venue import Prepared, Refused, Told
from consumers.steps import Steps, decimal
from schemas import OrderRequest
from schemas.levels import LARGEST

MILLISECOND = 1_000_000
DAY_MS = 86_400_000
LONGEST_MS = {"SN_MAIN": 90 * DAY_MS, "SN_SEPOLIA": 28 * DAY_MS}


@dataclass(frozen=True, slots=True)
class Rules:
    """How a market trades; ``least`` is the smallest order in base units, ``most_value`` the dearest in quote."""

    instrument: str
    name: str
    prices: Steps
    sizes: Steps
    least: Decimal
    most_value: Decimal
    assets: Assets
    maker_fee: str = "0"
    taker_fee: str = "0"


class Signer:
    """Turns requests into signed orders. Holds the private key, and shows it to nobody."""

    def __init__(self, account: Account, private_key: int) -> None:
        self.account = account
        self._private_key = private_key

    def order(self, request: OrderRequest, rules: Rules, nonce: int, now_ns: int) -> Prepared:
        """The order of a request.

        Raises:
            Refused: it breaks a rule of the market.

        """
        price, size = _rounded(request, rules)
        expires_ms = -(-request.expires_ns // MILLISECOND)
        longest_ms = LONGEST_MS[self.account.chain]
        if not 0 < expires_ms - now_ns // MILLISECOND <= longest_ms:
            raise Refused(f"expires_ns {request.expires_ns} is past, or more than {longest_ms // DAY_MS} days away")
        if request.kind == "market" and (request.post_only or request.time_in_force != "IOC"):
            raise Refused("a market order is IOC and never post-only")
        told = Told(
            request.instrument, request.client_id, "", "accepted", request.side, price, size, Decimal(),
            request.post_only, request.reduce_only, request.expires_ns, now_ns,
        )  # fmt: skip
        body = self.body(
            rules, told, nonce, kind=request.kind, time_in_force=request.time_in_force, replaces=request.replaces
        )
        return Prepared(told, body, rules.prices.decimals, rules.sizes.decimals)

    def body(
        self,
        rules: Rules,
        told: Told,
        nonce: int,
        *,
        kind: str = "limit",
        time_in_force: str = "GTT",
        replaces: str = "",
    ) -> dict[str, Any]:
        """The JSON of an order.

        Raises:
            Refused: it is too large to be signed.

        """
        fee = rules.maker_fee if told.post_only else rules.taker_fee
        expires_ms = -(-told.expires_ns // MILLISECOND)
        given = amounts(told.side, told.size, told.price, Decimal(fee), rules.assets)
        if max(map(abs, given)) > LARGEST:
            raise Refused(f"an order of {told.size} at {told.price} does not fit into 64 bits of the chain's units")
        message = order_hash(self.account, rules.assets, given, expires_ms, nonce)
        return {
            "id": told.client_id or str(message),
            "market": rules.name,
            "type": kind.upper(),
            "side": told.side.upper(),
            "qty": f"{told.size:f}",
            "price": f"{told.price:f}",
            "reduceOnly": told.reduce_only,
            "postOnly": told.post_only,
            "timeInForce": time_in_force,
            "expiryEpochMillis": expires_ms,
            "fee": fee,
            "nonce": str(nonce),
            "selfTradeProtectionLevel": "ACCOUNT",
            "cancelId": replaces or None,
            "settlement": self.account.settlement(sign(self._private_key, message)),
            "debuggingAmounts": {
                "collateralAmount": str(given.quote),
                "feeAmount": str(given.fee),
                "syntheticAmount": str(given.base),
            },
        }


def _rounded(request: OrderRequest, rules: Rules) -> tuple[Decimal, Decimal]:
    """Price and size on the market's steps."""
    asked_price = Decimal(request.price).scaleb(-request.price_decimals)
    asked_size = Decimal(request.size).scaleb(-request.size_decimals)
    if request.side not in ("buy", "sell"):
        raise Refused(f"side {request.side!r} is neither buy nor sell")
    steps = rules.prices
    whole = steps.down(asked_price) if request.side == "buy" else steps.up(asked_price)
    price = Decimal(whole).scaleb(-steps.decimals)
    size = Decimal(rules.sizes.down(asked_size)).scaleb(-rules.sizes.decimals)
    if price <= 0:
        raise Refused(f"price {asked_price} rounds to nothing in steps of {step(steps)}")
    if size < rules.least:
        raise Refused(f"size {asked_size} is below the market's least of {rules.least}")
    if rules.most_value and price * size > rules.most_value:
        raise Refused(f"an order of {price * size} is above the market's most of {rules.most_value}")
    return price, size


def step(steps: Steps) -> Decimal:
    """The step itself."""
    return decimal(steps.step).scaleb(-steps.decimals)
