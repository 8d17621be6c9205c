"""Recorded Binance depth streams as records, and a book that is kept as simply as can be, to hold ours against."""

import bisect
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import zstandard

from schemas import Depth
from schemas.levels import packed, scaled
from tests.data import recording

STREAMS = ("spot_btcusdt", "spot_ethusdt", "usdm_ethusdt", "cm_btcusd_perp")
Pairs = list[list[str]]


def messages(name: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every message of a recording with the ns of its receipt; a combined stream's wrapping taken off."""
    path = recording(f"binance/hftbacktest_{name}_20240808.txt.zst")
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file)):
            received, _, text = line.partition(" ")
            message = json.loads(text)
            yield int(received), message.get("data", message)


def stream(name: str) -> Iterator[tuple[Depth, dict[str, Any]]]:
    """Snapshot and diffs as a feed hands them on, each with its message."""
    early: list[tuple[int, dict[str, Any]]] = []
    last = None
    for received_ns, message in messages(name):
        if "lastUpdateId" in message:
            last = message["lastUpdateId"]
            bids, asks = message["bids"], message["asks"]
            yield depth("snapshot", received_ns, bids, asks, last, last), message
            for item in early:
                if item[1]["u"] > last:
                    yield delta(*item)
        elif message.get("e") == "depthUpdate":
            if last is None:
                early.append((received_ns, message))
            else:
                yield delta(received_ns, message)


def delta(received_ns: int, message: dict[str, Any]) -> tuple[Depth, dict[str, Any]]:
    ids = message["U"], message["u"], message.get("pu", -1)
    return depth("delta", received_ns, message["b"], message["a"], *ids), message


def depth(kind: str, event_ns: int, bids: Pairs, asks: Pairs, first: int, last: int, previous: int = -1) -> Depth:
    """A record with these levels."""
    prices = scaled([price for price, _ in (*bids, *asks)])
    sizes = scaled([size for _, size in (*bids, *asks)])
    levels = list(zip(prices.numbers, sizes.numbers, strict=True))
    return Depth(
        instrument="binance:TEST",
        event_ns=event_ns,
        received_ns=event_ns,
        kind=kind,
        cause="",
        first_sequence=first,
        last_sequence=last,
        previous_sequence=previous,
        price_decimals=prices.decimals,
        size_decimals=sizes.decimals,
        bids=packed(levels[: len(bids)]),
        asks=packed(levels[len(bids) :]),
        bid_changes=b"",
        ask_changes=b"",
        best_bid=0,
        best_ask=0,
        verified=False,
    )


class Naive:
    """A book of decimals: a dict and a sorted list a side."""

    def __init__(self) -> None:
        self.sizes: tuple[dict[Decimal, str], dict[Decimal, str]] = ({}, {})
        self.prices: tuple[list[Decimal], list[Decimal]] = ([], [])

    def take(self, bids: Pairs, asks: Pairs) -> None:
        for side, levels in enumerate((bids, asks)):
            for text, size in levels:
                self._put(side, Decimal(text), size)

    def best(self, side: int, most: int) -> Pairs:
        """The best levels, best first, as the venue wrote their sizes."""
        prices = self.prices[side]
        chosen = prices[: -most - 1 : -1] if side == 0 else prices[:most]
        return [[str(price), self.sizes[side][price]] for price in chosen]

    def _put(self, side: int, price: Decimal, size: str) -> None:
        known = price in self.sizes[side]
        if Decimal(size) == 0:
            if known:
                del self.sizes[side][price]
                del self.prices[side][bisect.bisect_left(self.prices[side], price)]
            return
        if not known:
            bisect.insort(self.prices[side], price)
        self.sizes[side][price] = size
