"""The gateway on a loopback venue that checks what Extended checks: orders, doubts, reconciliations, protections."""

import asyncio
import dataclasses
import time
from decimal import Decimal

import pytest

from schemas import Control, Equity, Fill, NetPosition, OrderState
from tests.consumers.gateways.running import INSTRUMENT, QUICK, SECOND, ask, cancel, trading, until
from tests.extended_venue.server import ExtendedVenue, Fault


def test_an_order_lives_from_its_acceptance_to_its_fill_and_the_books_follow() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            venue.exchange.trade("ETH-USD", "SELL", "1990", "0.04")
            await until(lambda: len(written.of(Fill)) == 1)
            venue.exchange.quote("ETH-USD", "1985", "1986")
            await until(lambda: "filled" in written.states("id-1"))
            first, second = written.of(Fill)
            assert (first.client_id, first.strategy, first.side, first.liquidity) == ("id-1", "maker", "buy", "maker")
            assert [fill.size / 10**fill.size_decimals for fill in (first, second)] == [0.04, 0.06]
            assert first.price / 10**first.price_decimals == 1990.0
            assert sum(fill.fee for fill in (first, second)) == pytest.approx(0.1 * 1990 * 0.0002)
            await until(lambda: len(written.of(NetPosition)) == 3)  # the first as it began
            position = written.of(NetPosition)[-1]
            assert (position.size, position.size_decimals, position.cause) == (100, 3, "fill")
            assert position.entry_price == 1990.0
            assert written.states("id-1")[0] == "accepted"

    asyncio.run(run())


def test_a_repeated_request_is_one_order() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            request = ask("id-1")
            for _ in range(5):
                gateway.request(request)
            gateway.request(ask("id-2"))
            await until(lambda: "open" in written.states("id-2"))
            assert [order["externalId"] for order in venue.exchange.orders.values()] == ["id-1", "id-2"]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["dropped", "stalled"])
def test_an_order_whose_reply_is_lost_is_at_the_venue_once(kind: str) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            venue.silent = True  # or the stream would tell of it first
            venue.faults.append(Fault("/user/order", kind, method="POST"))  # type: ignore[arg-type]
            gateway.request(ask("id-1"))
            gateway.request(ask("id-1"))
            await until(lambda: written.states("id-1")[-1:] == ["open"])
            assert "unknown" in written.states("id-1")
            assert len(venue.asked("POST", "/user/order")) == 1
            assert len(venue.exchange.orders) == 1

    asyncio.run(run())


@pytest.mark.parametrize("kind", [500, 503, "lost"])
def test_an_order_that_never_arrived_is_told_as_rejected_and_not_sent_again(kind: int | str) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            venue.faults.append(Fault("/user/order", kind, method="POST"))  # type: ignore[arg-type]
            gateway.request(ask("id-1"))
            await until(lambda: written.states("id-1") == ["unknown", "rejected"])
            assert len(venue.asked("POST", "/user/order")) == 1
            assert len(venue.asked("GET", "/user/orders/external/id-1")) >= 2
            assert venue.exchange.orders == {}
            gateway.request(ask("id-2"))
            await until(lambda: "open" in written.states("id-2"))

    asyncio.run(run())


def test_an_order_is_refused_by_name_where_the_venue_is_busy() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            venue.faults.append(Fault("/user/order", 429, method="POST"))
            gateway.request(ask("id-1"))
            await until(lambda: written.states("id-1") == ["rejected"])
            assert "429" in written.of(OrderState)[-1].reason

    asyncio.run(run())


def test_a_stale_request_is_refused_and_told() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1", valid_until_ns=time.time_ns() - SECOND))
            await until(lambda: written.states("id-1") == ["rejected"])
            assert written.of(OrderState)[-1].reason.startswith("stale: ")
            assert venue.asked("POST", "/user/order") == []

    asyncio.run(run())


def test_what_the_venue_refuses_is_told_with_its_code() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1", price="1700.5", side="sell", post_only=False))
            await until(lambda: written.states("id-1") == ["rejected"])
            assert written.of(OrderState)[-1].reason == "1141 Price beyond the cap or the floor"
            gateway.request(ask("id-2", price="2001"))  # post-only, and it would trade
            await until(lambda: written.states("id-2")[-1:] == ["rejected"])
            assert written.of(OrderState)[-1].reason == "POST_ONLY_FAILED"

    asyncio.run(run())


