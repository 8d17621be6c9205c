"""What comes between: a halt while an order is in doubt, a venue that does not cancel, requests before all is ready."""

import asyncio
import dataclasses
import json
import time

import pytest

from schemas import Control, OrderState
from tests.consumers.gateways.running import INSTRUMENT, QUICK, SECOND, ask, cancel, trading, until
from tests.extended_venue.server import ExtendedVenue, Fault

SLOW = dataclasses.replace(QUICK, resolve_s=5.0)


def arrive_late(venue: ExtendedVenue) -> None:
    """Have the first order, to which the venue had failed to answer, reach it after all."""
    venue.exchange.place(json.loads(venue.asked("POST", "/user/order")[0].body))


@pytest.mark.parametrize("word", ["cancel", "cancel_all", "maker", INSTRUMENT, "*"])
def test_an_order_that_is_to_go_while_nobody_knows_of_it_goes_when_it_comes(word: str) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue, SLOW) as (gateway, written):
            venue.faults.append(Fault("/user/order", 500, method="POST"))
            gateway.request(ask("id-1"))
            await until(lambda: written.states("id-1") == ["unknown"])
            if word.startswith("cancel"):
                gateway.request(cancel("id-1") if word == "cancel" else ask("", action="cancel_all"))
                path = "/user/order" if word == "cancel" else "/user/order/massCancel"
                await until(lambda: venue.asked("DELETE" if word == "cancel" else "POST", path) != [])
            else:
                gateway.control(Control(1, word, "halt", "me", "enough"))
            await asyncio.sleep(0.1)
            arrive_late(venue)
            await until(lambda: written.states("id-1")[-1:] == ["cancelled"])
            assert venue.exchange.open() == []

    asyncio.run(run())


@pytest.mark.parametrize("scope", ["maker", INSTRUMENT, "*"])
def test_orders_of_a_halt_are_cancelled_again_until_they_are_gone(scope: str) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            for name in ("id-1", "id-2"):
                gateway.request(ask(name))
            await until(lambda: "open" in written.states("id-1") and "open" in written.states("id-2"))
            venue.faults.append(Fault("/user/order", 503, times=12))  # for longer than a request is tried
            gateway.control(Control(1, scope, "halt", "me", "enough"))
            await until(lambda: venue.exchange.open() == [], seconds=60.0)

    asyncio.run(run())


def test_orders_are_cancelled_again_while_data_are_away() -> None:
    async def run() -> None:
        options = dataclasses.replace(QUICK, away_s=0.5, watched=("data",))
        async with ExtendedVenue() as venue, trading(venue, options) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            venue.faults.append(Fault("/user/order", 503, times=12))
            await until(lambda: venue.exchange.open() == [], seconds=60.0)

    asyncio.run(run())


def test_requests_and_halts_that_come_before_all_is_ready_are_not_lost() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            venue.faults += [
                Fault("/user/account/info", "stalled", seconds=0.5),
                Fault("/user/order/massCancel", "stalled", seconds=0.5),
            ]
            halts = [Control(1, "nobody", "halt", "me", "first")]
            async with trading(venue, recalled=halts, ready=False) as (gateway, written):
                await asyncio.sleep(0)
                gateway.request(ask("id-1"))
                gateway.control(Control(2, INSTRUMENT, "halt", "me", "second"))
                await until(lambda: venue.asked("POST", "/user/order/massCancel") != [])
                gateway.control(Control(3, "other", "halt", "me", "third"))
                await until(lambda: written.states("id-1") == ["rejected"])
                assert written.of(OrderState)[0].reason == "halted by me: second"
                await until(gateway.ready.is_set)

    asyncio.run(run())


def test_a_cancel_waits_for_no_other_order() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            for name in ("id-1", "id-2"):
                gateway.request(ask(name))
            await until(lambda: "open" in written.states("id-1") and "open" in written.states("id-2"))
            venue.faults.append(Fault("/user/order", "stalled", method="POST"))
            gateway.request(ask("slow"))
            await until(lambda: len(venue.asked("POST", "/user/order")) == 3)
            gateway.request(cancel("id-1"))
            await until(lambda: "cancelled" in written.states("id-1"))
            gateway.request(ask("", action="cancel_all"))
            await until(lambda: "cancelled" in written.states("id-2"))

    asyncio.run(run())


