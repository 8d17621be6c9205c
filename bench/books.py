"""Order books: ours beside those on PyPI, over recorded depth streams, every best level compared.

    python -m bench.books

An update is a message with all its levels, after which the best of each side is asked for. Counted is processor time,
with the inputs in each book's own types beforehand ("applied") and from the bytes of a record on ("from bytes"). Ours
is also run as the stage, which does more than any peer: it takes a Depth, proves the book and makes Tops and Books.
Where there are no recordings (tests/data.py) a seeded venue takes their place.
"""

import hashlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from bench.pipeline import install_peers
from bench.race import PEERS, ROOT
from processors.books import Books
from processors.online.levels import Levels
from processors.online.order_book import OrderBook
from schemas import Depth
from schemas.levels import unpacked
from tests.book_venue import Venue
from tests.data import folder
from tests.recorded_books import STREAMS, stream

LIMIT = 10_000
KERNEL, STAGE = "ours", "ours, as the stage"
UPDATES = 20_000  # of the seeded venue


def streams() -> Iterator[tuple[str, list[Depth]]]:
    """Name and messages of each stream, a snapshot first, all of a stream with the same decimals."""
    if folder().is_dir():
        for name in STREAMS:
            yield name, _levelled([event for event, _ in stream(name)])
        return
    venue = Venue("bench:SEEDED", random.Random(1), "ids")
    yield "seeded", _levelled([venue.snapshot(0), *(venue.delta(number) for number in range(1, UPDATES))])


def _levelled(events: list[Depth]) -> list[Depth]:
    """The messages with the decimals of the finest, so that peers need not bring them to it."""
    price_decimals = max(event.price_decimals for event in events)
    size_decimals = max(event.size_decimals for event in events)
    # A side of 1,000 levels counts as cut, and our book would say nothing beyond it: what peers say there is a guess.
    events[0] = msgspec.structs.replace(events[0], bids=events[0].bids[:-16], asks=events[0].asks[:-16])
    return [_refined(event, price_decimals, size_decimals) for event in events]


def _refined(event: Depth, price_decimals: int, size_decimals: int) -> Depth:
    units = np.array([10 ** (price_decimals - event.price_decimals), 10 ** (size_decimals - event.size_decimals)])
    changed = {side: (unpacked(getattr(event, side)) * units).tobytes() for side in ("bids", "asks")}
    return msgspec.structs.replace(event, price_decimals=price_decimals, size_decimals=size_decimals, **changed)


def read(event: Depth) -> Levels:
    """The levels of a record."""
    return Levels.read(event.price_decimals, event.size_decimals, event.bids, event.asks, b"", b"")


def ours(events: list[Depth]) -> dict[str, tuple[float, float]]:
    """Seconds of our book and of our stage, applied and from bytes."""
    levels = [read(event) for event in events]
    book = OrderBook(LIMIT, levels[0])
    began = time.process_time()
    for each in levels[1:]:
        book.apply(each)
    applied = time.process_time() - began
    book = OrderBook(LIMIT, levels[0])
    began = time.process_time()
    for event in events[1:]:
        book.apply(read(event))
    whole = time.process_time() - began
    stage = Books(events[0].instrument)
    began = time.process_time()
    for event in events:
        for _ in stage.on_event(event):
            pass
    return {KERNEL: (applied, whole), STAGE: (0.0, time.process_time() - began)}


def bests(events: list[Depth]) -> list[tuple[int, int, int, int]]:
    """Our best levels after every message."""
    book = OrderBook(LIMIT, read(events[0]))
    return [tuple(book.best()), *(tuple(book.apply(read(event))[1]) for event in events[1:])]  # type: ignore[list-item]


def peers(path: Path) -> dict[str, tuple[float, float, str]]:
    """Seconds and digest of each peer over the stream in a file."""
    command = [str(PEERS), "-m", "bench.contestants.order_books", str(path)]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
    )
    found: dict[str, tuple[float, float, str]] = json.loads(ran.stdout)
    return found


def main(runs: int = 3) -> bool:
    """Print updates per second, medians of some runs; whether every best level is the same and ours is the fastest."""
    install_peers()
    Books.warm()
    reached = True
    for name, events in streams():
        print(f"\nbooks, {name}: {len(events):,} updates of {_levels(events) / len(events):.1f} levels", flush=True)
        reached &= race(events, runs)
    return reached


def race(events: list[Depth], runs: int) -> bool:
    """Everyone over one stream, in turns."""
    applied: dict[str, list[float]] = {}
    whole: dict[str, list[float]] = {}
    digests: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tidemill-books-") as place:
        path = Path(place, "stream")
        path.write_bytes(msgspec.msgpack.encode(_packed(events)))
        for _ in range(runs):
            found = ours(events)
            for name, (prepared, all_of_it, digest) in peers(path).items():
                found[name], digests[name] = (prepared, all_of_it), digest
            for name, seconds in found.items():
                applied.setdefault(name, []).append(seconds[0])
                whole.setdefault(name, []).append(seconds[1])
    same = _verdict(events, digests)
    rates = {name: [_rate(events, applied[name]), _rate(events, whole[name])] for name in applied}
    print(f"{'updates/s':24}{'applied':>12}{'from bytes':>12}")
    for name, rate in rates.items():
        print(f"{name:24}" + "".join(f"{f'{each:,.0f}' if each else '-':>12}" for each in rate))
    best = [max(rates[name][column] for name in digests) for column in (0, 1)]
    ratios = [rates[KERNEL][column] / best[column] for column in (0, 1)]
    print(
        f"ours / best peer: applied {ratios[0]:.2f}, from bytes {ratios[1]:.2f}; stage {rates[STAGE][1] / best[1]:.2f}"
    )
    return same and min(ratios) >= 1.0


def _rate(events: list[Depth], seconds: list[float]) -> float:
    """Updates per second in the median; 0 where nothing was measured."""
    typical = statistics.median(seconds)
    return len(events) / typical if typical else 0.0


def _verdict(events: list[Depth], digests: dict[str, str]) -> bool:
    """Whether every peer had our best levels after every update."""
    wanted = hashlib.sha256(repr(bests(events)).encode()).hexdigest()
    wrong = [name for name, digest in digests.items() if digest != wanted]
    print(f"best levels differ from ours: {', '.join(wrong)}" if wrong else "best levels the same after every update")
    return not wrong


def _packed(events: list[Depth]) -> dict[str, object]:
    first = events[0]
    return {
        "price_decimals": first.price_decimals,
        "size_decimals": first.size_decimals,
        "messages": [(event.bids, event.asks) for event in events],
    }


def _levels(events: list[Depth]) -> int:
    return sum(len(event.bids) + len(event.asks) for event in events) // 16


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
