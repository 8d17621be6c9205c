"""An order as Extended wants it signed: whole amounts, their Poseidon hash, and the signature over it.

Source: the vendor's SDK (x10-python-trading-starknet 2.6.0), whose results tests hold these functions to. Rules:

- Amounts are whole numbers: human amount × resolution of the asset. A BUY rounds base and quote up, a SELL both down;
  the fee, quote × rate, is rounded up.
- What is given is negative: a BUY gives quote, a SELL gives base.
- The signed expiry is the order's, up to whole seconds, and 14 days: time for the chain to settle what has traded.
- The nonce is the salt of the hash, so no two orders may share one.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, NamedTuple

from infra.errors import UserError

try:
    import fast_stark_crypto
except ModuleNotFoundError as missing:
    raise UserError("trading at Extended needs the extra: pip install 'tidemill[extended]'") from missing

SETTLEMENT_S = 14 * 86_400
SECOND_MS = 1_000
DOMAIN = {"domain_name": "Perpetuals", "domain_version": "v0", "domain_revision": "1"}
CHAINS = {"mainnet": "SN_MAIN", "testnet": "SN_SEPOLIA"}


@dataclass(frozen=True, slots=True)
class Assets:
    """What a market's base and quote are on the chain, from its ``l2Config``: ids, and units in one whole asset."""

    base_id: int
    base_resolution: int
    quote_id: int
    quote_resolution: int


@dataclass(frozen=True, slots=True)
class Account:
    """Whose position an order changes; ``private_key`` is never shown."""

    vault: int
    public_key: int
    chain: str

    def settlement(self, signature: tuple[int, int]) -> dict[str, Any]:
        """The account's word under an order."""
        return {
            "signature": {"r": hex(signature[0]), "s": hex(signature[1])},
            "starkKey": hex(self.public_key),
            "collateralPosition": str(self.vault),
        }


class Amounts(NamedTuple):
    """What an order gives and takes, in the chain's units; what is given is negative."""

    base: int
    quote: int
    fee: int


def amounts(side: str, size: Decimal, price: Decimal, fee_rate: Decimal, assets: Assets) -> Amounts:
    """The amounts of an order; ``side`` is buy or sell.

    >>> assets = Assets(0, 1_000_000, 1, 1_000_000)
    >>> amounts("sell", Decimal("0.001"), Decimal("43445.1168"), Decimal("0.0005"), assets)
    Amounts(base=-1000, quote=43445116, fee=21723)
    """
    rounding = ROUND_CEILING if side == "buy" else ROUND_FLOOR
    cost = size * price
    base = _whole(size * assets.base_resolution, rounding)
    quote = _whole(cost * assets.quote_resolution, rounding)
    fee = _whole(cost * fee_rate * assets.quote_resolution, ROUND_CEILING)
    return Amounts(base, -quote, fee) if side == "buy" else Amounts(-base, quote, fee)


def settlement_expiry_s(expires_ms: int) -> int:
    """When the signature ends: seconds since the epoch.

    >>> settlement_expiry_s(1_000_001) - 14 * 86_400
    1001
    """
    return -(-expires_ms // SECOND_MS) + SETTLEMENT_S


def order_hash(account: Account, assets: Assets, given: Amounts, expires_ms: int, nonce: int) -> int:
    """The hash that is signed, as SNIP-12 defines it over the order, the account's key and the domain."""
    return fast_stark_crypto.get_order_msg_hash(
        position_id=account.vault,
        base_asset_id=assets.base_id,
        base_amount=given.base,
        quote_asset_id=assets.quote_id,
        quote_amount=given.quote,
        fee_asset_id=assets.quote_id,
        fee_amount=given.fee,
        expiration=settlement_expiry_s(expires_ms),
        salt=nonce,
        user_public_key=account.public_key,
        domain_chain_id=account.chain,
        **DOMAIN,
    )


def sign(private_key: int, message: int) -> tuple[int, int]:
    """The signature r, s of a hash: the same each time."""
    return fast_stark_crypto.sign(private_key, message)


def public_key(private_key: int) -> int:
    """The key that others know an account by."""
    return fast_stark_crypto.get_public_key(private_key)


def _whole(amount: Decimal, rounding: str) -> int:
    return int(amount.to_integral_value(rounding))
