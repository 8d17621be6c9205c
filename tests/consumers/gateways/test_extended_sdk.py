"""The vendor's SDK as an oracle: random orders of ours equal to those that it makes.

Skipped unless TIDEMILL_TEST_X10_PYTHON names the Python of an environment that has x10-python-trading-starknet.
"""

import json
import os
import random
import subprocess
from decimal import Decimal
from typing import Any

import pytest

from consumers.gateways.extended_orders import MILLISECOND, Rules, Signer
from consumers.gateways.extended_signing import Account, Assets, public_key
from consumers.gateways.venue import Told
from consumers.steps import Steps

ORDERS = 200
RESOLUTIONS = (1_000, 1_000_000, 10_000_000_000)
SDK = """
import json, sys
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from x10.config import MAINNET_CONFIG, TESTNET_CONFIG
from x10.core.amount import SettlementAsset
from x10.core.stark_account import StarkPerpetualAccount
from x10.models.order import OrderSide, TimeInForce
from x10.signing.order_object import create_order_object
for line in sys.stdin:
    asked = json.loads(line)
    config = {"SN_MAIN": MAINNET_CONFIG, "SN_SEPOLIA": TESTNET_CONFIG}[asked["chain"]]
    base = SettlementAsset(name="A", precision=5, is_collateral=False, starkex_id="0x4254432d3600000000000000000000",
                           starkex_resolution=asked["resolution"])
    quote = SettlementAsset(name="USD", precision=6, is_collateral=True, starkex_id="0x1", starkex_resolution=1000000)
    order = create_order_object(
        account=StarkPerpetualAccount(asked["vault"], asked["private"], asked["public"], "key"),
        market=SimpleNamespace(name="A-USD", synthetic_asset=base, collateral_asset=quote),
        amount_of_synthetic=Decimal(asked["size"]), price=Decimal(asked["price"]), side=OrderSide(asked["side"]),
        starknet_domain=config.signing.starknet_domain, post_only=asked["post_only"],
        previous_order_external_id=asked["replaces"], order_external_id=asked["id"],
        expire_time=datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=asked["expires_ms"]),
        time_in_force=TimeInForce(asked["time_in_force"]), nonce=asked["nonce"], taker_fee=Decimal(asked["fee"]),
        reduce_only=asked["reduce_only"],
    )
    print(json.dumps(order.to_api_request_json()))
"""


def asked(chance: random.Random) -> dict[str, Any]:
    """A random order."""
    private = chance.randrange(1, 2**250)
    return {
        "private": hex(private), "public": hex(public_key(private)), "vault": chance.randrange(1, 2**31),
        "chain": chance.choice(["SN_MAIN", "SN_SEPOLIA"]), "resolution": chance.choice(RESOLUTIONS),
        "size": str(Decimal(chance.randrange(1, 10**5)).scaleb(-chance.randrange(0, 6))),
        "price": str(Decimal(chance.randrange(1, 10**7)).scaleb(-chance.randrange(0, 6))),
        "side": chance.choice(["BUY", "SELL"]), "post_only": chance.random() < 0.5,
        "reduce_only": chance.random() < 0.5, "replaces": chance.choice([None, "before"]),
        "id": f"{chance.randrange(2**80):020x}", "expires_ms": chance.randrange(1_700_000_000_000, 1_900_000_000_000),
        "time_in_force": chance.choice(["GTT", "IOC"]), "nonce": chance.randrange(1, 2**31),
        "fee": chance.choice(["0", "0.0002", "0.00025", "0.0005"]),
    }  # fmt: skip


def ours(order: dict[str, Any]) -> dict[str, Any]:
    """The order as we make it."""
    private = int(order["private"], 16)
    assets = Assets(0x4254432D3600000000000000000000, order["resolution"], 1, 1_000_000)
    steps = Steps.of(1)
    rules = Rules("extended:A-USD", "A-USD", steps, steps, Decimal(), Decimal(), assets, order["fee"], order["fee"])
    told = Told(
        "extended:A-USD", order["id"], "", "accepted", order["side"].lower(), Decimal(order["price"]),
        Decimal(order["size"]), Decimal(), order["post_only"], order["reduce_only"],
        order["expires_ms"] * MILLISECOND, 0,
    )  # fmt: skip
    signer = Signer(Account(order["vault"], public_key(private), order["chain"]), private)
    return signer.body(
        rules, told, order["nonce"], time_in_force=order["time_in_force"], replaces=order["replaces"] or ""
    )


def test_random_orders_equal_the_sdks() -> None:
    python = os.environ.get("TIDEMILL_TEST_X10_PYTHON")
    if not python:
        pytest.skip("TIDEMILL_TEST_X10_PYTHON names no Python that has the vendor's SDK")
    chance = random.Random(7)
    orders = [asked(chance) for _ in range(ORDERS)]
    lines = "\n".join(json.dumps(order) for order in orders)
    done = subprocess.run([python, "-c", SDK], input=lines, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    theirs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(theirs) == ORDERS
    for order, expected in zip(orders, theirs, strict=True):
        body = ours(order)
        for number in ("qty", "price", "fee"):
            assert Decimal(body.pop(number)) == Decimal(expected[number])
        assert {name: expected.get(name) for name in body} == body
