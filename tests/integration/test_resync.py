"""A book that was found wrong is asked for anew: through the broker to feed and venue, and back into the log."""

import asyncio
import contextlib

from infra import registry
from infra.publisher import Publisher
from infra.settings import Settings
from producers import resync
from producers.publishing import Outlet
from producers.transport import Transport
from schemas import Depth, Record, Resync
from schemas.codec import Codec
from tests.integration.test_feed import logged
from tests.producers.streamed import INSTRUMENT, Broadcast, Numbers
from tests.waiting import until_true


def test_a_resync_in_the_log_brings_one_new_snapshot_into_it(live: Settings) -> None:
    asked: list[tuple[str, int]] = []
    kept: list[Record] = []

    def snapshots() -> list[Depth]:
        return [record for record in kept if isinstance(record, Depth) and record.kind == "snapshot"]

    async def run(publisher: Publisher) -> None:
        outlet = Outlet(publisher, "numbers")

        def emit(record: Record) -> None:
            kept.append(record)
            outlet(record)

        async with Broadcast() as venue:
            transport = Transport(Numbers, ["S"], emit, url=venue.url, fetch_url=venue.fetch_url, clock_interval_ns=0)
            loop = asyncio.get_running_loop()

            def ask(instrument: str, event_ns: int) -> None:
                asked.append((instrument, event_ns))
                loop.call_soon_threadsafe(transport.resync, instrument, event_ns)

            publisher.publish(Resync(INSTRUMENT, 2**62, "sequence", 1))  # of a time before this feed
            publisher.flush()
            with resync.listening(live, Codec(), "numbers", ask):
                running = asyncio.create_task(transport.run())
                await until_true(lambda: bool(snapshots()), running)
                taken_ns = snapshots()[0].event_ns
                publisher.publish_raw("resyncs", b"junk", INSTRUMENT.encode())
                publisher.publish(Resync("others:S", taken_ns + 1, "sequence", 1))
                publisher.publish(Resync(INSTRUMENT, taken_ns - 1, "sequence", 1))
                publisher.publish(Resync(INSTRUMENT, taken_ns + 1, "crossed", 2))
                publisher.publish(Resync(INSTRUMENT, taken_ns + 2, "sequence", 3))
                publisher.flush()
                await until_true(lambda: len(asked) == 3 and len(snapshots()) == 2, running)
                await asyncio.sleep(0.3)
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
        assert [event_ns - taken_ns for _, event_ns in asked] == [-1, 1, 2]

    with Publisher(live, registry.codec(live)) as publisher:
        asyncio.run(run(publisher))
    assert {instrument for instrument, _ in asked} == {INSTRUMENT}
    log = [record for log in logged(live, "depths") for record in log if isinstance(record, Depth)]
    assert [record.kind for record in log if record.kind != "delta"] == ["connect", "snapshot", "snapshot", "connect"]
    assert log == [record for record in kept if isinstance(record, Depth)]
