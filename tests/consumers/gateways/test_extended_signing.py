"""Extended's amounts, hashes and signatures: equal to every vector of the vendor's and to those made with its SDK."""

import dataclasses
import datetime
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any

import fast_stark_crypto
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.gateways.extended_orders import MILLISECOND, Rules, Signer
from consumers.gateways.extended_signing import (
    Account,
    Amounts,
    Assets,
    amounts,
    order_hash,
    public_key,
    settlement_expiry_s,
    sign,
)
from consumers.gateways.venue import Refused, Told
from consumers.steps import Steps
from schemas import OrderRequest
from tests.data import reference

MARKET = "extended/x10_sdk_fixtures.json"
SECOND = 1_000_000_000


def rules(row: dict[str, Any], fee: str) -> Rules:
    """A market of the vendor's fixtures."""
    config, chain = row["tradingConfig"], row["l2Config"]
    assets = Assets(
        int(chain["syntheticId"], 16),
        int(chain["syntheticResolution"]),
        int(chain["collateralId"], 16),
        int(chain["collateralResolution"]),
    )
    steps = Steps.of(config["minPriceChange"]), Steps.of(config["minOrderSizeChange"])
    return Rules("extended:BTC-USD", "BTC-USD", *steps, Decimal("0.0001"), Decimal(0), assets, fee, fee)


def fixture_market() -> dict[str, Any]:
    found: dict[str, Any] = reference(MARKET)["market_reply"]["data"][0]
    return found


def asked(vector: dict[str, Any]) -> tuple[Signer, Told, int]:
    """What a vector of the SDK has signed."""
    given_ = vector["input"]
    private_key = int(given_["private_key"], 16)
    account = Account(given_["vault"], public_key(private_key), given_["chain_id"])
    expires = datetime.datetime.fromisoformat(given_["expire_time"])
    expires_ns = round(expires.timestamp() * 1_000) * MILLISECOND
    order = vector["order"]
    told = Told(
        "extended:BTC-USD", "", "", "accepted", given_["side"].lower(), Decimal(given_["price"]),
        Decimal(given_["qty"]), Decimal(), order["postOnly"], order["reduceOnly"], expires_ns, 0,
    )  # fmt: skip
    return Signer(account, private_key), told, given_["nonce"]


def same(body: dict[str, Any], order: dict[str, Any]) -> None:
    """Every field that we send is the SDK's, and what we leave out is null there."""
    assert {name: order[name] for name in body} == body
    assert {value for name, value in order.items() if name not in body} <= {None}


@pytest.mark.parametrize("number", range(25))
def test_a_whole_order_equals_the_sdks(number: int) -> None:
    vector = reference("refs/extended_order_objects.json")["vectors"][number]
    signer, told, nonce = asked(vector)
    same(signer.body(rules(fixture_market(), vector["input"]["fee_rate"]), told, nonce), vector["order"])


def published(kind: str) -> Iterator[dict[str, Any]]:
    return (row for row in reference("refs/starknet_published_vectors.json") if row["kind"] == kind)


def numbers(given_: dict[str, Any]) -> dict[str, Any]:
    """A vector's inputs as the library takes them: ids and keys as whole numbers."""
    return {name: int(value, 16) if str(value).startswith("0x") else value for name, value in given_.items()}


def hashed(given_: dict[str, Any]) -> int:
    """A vector's hash by our function: its expiry is the settlement's, from which ours is told apart by 14 days."""
    known = numbers(given_)
    assert known["quote_asset_id"] == known["fee_asset_id"]
    account = Account(known["position_id"], known["user_public_key"], known["domain_chain_id"])
    assets = Assets(known["base_asset_id"], 1, known["quote_asset_id"], 1)
    given_amounts = Amounts(known["base_amount"], known["quote_amount"], known["fee_amount"])
    expires_ms = (known["expiration"] - 14 * 86_400) * 1_000
    return order_hash(account, assets, given_amounts, expires_ms, known["salt"])


def test_published_order_hashes() -> None:
    rows = list(published("order_msg_hash"))
    assert len(rows) == 3
    for row in rows:
        known = numbers(row["input"])
        assert fast_stark_crypto.get_order_msg_hash(**known) == int(row["expected"], 16)
        if known["quote_asset_id"] == known["fee_asset_id"]:
            assert hashed(row["input"]) == int(row["expected"], 16)


def withdrawal(recipient: int, **known: Any) -> int:
    return fast_stark_crypto.get_withdrawal_msg_hash(recipient_hex=hex(recipient), **known)


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("limit_order_msg_hash", fast_stark_crypto.get_limit_order_msg_hash),
        ("transfer_msg_hash", fast_stark_crypto.get_transfer_msg_hash),
        ("withdrawal_msg_hash", withdrawal),
    ],
)
def test_the_library_gives_the_other_published_hashes(kind: str, function: Any) -> None:
    rows = list(published(kind))
    assert rows
    for row in rows:
        assert function(**numbers(row["input"])) == int(row["expected"], 16)


def test_the_published_orders() -> None:
    rows = list(published("order_object"))
    assert len(rows) == 3
    for row in rows:
        check_published(row)


