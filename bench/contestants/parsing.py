"""Our feeds and cryptofeed's handlers on the same frames in turns, in one process; prints ns a message and the ratio.

Time is the thread's own on the processor. A handler of theirs is awaited in a coroutine that is driven to its end, for
none of them waits for anything: what they would fetch is at hand. A pass is a new feed and a new handler over all
frames; the first of each symbol, which create what is kept by symbol and join its book, are taken unmeasured. Before
that both are held to give one result for each frame.
"""

import collections
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from cryptofeed.defines import CANDLES, L2_BOOK, TICKER, TRADES
from cryptofeed.exchanges import Binance as TheirBinance
from cryptofeed.exchanges import BinanceFutures as TheirFutures
from cryptofeed.symbols import Symbols

from producers.binance import Binance
from producers.binance_agg import BinanceAgg
from producers.binance_futures import BinanceFutures

Frames: TypeAlias = list[tuple[int, str]]
Parser: TypeAlias = Callable[[Frames], None]
TURN = 300
LEAD = 3  # frames of each symbol that are not measured
PASS = 6_000  # frames that a run measures, at least

THEIRS = {"binance": TheirBinance, "binance_futures": TheirFutures}
OURS = {"binance": (Binance, BinanceAgg), "binance_futures": (BinanceFutures,)}


class Replies:
    """In place of their HTTP connection: answers with the recorded snapshots."""

    def __init__(self, snapshots: dict[str, bytes]) -> None:
        self.snapshots = snapshots

    async def read(self, url: str, **_: Any) -> bytes:
        return self.snapshots[symbol_of(url)]


def symbol_of(url: str) -> str:
    """The symbol that a request is about."""
    return url.partition("symbol=")[2].partition("&")[0]


def theirs(venue: str, snapshots: dict[str, bytes], symbols: list[str], taken: list[Any] | None = None) -> Parser:
    """Their handler as a function; what it gives to its callback goes into ``taken``, or nowhere."""
    kind = THEIRS[venue]
    Symbols.set(kind.id, {symbol: symbol for symbol in symbols}, {"instrument_type": {}})

    async def drop(result: Any, _: float) -> None:
        pass

    async def keep(result: Any, _: float) -> None:
        taken.append(result)  # type: ignore[union-attr]

    channels = [TRADES, TICKER, L2_BOOK, CANDLES]
    callbacks = dict.fromkeys(channels, drop if taken is None else keep)
    handler = kind(symbols=symbols, channels=channels, callbacks=callbacks, candle_closed_only=False)
    handler.http_conn = Replies(snapshots)

    async def work(frames: Frames) -> None:
        handle = handler.message_handler
        for received_ns, text in frames:
            await handle(text, None, received_ns / 1e9)

    def parse(frames: Frames) -> None:
        try:
            work(frames).send(None)
        except StopIteration:
            return
        raise RuntimeError("a handler waited for something")

    return parse


def ours(venue: str, snapshots: dict[str, bytes], lead: Frames, taken: list[Any] | None = None) -> Parser:
    """Our feed as a function, which has taken its first frames and what it fetches at them."""
    channel = json.loads(lead[0][1])["stream"].partition("@")[2]
    feed = next(kind for kind in OURS[venue] if channel in kind.streams)(channels=[channel])
    for received_ns, text in lead:
        list(feed.parse(text, received_ns))
        for fetch in feed.fetches(received_ns):
            list(feed.answer(fetch.tag, snapshots[symbol_of(fetch.url)], received_ns))

    def parse(frames: Frames) -> None:
        given = feed.parse
        for received_ns, text in frames:
            for _ in given(text, received_ns):
                pass

    def keep(frames: Frames) -> None:
        for received_ns, text in frames:
            taken.extend(feed.parse(text, received_ns))  # type: ignore[union-attr]

    return parse if taken is None else keep


def measure(venue: str, snapshots: dict[str, bytes], frames: Frames, runs: int) -> tuple[float, float, float]:
    """What a message costs of theirs and ours in ns, and the ratio: medians of the runs."""
    symbols, lead, rest = split(frames)
    turns = [rest[at : at + TURN] for at in range(0, len(rest), TURN)]
    check(venue, snapshots, lead, rest, symbols)
    spent: list[list[float]] = [[], []]
    for _ in range(runs):
        run, measured = [0.0, 0.0], 0
        while measured < PASS:
            parsers = theirs(venue, snapshots, symbols), ours(venue, snapshots, lead)
            parsers[0](lead)
            for turn in turns:
                for side, parse in enumerate(parsers):
                    began = time.thread_time()
                    parse(turn)
                    run[side] += time.thread_time() - began
                measured += len(turn)
        for side in (0, 1):
            spent[side].append(run[side] / measured * 1e9)
    ratios = [their / our for their, our in zip(*spent, strict=True)]
    return statistics.median(spent[0]), statistics.median(spent[1]), statistics.median(ratios)


def split(frames: Frames) -> tuple[list[str], Frames, Frames]:
    """The symbols, their first frames, and the others."""
    seen: collections.Counter[str] = collections.Counter()
    parts: tuple[Frames, Frames] = ([], [])
    for frame in frames:
        symbol = json.loads(frame[1])["stream"].partition("@")[0].upper()
        parts[seen[symbol] >= LEAD].append(frame)
        seen[symbol] += 1
    return sorted(seen), *parts


def check(venue: str, snapshots: dict[str, bytes], lead: Frames, rest: Frames, symbols: list[str]) -> None:
    """Both give one result for each frame.

    Raises:
        ValueError: one of them does not.

    """
    results: tuple[list[Any], list[Any]] = ([], [])
    parsers = theirs(venue, snapshots, symbols, results[0]), ours(venue, snapshots, lead, results[1])
    parsers[0](lead)
    results[0].clear()
    for parse, taken in zip(parsers, results, strict=True):
        parse(rest)
        if len(taken) != len(rest):
            raise ValueError(f"{len(taken)} results of {len(rest)} frames from {parse.__qualname__}")


def main() -> None:
    """Measure what the file in the arguments holds."""
    logging.disable(logging.CRITICAL)
    works = msgspec.msgpack.decode(
        Path(sys.argv[1]).read_bytes(), type=list[tuple[str, str, str, dict[str, bytes], Frames]]
    )
    for _, _, venue, snapshots, frames in works:
        print(json.dumps(measure(venue, snapshots, frames, int(sys.argv[2]))), flush=True)


if __name__ == "__main__":
    main()
