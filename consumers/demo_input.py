"""What the demo runs on: a recording, else the live venue for a minute, else the simulator.

``DEMO_DATA`` names a recording of Coinbase frames; unset, it is looked for in ../shared/data beside the repository, of
which the demo takes 109 minutes with outages in them.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from infra.errors import UserError
from producers import frames, simulator
from producers.clock import Clocks
from producers.coinbase import Coinbase
from producers.feed import Feed
from producers.playback import Entry
from producers.session import Session
from producers.transport import Transport
from schemas import Clock, DeadLetter, Record

ROOT = Path(__file__).parent.parent
DATA_VARIABLE = "DEMO_DATA"
RECORDING = ROOT.parent / "shared" / "data" / "coinbase" / "eth_usd_ticker_2025-11-25.jsonl.zst"
BEGIN_NS = int(datetime(2025, 11, 25, 17, 0, tzinfo=UTC).timestamp()) * 1_000_000_000
END_NS = int(datetime(2025, 11, 25, 18, 49, tzinfo=UTC).timestamp()) * 1_000_000_000
CLOCK_NS = 100_000_000
LIVE_S = 60.0
REACH_S = 4.0
SIMULATED_NS = 900_000_000_000
SIMULATED_FROM_NS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
SEED = 7


@dataclass(slots=True)
class Input:
    """A stream of records, each with the number of the frame that it was read from; 0 for a clock."""

    title: str
    unit: str  # what a frame's number counts
    instrument: str
    records: Iterator[tuple[int, Record]]
    frames: dict[int, str] = field(default_factory=dict)  # the newest frames by number

    def keep(self, number: int, frame: str | bytes) -> None:
        """Remember a frame; only the newest 10,000 stay."""
        self.frames[number] = frame if isinstance(frame, str) else frame.decode(errors="backslashreplace")
        self.frames.pop(number - 10_000, None)


def choose(path: str | None = None) -> Input:
    """The best input there is.

    Raises:
        UserError: the recording asked for does not exist.

    """
    asked = path if path is not None else os.environ.get(DATA_VARIABLE)
    if asked:
        if not Path(asked).is_file():
            option = DATA_VARIABLE if path is None else "--data"
            raise UserError(f"{option}: {asked} is no file of recorded frames")
        return _recording(Path(asked), 0, 1 << 62, "")
    if RECORDING.is_file():
        return _recording(RECORDING, BEGIN_NS, END_NS, ", 2025-11-25 17:00–18:49 UTC")
    return _live() if _reachable(Coinbase.url) else _simulated()


def _recording(path: Path, begin_ns: int, end_ns: int, stretch: str) -> Input:
    shown = os.path.relpath(path)
    given = Input(f"recording {shown}{stretch}: Coinbase ETH-USD ticks as they came", "line", "", iter(()))
    given.records = _clocked(_read(given, path, begin_ns, end_ns))
    return given


def _read(given: Input, path: Path, begin_ns: int, end_ns: int) -> Iterator[tuple[int, Record]]:
    session = Session(Coinbase)
    session.open()
    for number, (frame, received_ns) in enumerate(frames.read(path, session.feed), 1):
        if received_ns < begin_ns or received_ns >= end_ns:
            continue
        if isinstance(frame, frames.Connected):
            session.close(frame.cause)
            session.open()
        elif isinstance(frame, str | bytes):
            yield from _parsed(given, session, number, frame, received_ns)


def _parsed(
    given: Input, session: Session, number: int, frame: str | bytes, received_ns: int
) -> Iterator[tuple[int, Record]]:
    given.keep(number, frame)
    for record in session.receive(frame, received_ns):
        yield number, record
    if session.ended:
        session.close(session.ended)
        session.open()


def _clocked(records: Iterator[tuple[int, Record]]) -> Iterator[tuple[int, Record]]:
    """Clocks by event time between the records, as a live feed writes them."""
    clocks = Clocks(CLOCK_NS)
    for number, record in records:
        if not isinstance(record, DeadLetter):
            for clock in clocks.until(record.event_ns):
                yield 0, clock
        yield number, record


def _simulated() -> Input:
    given = Input(
        f"simulator, seed {SEED}: 15 minutes of a made-up ETH-USD (no recording, no network)", "frame", "", iter(())
    )

    def read() -> Iterator[tuple[int, Record]]:
        session = Session(simulator.Simulator)
        session.open()
        for number, (frame, received_ns) in enumerate(simulator.frames(["ETH-USD"], SIMULATED_FROM_NS, SEED), 1):
            if received_ns > SIMULATED_FROM_NS + SIMULATED_NS:
                return
            yield from _parsed(given, session, number, frame, received_ns)

    given.records = _clocked(read())
    return given


def _live() -> Input:
    given = Input(f"live: {Coinbase.url}, ETH-USD, for {LIVE_S:.0f} s", "frame", "", iter(()))
    given.records = _received(given, Coinbase)
    return given


class _Frames:
    """Keeps frames as the transport receives them."""

    def __init__(self, given: Input) -> None:
        self.given, self.number = given, 0

    def keep(self, entry: Entry) -> None:
        if isinstance(entry.frame, str | bytes):
            self.number += 1
            self.given.keep(self.number, entry.frame)


def _received(given: Input, make: type[Feed]) -> Iterator[tuple[int, Record]]:
    received: list[tuple[int, Record]] = []
    kept = _Frames(given)

    def emit(record: Record) -> None:
        received.append((0 if isinstance(record, Clock) else kept.number, record))

    transport = Transport(make, ["ETH-USD"], emit, clock_interval_ns=CLOCK_NS, recorder=kept)

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(transport.run(), LIVE_S)

    asyncio.run(run())
    yield from received


def _reachable(url: str) -> bool:
    began = time.monotonic()
    try:
        socket.create_connection((urlsplit(url).hostname or "", urlsplit(url).port or 443), REACH_S).close()
    except OSError:
        return False
    return time.monotonic() - began < REACH_S
