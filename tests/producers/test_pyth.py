"""What the Pyth feed makes of real answers of Hermes, and promises beyond single frames."""

import json
from typing import Any

import pytest

from producers.feed import Shard
from producers.pyth import IDS, Pyth, identified
from schemas import Heartbeat, IndexValue, Record, Rejected
from tests.data import recording, reference

SECOND_NS = 1_000_000_000
NOW_S = 1_714_746_102
BTC = IDS["Crypto.BTC/USD"]
OWN = "a" * 64


def update(price: str = "6140993501000", at_s: int = NOW_S, feed_id: str = BTC) -> str:
    fields = {"price": price, "conf": "3287868567", "expo": -8, "publish_time": at_s}
    return json.dumps({"parsed": [{"id": feed_id, "price": fields, "ema_price": fields}]})


def subscribed(*symbols: str, channels: tuple[str, ...] = ()) -> Pyth:
    feed = Pyth(channels=channels)
    feed.subscribe(symbols or ("Crypto.BTC/USD",))
    return feed


def parse(feed: Pyth, text: str, at_s: float = NOW_S) -> list[Record]:
    return list(feed.parse(text, int(at_s * SECOND_NS)))


def test_real_answers_give_the_prices_that_their_figures_stand_for() -> None:
    found = 0
    for reply in reference("pyth/hermes_messages.json.gz").values():
        if not (isinstance(reply, dict) and reply.get("parsed")):
            continue
        for each in reply["parsed"]:
            at_s = each["price"]["publish_time"]
            records = parse(Pyth(), json.dumps(reply | {"parsed": [each]}), at_s + 1)
            (value,) = [record for record in records if isinstance(record, IndexValue)]
            assert value.event_ns == at_s * SECOND_NS
            assert value.value == decimal(each["price"])
            assert value.confidence == decimal(each["price"] | {"price": each["price"]["conf"]})
            assert value.average == decimal(each["ema_price"])
            found += 1
    assert found >= 2


def decimal(fields: dict[str, Any]) -> float:
    """A price by moving its point, which is how it is written on paper."""
    digits = fields["price"].rjust(1 - fields["expo"], "0")
    return float(f"{digits[: fields['expo']]}.{digits[fields['expo'] :]}")


def test_real_prices_of_a_second_come_out_whatever_their_digits_and_repeats_once() -> None:
    feed = subscribed()
    given, found = set(), 0
    for line in recording("pyth/pyth_btc_usd_1s.csv").read_text().splitlines()[1:]:
        at_s, _, price, _ = line.split(",")
        records = parse(feed, update(str(round(float(price) * 1e8)), int(at_s)), int(at_s) + 0.5)
        given.add((at_s, price))
        for record in records:
            if isinstance(record, IndexValue):
                assert record.value == round(float(price), 8)  # the file's are products of floats
                found += 1
    assert (len(given), found) == (82, 82)


def test_the_stream_is_addressed_by_the_ids_of_its_symbols() -> None:
    (shard,) = Pyth.shards(["Crypto.BTC/USD", f"Crypto.PEPE/USD={OWN}"], ("stream",))
    assert Pyth.address(shard) == (
        f"https://hermes.pyth.network/v2/updates/price/stream?ids[]={BTC}&ids[]={OWN}&parsed=true"
    )
    assert Pyth.address(Shard(("Crypto.BTC/USD",), ("latest",))) == ""
    assert [len(shard.symbols) for shard in Pyth.shards(["Crypto.BTC/USD"] * 120, ())] == [50, 50, 20]


def test_an_id_of_ones_own_has_the_name_given_with_it() -> None:
    feed = subscribed(f"Crypto.PEPE/USD={OWN}")
    assert {record.key for record in parse(feed, update(feed_id=OWN))} == {"pyth:Crypto.PEPE/USD"}
    with pytest.raises(Rejected, match="unknown price feed"):
        parse(feed, update())


@pytest.mark.parametrize("symbol", ["BTC/USD", "Crypto.PEPE/USD=abc", f"Crypto.PEPE USD={OWN}", ""])
def test_a_symbol_without_an_id_is_refused(symbol: str) -> None:
    with pytest.raises(Rejected, match="pyth knows no"):
        identified(symbol)


def test_ids_are_64_hexadecimal_digits_and_no_two_alike() -> None:
    assert all(len(feed_id) == 64 and int(feed_id, 16) for feed_id in IDS.values())
    assert len(set(IDS.values())) == len(IDS)


def test_prices_are_fetched_at_the_start_and_while_the_stream_is_silent() -> None:
    feed = subscribed()
    assert [fetch.tag for fetch in feed.fetches(NOW_S * SECOND_NS)] == ["latest"]
    parse(feed, update(), NOW_S)
    assert all(not feed.fetches((NOW_S + second) * SECOND_NS) for second in range(5))
    times = [second for second in range(5, 31) if feed.fetches((NOW_S + second) * SECOND_NS)]
    assert len(times) in (5, 6)  # every five seconds: ten requests a minute of the 180 that are allowed
    parse(feed, update(at_s=NOW_S + 30), NOW_S + 30)
    assert feed.fetches((NOW_S + 31) * SECOND_NS) == ()


def test_prices_are_fetched_every_second_where_that_is_what_was_chosen() -> None:
    feed = subscribed(channels=("latest",))
    assert sum(len(feed.fetches((NOW_S + second) * SECOND_NS)) for second in range(10)) == 10
    (fetch,) = feed.fetches((NOW_S + 10) * SECOND_NS)
    assert fetch.url.endswith(f"/latest?ids[]={BTC}&parsed=true")
    found = list(feed.answer(fetch.tag, update().encode(), NOW_S * SECOND_NS))
    assert [type(record).__name__ for record in found] == ["Connect", "Heartbeat", "IndexValue"]


def test_a_price_that_stands_still_is_given_once_and_seen_every_second() -> None:
    feed = subscribed()
    found = [record for step in range(40) for record in parse(feed, update(), NOW_S + step / 4)]
    assert sum(isinstance(record, IndexValue) for record in found) == 1
    assert sum(isinstance(record, Heartbeat) for record in found) == 10


def test_a_refused_message_changes_nothing() -> None:
    feed = subscribed()
    broken = json.loads(update())
    broken["parsed"].append(broken["parsed"][0] | {"id": "ab"})
    with pytest.raises(Rejected, match="unknown price feed 'ab'"):
        parse(feed, json.dumps(broken))
    assert [type(record).__name__ for record in parse(feed, update())] == ["Connect", "Heartbeat", "IndexValue"]
