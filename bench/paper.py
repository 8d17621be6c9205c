"""The paper venue beside hftbacktest and NautilusTrader: a market maker over one recorded market, events per second.

    python -m bench.paper

Everyone gets the same depth messages and trades, in its own types beforehand, keeps the book, and runs the same quoter:
every 100 ms of market time one least lot a side at the best price, post-only, moved when that moves, less than ten lots
held, 10 ms each way. An event is a message: a depth update with all its levels, or a trade. Counted is processor time.
Ours is run from Depths (our books stage keeps the book, as live) and from recorded Books. Fills differ: each has its
own model of the queue.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec

from bench.pipeline import install_peers
from bench.race import PEERS, ROOT
from consumers.backtest.loop import steps
from consumers.paper import Paper, PaperOptions
from processors.books import Books
from schemas import Book, Depth, Fill, OrderRequest, Record, Trade
from tests.consumers.backtest.quoter import Quoter
from tests.data import folder
from tests.recorded_market import binance

NAME = "usdm_ethusdt"
OPTIONS = {"paper": PaperOptions(latency_in_ms=10.0, latency_out_ms=10.0)}
INSTRUMENT = "binance:TEST"


def with_books(events: list[Record]) -> list[Record]:
    """The same market as recorded books and trades."""
    stage = Books(INSTRUMENT)
    made: list[Record] = []
    for event in events:
        if isinstance(event, Depth):
            made += [record for record in stage.on_event(event) if isinstance(record, Book)]
        else:
            made.append(event)
    return made


def ours(events: list[Record], stages: list[Any]) -> tuple[float, Counter[str]]:
    """Seconds of our loop, and what came of it."""
    counts: Counter[str] = Counter()
    began = time.process_time()
    for step in steps(events, stages, OPTIONS):
        for record in step.derived:
            if isinstance(record, OrderRequest | Fill):
                counts[type(record).__name__] += 1
    return time.process_time() - began, counts


def plain(events: list[Record]) -> list[Any]:
    """The market as plain values: depths with their levels, trades with the taker's side."""
    return [
        [event.event_ns, event.kind, event.price_decimals, event.size_decimals, event.bids, event.asks]
        if isinstance(event, Depth)
        else [event.event_ns, event.side, event.price, event.size]
        for event in events
        if isinstance(event, Depth | Trade)
    ]


def main(runs: int = 3) -> bool:
    """Print events per second, medians of some runs, and the ratios; always True where there is nothing to run."""
    if not folder().is_dir():
        print(f"\npaper: no recording of {NAME}; not run")
        return True
    install_peers()
    Books.warm()
    events = binance(NAME)
    books = with_books(events)
    seconds: dict[str, list[float]] = {}
    notes: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tidemill-paper-") as place:
        path = Path(place, "market")
        path.write_bytes(msgspec.msgpack.encode(plain(events)))
        for _ in range(runs):
            for name, given, stages in (
                ("ours", events, [Books, Paper, Quoter]),
                ("ours, from books", books, [Paper, Quoter]),
            ):
                spent, counts = ours(given, stages)
                seconds.setdefault(name, []).append(spent)
                notes[name] = f"{counts['OrderRequest']:,} requests, {counts['Fill']:,} fills"
            for name, (spent, note) in peers(path).items():
                seconds.setdefault(name, []).append(spent)
                notes[name] = note
    rates = {name: len(events) / statistics.median(each) for name, each in seconds.items()}
    print(f"\npaper, {NAME}: {len(events):,} depth messages and trades\n{'':24}{'events/s':>12}{'ours / it':>12}")
    for name, rate in rates.items():
        print(f"{name:24}{rate:>12,.0f}{rates['ours'] / rate:>12.2f}  {notes[name]}", flush=True)
    return True


def peers(path: Path) -> dict[str, tuple[float, str]]:
    """Seconds of each peer over the market in a file, and what came of it."""
    command = [str(PEERS), "-m", "bench.contestants.market_makers", str(path)]
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, check=True
    )
    found: dict[str, tuple[float, str]] = json.loads(ran.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