def test_a_request_that_the_gateway_before_had_sent_is_waited_for() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue) as (gateway, before):
                venue.faults.append(Fault("/user/order", 500, method="POST"))
                request = ask("id-1", event_ns=time.time_ns() - 10 * SECOND, valid_until_ns=time.time_ns() + SECOND)
                gateway.request(request)
                await until(lambda: before.states("id-1") == ["unknown"])
            async with trading(venue, SLOW, recalled=[request]) as (gateway, written):
                await asyncio.sleep(0.5)
                arrive_late(venue)
                await until(lambda: written.states("id-1") == ["open"], seconds=60.0)

    asyncio.run(run())


def test_the_switch_stays_armed_where_an_order_of_the_gateway_before_may_still_come() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue, SLOW, recalled=[ask("id-1")]):
                pass
            assert venue.exchange.fires_at < float("inf")

    asyncio.run(run())


def test_a_cancel_that_the_gateway_before_did_not_carry_out_is() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            async with trading(venue) as (gateway, before):
                gateway.request(ask("id-1"))
                await until(lambda: "open" in before.states("id-1"))
                remembered = [*before.records, cancel("id-1")]
            venue.exchange.orders.clear()  # as if it had never been cancelled
            venue.exchange._nonces.clear()
            venue.exchange.place(json.loads(venue.asked("POST", "/user/order")[0].body))
            async with trading(venue, recalled=remembered):
                await until(lambda: venue.exchange.open() == [])

    asyncio.run(run())


def test_the_switch_counts_from_when_it_is_asked_for() -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue:
            venue.faults.append(Fault("/user/deadmanswitch", "stalled", seconds=1.0))
            began_s = time.monotonic()
            async with trading(venue, ready=False) as (gateway, _):
                await until(lambda: "switch" in gateway.watch.seen_s)
                assert gateway.watch.seen_s["switch"] < began_s + 1.0

    asyncio.run(run())


def test_a_switch_that_was_not_armed_is_armed_again_at_once() -> None:
    async def run() -> None:
        options = dataclasses.replace(QUICK, countdown_s=9)
        async with ExtendedVenue() as venue, trading(venue, options) as (gateway, _):
            first_s = gateway.watch.seen_s["switch"]
            venue.faults.append(Fault("/user/deadmanswitch", 400))
            await until(lambda: gateway.watch.seen_s["switch"] > first_s)
            assert gateway.watch.seen_s["switch"] < first_s + 6.0  # the next but one of the regular ones

    asyncio.run(run())


def test_strangers_are_told_of_once() -> None:
    async def run() -> None:
        options = dataclasses.replace(QUICK, reconcile_s=0.1)
        async with ExtendedVenue() as venue, trading(venue, options) as (gateway, written):
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            venue.exchange.orders[7] = dict(venue.exchange.by_external("id-1") or {}, id=7, externalId="by-hand")
            await until(lambda: "by-hand" in written.notes())
            asked = len(venue.asked("GET", "/user/orders"))
            await until(lambda: len(venue.asked("GET", "/user/orders")) > asked + 3)
            assert written.notes().count("by-hand") == 1

    asyncio.run(run())


@pytest.mark.parametrize("told_first", [True, False])
def test_an_order_that_is_found_after_a_doubt_is_told_as_open(told_first: bool) -> None:
    async def run() -> None:
        async with ExtendedVenue() as venue, trading(venue) as (gateway, written):
            venue.silent = not told_first
            venue.faults.append(Fault("/user/order", "dropped", method="POST"))
            gateway.request(ask("id-1"))
            await until(lambda: "open" in written.states("id-1"))
            gateway.request(ask("id-2"))
            await until(lambda: "accepted" in written.states("id-2"))
            assert written.states("id-1")[-1] == "open"

    asyncio.run(run())