def test_a_replacement_takes_the_orders_place_and_a_cancel_ends_it() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            gateway.request(ask("id-2", price="1991", action="replace", replaces="id-1"))
            await until(lambda: "cancelled" in written.states("id-1") and "open" in written.states("id-2"))
            gateway.request(cancel("id-2"))
            await until(lambda: "cancelled" in written.states("id-2"))
            gateway.request(cancel("id-2"))  # it has ended: nothing is asked of the venue
            await asyncio.sleep(0.1)
            assert len(venue.asked("DELETE", "/user/order")) == 1

    asyncio.run(run())


def test_a_cancel_is_tried_until_it_is_done() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            venue.faults += [
                Fault("/user/order", 503, method="DELETE"),
                Fault("/user/order", "dropped", method="DELETE"),
            ]
            gateway.request(cancel("id-1"))
            await until(lambda: "cancelled" in written.states("id-1"))

    asyncio.run(run())


def test_trades_during_an_outage_of_the_stream_are_found_and_nothing_is_placed_meanwhile() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            venue.refuses = True
            venue.disconnect()
            await until(lambda: not gateway.ready.is_set())
            venue.exchange.quote("ETH-USD", "1980", "1981")
            gateway.request(ask("id-2", price="1970"))
            await until(lambda: written.states("id-2") == ["rejected"])
            assert "not reconciled" in written.of(OrderState)[-1].reason
            venue.refuses = False
            await until(gateway.ready.is_set)
            assert [fill.client_id for fill in written.of(Fill)] == ["id-1"]
            assert written.of(NetPosition)[-1].size == 100
            assert written.states("id-1")[-1] == "filled"

    asyncio.run(run())


def test_orders_and_positions_that_are_not_ours_are_told() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            venue.exchange.sizes["ETH-USD"], venue.exchange.entries["ETH-USD"] = Decimal("-0.5"), Decimal(2_010)
            async with trading(venue) as (_, other):
                pass
            async with trading(venue, dataclasses.replace(QUICK, reconcile_s=0.2)) as (gateway, written):
                gateway.request(ask("id-1"))
                await until(lambda: "open" in written.states("id-1"))
                stranger = dict(venue.exchange.by_external("id-1") or {}, id=7, externalId="by-hand")
                venue.exchange.orders[7] = stranger
                await until(lambda: "open orders that we know nothing of: by-hand" in written.notes())
                assert "id-1" not in written.notes()
            position = other.of(NetPosition)[0]
            assert (position.size, position.cause, position.entry_price) == (-500, "reconciled", 2_010.0)

    asyncio.run(run())


def test_a_gateway_that_begins_again_knows_its_orders_and_takes_no_old_request() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue) as (gateway, before):
                request = ask("id-1")
                gateway.request(request)
                await until(lambda: "open" in before.states("id-1"))
                venue.exchange.trade("ETH-USD", "SELL", "1990", "0.04")
                await until(lambda: len(before.of(Fill)) == 1)
                gateway._leaving = ""
                lost = ask("id-2", event_ns=time.time_ns() - 10 * SECOND)
            remembered = [request, lost, *before.records]
            async with trading(venue, recalled=remembered) as (gateway, after):
                for old in (request, lost):
                    gateway.request(old)
                await until(lambda: after.states("id-2") == ["rejected"])
                assert len(venue.exchange.orders) == 1
                assert after.of(Fill) == []
                assert [(position.size, position.cause) for position in after.of(NetPosition)] == [(40, "reconciled")]
                assert after.of(Equity)[-1].fees == pytest.approx(0.04 * 1990 * 0.0002)

    asyncio.run(run())


def test_a_halt_cancels_and_forbids_until_a_reset_with_a_reason() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            gateway.control(Control(1, "*", "halt", "me", "enough"))
            await until(lambda: "cancelled" in written.states("id-1"))
            for number, (scope, reason) in enumerate([("*", ""), ("other", "other scope")]):
                gateway.control(Control(2, scope, "reset", "me", reason))
                gateway.request(ask(f"no-{number}"))
                await until(lambda name=f"no-{number}": written.states(name) == ["rejected"])  # type: ignore[misc]
            assert written.of(OrderState)[-1].reason == "halted by me: enough"
            gateway.control(Control(3, "*", "reset", "me", "looked into it"))
            gateway.request(ask("id-2"))
            await until(lambda: "open" in written.states("id-2"))

    asyncio.run(run())


@pytest.mark.parametrize("scope", ["maker", INSTRUMENT, "extended"])
def test_a_halt_of_one_scope_cancels_what_is_in_it(scope: str) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            gateway.control(Control(1, "somebody else", "halt", "me", "enough"))
            await asyncio.sleep(0.1)
            assert "cancelled" not in written.states("id-1")
            gateway.control(Control(1, scope, "halt", "me", "enough"))
            await until(lambda: "cancelled" in written.states("id-1"))

    asyncio.run(run())


