"""Extended's account messages: the vendor's own examples, and what cannot be read."""

import json
from decimal import Decimal
from typing import Any

import pytest

from consumers.gateways import extended_wire as wire
from consumers.gateways.venue import Funds, Held, Told, Traded
from schemas import Rejected
from tests.data import reference

ACCOUNT = "GET /stream.extended.exchange/v1/account"


def examples(endpoint: str) -> list[dict[str, Any]]:
    found = [
        row["example"] for row in reference("extended/extended_api_doc_examples.json") if row["endpoint"] == endpoint
    ]
    assert found
    return found


def test_the_vendors_account_messages() -> None:
    told, funds, held = (wire.message(json.dumps(sent)).updates[0] for sent in examples(ACCOUNT))
    assert isinstance(told, Told)
    assert (told.client_id, told.venue_id, told.status, told.side) == (
        "-1771812132822291885", "1791181340771614723", "open", "buy",
    )  # fmt: skip
    assert (told.price, told.size, told.filled) == (Decimal(12_400), Decimal(10), Decimal("3.513"))
    assert (told.event_ns, told.expires_ns) == (1_715_885_888_571_000_000,) * 2
    assert funds == Funds(Decimal(20), 1_699_976_104_901_000_000)
    assert isinstance(held, Held)
    assert (held.instrument, held.size, held.entry) == ("extended:BTC-USD", Decimal("-0.3"), Decimal(42_508))


def test_the_vendors_trade_names_the_venues_id_and_ours() -> None:
    (sent,) = (
        example["data"][0] for example in examples("GET /api/v1/user/trades?market={market}&type={type}&side={side}")
    )
    message = {"type": "TRADE", "ts": 1_701_563_440_000, "seq": 3, "data": {"trades": [sent]}}
    (traded,) = wire.message(json.dumps(message)).updates
    assert isinstance(traded, Traded)
    assert (traded.client_id, traded.venue_id) == ("ext-1", "9223372036854775808")
    assert (traded.price, traded.size, traded.maker) == (Decimal("58853.4"), Decimal("0.09"), False)
    del sent["externalId"]
    (unnamed,) = wire.message(json.dumps(message)).updates
    assert isinstance(unnamed, Traded)
    assert unnamed.client_id == ""


def test_the_vendors_positions_funding_and_fees() -> None:
    (answer,) = examples("GET /api/v1/user/positions?market={market}&side={side}")
    held = wire.convert(answer["data"], list[wire.Position])[0].held()
    assert (held.size, held.mark, held.event_ns) == (Decimal("0.1"), Decimal(40_000), 1_701_563_440 * 10**9)
    (answer,) = examples("GET /api/v1/user/funding/history?market={market}&side={side}&fromTime={fromTime}")
    assert wire.convert(answer["data"], list[wire.Payment])[0].paid().payment_id == "8341"
    (answer,) = examples("GET /api/v1/user/fees?market={market}")
    fees = wire.convert(answer["data"], list[wire.Fees])[0]
    (answer,) = (reference("extended/x10_sdk_fixtures.json")["market_reply"],)
    rules = wire.convert(answer["data"], list[wire.Market])[0].rules(fees)
    assert (rules.prices.step, rules.prices.decimals, rules.least) == (1, 1, Decimal("0.0001"))
    assert (rules.maker_fee, rules.taker_fee) == ("0.00000", "0.00025")


@pytest.mark.parametrize("status", sorted(wire.STATUSES))
def test_every_status_has_a_word(status: str) -> None:
    sent = examples(ACCOUNT)[0]
    sent["data"]["orders"][0]["status"] = status
    (told,) = wire.message(json.dumps(sent)).updates
    assert isinstance(told, Told)
    assert told.status == wire.STATUSES[status]


@pytest.mark.parametrize(
    "frame",
    ["", "{", "[]", '{"seq":1}', '{"ts":1,"seq":1,"data":{"orders":[{"id":1}]}}',
     '{"ts":1,"seq":1,"data":{"balance":{}}}',
     '{"ts":1,"seq":1,"data":{"balance":{"equity":"NaN","updatedTime":1}}}'],
)  # fmt: skip
def test_what_cannot_be_read_is_rejected(frame: str) -> None:
    with pytest.raises(Rejected, match="unreadable"):
        wire.message(frame)
