"""A gateway from its start to its end: what it begins with, the threads around it, and how it goes."""

import asyncio
import contextlib
import dataclasses
import signal
import time
from collections.abc import Sequence

from consumers.gateways.gateway import Gateway, Options
from consumers.gateways.intake import Intake
from consumers.gateways.ledger import Ledger
from consumers.gateways.memory import ORDERS_NS, halts_in_force, restored
from consumers.gateways.venue import Venue
from infra import logs
from infra.publisher import Publisher, PublishError
from infra.settings import Settings
from schemas.codec import Codec

POLL_S = 0.25
FLUSH_S = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)
log = logs.logger(__name__)


async def trade(
    venue: Venue,
    instruments: Sequence[str],
    settings: Settings,
    codec: Codec,
    options: Options,
    executors: Sequence[str],
) -> None:
    """Trade until SIGINT or SIGTERM, then cancel every order.

    ``executors`` are the stages whose silence withdraws the orders.

    Raises:
        UserError: the account, a market or the broker is not as it must be.
        PublishError: what was told has not reached the broker.

    """
    began_ns = time.time_ns()
    ledger, halts = Ledger(venue), halts_in_force(settings, codec)
    restored(settings, codec, ledger, venue.name, instruments)
    for scope, reason in halts.reasons().items():
        log.warning("halted: nothing is placed before a reset", scope=scope, reason=reason)
    publisher = Publisher(settings, codec)
    watched = dataclasses.replace(options, watched=("data", "broker", *executors))
    gateway = Gateway(venue, instruments, publisher.publish, ledger, halts, watched)
    intake = Intake(settings, codec)
    running = [asyncio.create_task(work) for work in (gateway.run(), _keep_delivering(publisher))]
    parts: list[asyncio.Future[None]] = [*running, intake.failed]
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, running[0].cancel)
    intake.requests(f"{settings.group}-gateway-{venue.name}", began_ns - ORDERS_NS, gateway.request)
    intake.controls(gateway.control)
    intake.pulse(executors, gateway.watch.saw)
    try:
        await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for part in parts:
            part.cancel()
        ends = await asyncio.gather(*parts, return_exceptions=True)
        for number in SIGNALS:
            loop.remove_signal_handler(number)
        await asyncio.to_thread(intake.stop)
        with contextlib.suppress(PublishError):
            await asyncio.to_thread(publisher.flush, FLUSH_S)
    for end in ends:
        if isinstance(end, Exception):
            raise end


async def _keep_delivering(publisher: Publisher) -> None:
    while True:
        await asyncio.sleep(POLL_S)
        publisher.poll()