def test_what_stays_away_too_long_withdraws_every_order_until_it_is_back() -> None:
    async def run() -> None:
        options = dataclasses.replace(QUICK, away_s=0.5, watched=("data",))
        async with ExtendedVenue() as venue, trading(venue, options) as (gateway, written):
            gateway.watch.saw("data", float("inf"))
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            gateway.watch.saw("data", time.monotonic())
            await until(lambda: "cancelled" in written.states("id-1"))
            assert "nothing is placed: no data for" in written.notes()
            gateway.request(ask("id-2"))
            await until(lambda: written.states("id-2") == ["rejected"])
            gateway.watch.saw("data", float("inf"))
            await until(lambda: "back again: data" in written.notes())
            gateway.request(ask("id-3"))
            await until(lambda: "open" in written.states("id-3"))

    asyncio.run(run())


def test_the_switch_is_armed_before_the_first_order_renewed_and_taken_back_at_the_end() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue, dataclasses.replace(QUICK, countdown_s=2)) as (gateway, written):
                gateway.request(ask("id-1"))
                await until(lambda: len(venue.asked("POST", "/user/deadmanswitch")) == 5)  # a third of it apart
                assert written.states("id-1")[-1] == "open"
                assert venue.exchange.fired == 0
            counts = [request.target.rpartition("=")[2] for request in venue.asked("POST", "/user/deadmanswitch")]
            assert (set(counts[:-1]), counts[-1]) == ({"2"}, "0")
            assert venue.exchange.open() == []
            first = venue.asked("POST", "/user/order")[0].at
            assert venue.asked("POST", "/user/deadmanswitch")[0].at < first

    asyncio.run(run())


def test_orders_that_the_switch_has_cancelled_are_known_to_be() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:  # noqa: SIM117
            async with trading(venue, dataclasses.replace(QUICK, countdown_s=1)) as (gateway, written):
                gateway.request(ask("id-1"))
                await until(lambda: "open" in written.states("id-1"))
                venue.faults.append(Fault("/user/deadmanswitch", 503, times=1_000))
                await until(lambda: "cancelled" in written.states("id-1"))
                await until(lambda: "no switch for" in written.notes())
                venue.faults.clear()
                await until(lambda: "back again: switch" in written.notes())
                gateway.request(ask("id-2"))
                await until(lambda: "open" in written.states("id-2"))

    asyncio.run(run())


def test_nothing_is_left_at_the_venue_however_often_it_fails_at_the_end() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue) as (gateway, written):
                gateway.request(ask("id-1"))
                gateway.request(ask("id-2", side="sell", price="2010"))
                await until(lambda: "open" in written.states("id-2"))
                venue.faults += [Fault("/user/order/massCancel", 500, times=2), Fault("/user/orders", "dropped")]
            assert venue.exchange.open() == []
            assert written.states("id-1")[-1] == written.states("id-2")[-1] == "cancelled"

    asyncio.run(run())


def test_funding_is_told_once() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue, dataclasses.replace(QUICK, reconcile_s=0.2)) as (_, written):
                venue.exchange.pay("ETH-USD", "-1.25")
                await until(lambda: any(record.cause == "funding" for record in written.of(NetPosition)))
                await asyncio.sleep(0.5)
            assert [record.cause for record in written.of(NetPosition)] == ["reconciled", "funding"]
            assert written.of(Equity)[-1].funding == -1.25

    asyncio.run(run())


def test_the_switch_stays_armed_where_an_order_may_still_come() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue) as (gateway, written):
                venue.faults.append(Fault("/user/order", "stalled", method="POST"))
                gateway.request(ask("id-1"))
                await until(lambda: len(venue.exchange.orders) == 1)
            assert venue.exchange.open() == []
            assert venue.exchange.fires_at < float("inf")
            assert written.states("id-1")[-1] == "cancelled"

    asyncio.run(run())


def test_no_more_orders_go_out_than_the_rate_allows_and_the_rest_grow_stale() -> None:
    async def run() -> None:
        options = dataclasses.replace(QUICK, orders_per_s=2.0)
        async with ExtendedVenue() as venue, trading(venue, options) as (gateway, written):
            for number in range(8):
                gateway.request(ask(f"id-{number}", valid_until_ns=time.time_ns() + SECOND))
            await until(lambda: all(written.states(f"id-{number}") for number in range(8)))
            orders = len(venue.exchange.orders)
            stale = [state for state in written.of(OrderState) if state.reason.startswith("stale")]
            assert 1 <= orders <= 4
            assert orders + len(stale) == 8

    asyncio.run(run())
