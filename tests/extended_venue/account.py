"""The venue's side of an account: what each order is checked for, worked out apart from the code that is tested."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any

import fast_stark_crypto

DAY_MS = 86_400_000
MARKET: dict[str, Any] = {
    "name": "ETH-USD",
    "assetName": "ETH",
    "assetPrecision": 3,
    "collateralAssetName": "USD",
    "active": True,
    "status": "ACTIVE",
    "marketStats": {
        "bidPrice": "1999.5", "askPrice": "2000.5", "markPrice": "2000", "indexPrice": "2000", "fundingRate": "0.00001",
        "nextFundingRate": 1_800_000_000_000,
    },
    "tradingConfig": {
        "minOrderSize": "0.01", "minOrderSizeChange": "0.001", "minPriceChange": "0.5", "maxLimitOrderValue": "100000",
        "maxMarketOrderValue": "100000", "limitPriceCap": "0.05", "limitPriceFloor": "0.05", "maxNumOrders": "200",
    },
    "l2Config": {
        "type": "STARKX", "collateralId": "0x1", "collateralResolution": 1_000_000,
        "syntheticId": "0x4554482d3700000000000000000000", "syntheticResolution": 10_000_000,
    },
}  # fmt: skip


@dataclass(frozen=True)
class Keys:
    """Throw-away keys of an account."""

    api_key: str = "canary-api-key-5f1c"
    private_key: int = 0x7A7FF6FD3CAB02CCDCD4A572563F5976F8976899B03A39773795A3C486D4986
    vault: int = 10002
    chain: str = "SN_SEPOLIA"

    @property
    def public_key(self) -> int:
        return fast_stark_crypto.get_public_key(self.private_key)

    def environment(self) -> dict[str, str]:
        """As a user's environment holds them."""
        return {
            "API_KEY": self.api_key,
            "STARK_PUBLIC": hex(self.public_key),
            "STARK_PRIVATE": hex(self.private_key),
            "VAULT_NUMBER": str(self.vault),
            "EXTENDED_ENV": "testnet",
            "TRADING_ENABLED": "true",
            "TIDEMILL_TRADING_MODE": "live",
        }


class Wrong(Exception):
    """The venue's no, with its code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def check(body: dict[str, Any], market: dict[str, Any], keys: Keys, fees: tuple[str, str], now_ms: int) -> None:
    """Raise Wrong unless an order is as the venue wants it."""
    config = market["tradingConfig"]
    price, size = Fraction(body["price"]), Fraction(body["qty"])
    if body["side"] not in ("BUY", "SELL") or body["type"] not in ("LIMIT", "MARKET"):
        raise Wrong(1128, "Invalid side or type")
    if body["timeInForce"] not in ("GTT", "IOC") or body["selfTradeProtectionLevel"] != "ACCOUNT":
        raise Wrong(1129, "Invalid time in force or self trade protection")
    if price <= 0 or price % Fraction(config["minPriceChange"]):
        raise Wrong(1125, "Invalid price tick")
    if size % Fraction(config["minOrderSizeChange"]):
        raise Wrong(1121, "Invalid quantity step")
    if size < Fraction(config["minOrderSize"]):
        raise Wrong(1120, "Quantity below the minimum")
    if price * size > Fraction(config["maxLimitOrderValue"]):
        raise Wrong(1122, "Order value above the maximum")
    mark, cap = Fraction(market["marketStats"]["markPrice"]), Fraction(config["limitPriceCap"])
    if (price > mark * (1 + cap)) if body["side"] == "BUY" else (price < mark * (1 - cap)):
        raise Wrong(1141, "Price beyond the cap or the floor")
    if not now_ms < body["expiryEpochMillis"] <= now_ms + 90 * DAY_MS:
        raise Wrong(1127, "Invalid expiration")
    if Fraction(body["fee"]) < Fraction(fees[0] if body["postOnly"] else fees[1]):
        raise Wrong(1123, "Fee below the rate")
    _check_signature(body, market["l2Config"], keys, price, size)


def _check_signature(body: dict[str, Any], chain: dict[str, Any], keys: Keys, price: Fraction, size: Fraction) -> None:
    settlement = body["settlement"]
    if int(settlement["starkKey"], 16) != keys.public_key:
        raise Wrong(1100, "Invalid StarkEx public key")
    if int(settlement["collateralPosition"]) != keys.vault:
        raise Wrong(1102, "Invalid StarkEx vault")
    buys = body["side"] == "BUY"
    whole = ceil if buys else floor
    base = whole(size * int(chain["syntheticResolution"]))
    quote = whole(size * price * int(chain["collateralResolution"]))
    fee = ceil(size * price * Fraction(body["fee"]) * int(chain["collateralResolution"]))
    message = fast_stark_crypto.get_order_msg_hash(
        position_id=keys.vault,
        base_asset_id=int(chain["syntheticId"], 16),
        base_amount=base if buys else -base,
        quote_asset_id=int(chain["collateralId"], 16),
        quote_amount=-quote if buys else quote,
        fee_asset_id=int(chain["collateralId"], 16),
        fee_amount=fee,
        expiration=ceil(Fraction(body["expiryEpochMillis"], 1_000)) + 14 * 86_400,
        salt=int(body["nonce"]),
        user_public_key=keys.public_key,
        domain_name="Perpetuals",
        domain_version="v0",
        domain_chain_id=keys.chain,
        domain_revision="1",
    )
    signature = (int(settlement["signature"][part], 16) for part in "rs")
    if not fast_stark_crypto.verify(keys.public_key, message, *signature):
        raise Wrong(1101, "Invalid StarkEx signature")