def check_published(row: dict[str, Any]) -> None:
    known, expected = row["input"], row["expected"]
    private_key = int(known["account"]["private_key"], 16)
    account = Account(known["account"]["vault"], public_key(private_key), known["domain"]["domain_chain_id"])
    config = {"tradingConfig": known["market"], "l2Config": known["market"]}
    told = Told(
        "extended:BTC-USD", "", "", "accepted", known["side"].lower(), Decimal(known["price"]), Decimal(known["qty"]),
        Decimal(), False, False, known["expiry_epoch_millis"] * MILLISECOND, 0,
    )  # fmt: skip
    body = Signer(account, private_key).body(rules(config, known["fee_rate"]), told, known["nonce"])
    assert body["id"] == expected["id_is_decimal_msg_hash"]
    assert body["settlement"] == {
        "signature": expected["signature"],
        "starkKey": expected["stark_key"],
        "collateralPosition": expected["collateral_position"],
    }
    assert body["debuggingAmounts"] == expected["debugging_amounts"]


def generated() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = reference("refs/starknet_generated_hash_and_signature.json")["vectors"]
    return rows


@pytest.mark.parametrize("number", range(75))
def test_generated_hashes_and_signatures(number: int) -> None:
    row = generated()[number]
    if row["kind"] == "pedersen":
        first, second = (int(value, 16) for value in row["input"])
        assert fast_stark_crypto.pedersen_hash(first, second) == int(row["expected"], 16)
        return
    key, message = int(row["private_key"], 16), hashed(row["input"])
    assert message == int(row["msg_hash"], 16)
    assert public_key(key) == int(row["input"]["user_public_key"], 16)
    assert [hex(number) for number in sign(key, message)] == [row["signature"]["r"], row["signature"]["s"]]


POSITIVE = st.decimals("0.00001", "100000", places=5)


@given(POSITIVE, POSITIVE, st.decimals("0", "0.01", places=5), st.sampled_from(["buy", "sell"]))
def test_amounts_are_rounded_for_the_venue_and_never_for_us(
    size: Decimal, price: Decimal, rate: Decimal, side: str
) -> None:
    units = 1_000_000
    given_ = amounts(side, size, price, rate, Assets(2, units, 1, units))
    base, quote = Fraction(size) * units, Fraction(size) * Fraction(price) * units
    if side == "buy":
        assert (given_.base, given_.quote) == (ceil(base), -ceil(quote))
    else:
        assert (given_.base, given_.quote) == (-(base // 1), quote // 1)
    assert given_.fee == ceil(quote * Fraction(rate))


def test_a_signature_outlives_its_order_by_fourteen_days_from_the_next_whole_second() -> None:
    assert settlement_expiry_s(10_000) == 10 + 14 * 86_400
    assert settlement_expiry_s(10_001) == 11 + 14 * 86_400


NOW = 1_700_000_000 * SECOND
REQUEST = OrderRequest(
    "extended:X-USD", NOW, "maker", 1, "c", "place", "id-1", "", "buy", "limit", "GTT", True, False, 10_074, 1_259, 2,
    3, NOW + 60 * SECOND, NOW + SECOND, "",
)  # fmt: skip
HALF = Rules(
    "extended:X-USD", "X-USD", Steps.of("0.5"), Steps.of("0.01"), Decimal("0.1"), Decimal(1_000),
    Assets(2, 1_000, 1, 1_000_000), "0.0002", "0.0005",
)  # fmt: skip
SIGNER = Signer(Account(7, public_key(12_345), "SN_MAIN"), 12_345)


@pytest.mark.parametrize(("side", "price"), [("buy", "100.5"), ("sell", "101.0")])
def test_prices_are_rounded_away_from_the_market_and_sizes_down(side: str, price: str) -> None:
    order = SIGNER.order(_with(side=side), HALF, 1, NOW)
    assert (order.body["price"], order.body["qty"]) == (price, "1.25")
    assert (order.told.price, order.told.size) == (Decimal(price), Decimal("1.25"))


def test_the_fee_is_the_makers_rate_for_post_only_orders_and_the_takers_for_others() -> None:
    rates = [SIGNER.order(_with(post_only=post_only), HALF, 1, NOW).body["fee"] for post_only in (True, False)]
    assert rates == ["0.0002", "0.0005"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"size": 99}, "size 0.099 is below"),
        ({"price": 49}, "price 0.49 rounds to nothing"),
        ({"size": 99_999_000}, "above the market's most"),
        ({"expires_ns": NOW}, "is past, or more than 90 days away"),
        ({"expires_ns": NOW + 91 * 86_400 * SECOND}, "more than 90 days"),
        ({"kind": "market"}, "IOC and never post-only"),
        ({"side": ""}, "neither buy nor sell"),
    ],
)
def test_what_breaks_a_rule_of_the_market_is_refused_before_it_is_signed(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(Refused, match=reason):
        SIGNER.order(_with(**change), HALF, 1, NOW)


def test_an_order_too_large_to_be_signed_is_refused() -> None:
    with pytest.raises(Refused, match="does not fit into 64 bits"):
        SIGNER.order(_with(size=10**15, size_decimals=0), dataclasses.replace(HALF, most_value=Decimal()), 1, NOW)


def test_a_replacement_names_the_order_it_takes_the_place_of() -> None:
    assert SIGNER.order(_with(action="replace", replaces="id-0"), HALF, 1, NOW).body["cancelId"] == "id-0"


def _with(**change: Any) -> OrderRequest:
    return msgspec.structs.replace(REQUEST, **change)
