"""A seeded market that speaks Coinbase: for a demo without network, for benches and for tests.

Every frame is in Coinbase's format and goes through Coinbase's parser; the instruments are ``simulator:…``, so that
nobody takes them for the market. The same seed, symbols and start give the same frames. Per symbol:

- Log volatility follows a mean-reverting walk (clusters); the mid moves by it, and jumps at random by a few tenths of
  a percent.
- Trades come in a Poisson stream whose rate rises with volatility; now and then a burst of trades within
  milliseconds, or a quiet stretch of seconds without any. Each trade lies on the quotes, which stand on a cent grid.
- Heartbeats come each second, but not while the whole feed stalls, which it does every few minutes for some seconds.
  What is traded during a stall is not sent: trade ids jump across it.
"""

import dataclasses
import heapq
import math
from collections.abc import Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import ClassVar

import msgspec

from producers.coinbase import EPOCH, Coinbase
from producers.session import Session
from schemas import Record

SECOND_NS = 1_000_000_000
MIDS = {"BTC-USD": 95_000.0, "ETH-USD": 3_000.0, "SOL-USD": 140.0}
TRADES_A_SECOND = 6.0
VOLATILITY = 6e-5  # of the log mid, per square root of a second
JUMP_RATE, JUMP_SIZE = 1 / 90, 0.0015  # a second; standard deviation of the log mid
BURST_RATE, QUIET_RATE, STALL_RATE = 1 / 20, 1 / 60, 1 / 240  # a second
LATENCY_NS = 15_000_000


class Simulator(Coinbase):
    """Coinbase's parser under another venue's name; its frames come from :func:`frames`, not from a socket."""

    name: ClassVar[str] = "simulator"
    url: ClassVar[str] = ""


@dataclasses.dataclass(slots=True)
class Market:
    """One symbol's state."""

    symbol: str
    chance: Random
    mid: float
    sequence: int = 1_000_000
    trade_id: int = 100_000
    log_volatility: float = 0.0
    quiet_until_ns: int = 0
    burst_left: int = 0
    traded: float = 0.0

    def step(self, now_ns: int, elapsed_s: float) -> None:
        """Let volatility and mid move over some time."""
        draw = self.chance
        pull = math.exp(-elapsed_s / 60.0)
        self.log_volatility = self.log_volatility * pull + 0.8 * math.sqrt(1 - pull * pull) * draw.gauss(0, 1)
        move = VOLATILITY * math.exp(self.log_volatility) * math.sqrt(elapsed_s) * draw.gauss(0, 1)
        if draw.random() < JUMP_RATE * elapsed_s:
            move += draw.gauss(0, JUMP_SIZE)
        self.mid = max(1.0, self.mid * math.exp(max(-0.2, min(0.2, move))))
        if draw.random() < BURST_RATE * elapsed_s:
            self.burst_left = draw.randrange(10, 60)
        if draw.random() < QUIET_RATE * elapsed_s:
            self.quiet_until_ns = now_ns + draw.randrange(2 * SECOND_NS, 12 * SECOND_NS)

    def next_ns(self, now_ns: int) -> int:
        """When the next trade comes."""
        if self.burst_left > 0:
            self.burst_left -= 1
            return now_ns + self.chance.randrange(50_000, 3_000_000)
        rate = TRADES_A_SECOND * math.exp(0.7 * self.log_volatility)
        return max(now_ns, self.quiet_until_ns) + 1 + int(self.chance.expovariate(rate) * SECOND_NS)

    def trade(self, now_ns: int) -> str:
        """The ticker frame of a trade now."""
        draw = self.chance
        self.sequence += draw.randrange(1, 200)
        self.trade_id += 1
        spread = draw.choice((0.01, 0.01, 0.01, 0.02, 0.05))
        bid = round(self.mid - spread / 2, 2)
        ask = round(bid + spread, 2)
        side = draw.choice(("buy", "sell"))
        size = draw.lognormvariate(-3.0, 1.5)
        self.traded += size
        return _encode(
            {
                "type": "ticker",
                "sequence": self.sequence,
                "product_id": self.symbol,
                "price": f"{ask if side == 'buy' else bid:.2f}",
                "open_24h": f"{MIDS.get(self.symbol, 100.0):.2f}",
                "volume_24h": f"{self.traded:.8f}",
                "best_bid": f"{bid:.2f}",
                "best_bid_size": f"{draw.lognormvariate(-1.0, 1.0):.8f}",
                "best_ask": f"{ask:.2f}",
                "best_ask_size": f"{draw.lognormvariate(-1.0, 1.0):.8f}",
                "side": side,
                "time": timestamp(now_ns),
                "trade_id": self.trade_id,
                "last_size": f"{size:.8f}",
            }
        )

    def heartbeat(self, now_ns: int) -> str:
        """The heartbeat frame now."""
        self.sequence += 1
        beat = {"type": "heartbeat", "sequence": self.sequence, "last_trade_id": self.trade_id}
        return _encode(beat | {"product_id": self.symbol, "time": timestamp(now_ns)})


def frames(symbols: Sequence[str], start_ns: int, seed: int = 0) -> Iterator[tuple[str, int]]:
    """Frames with the ns of their receipt, from ``start_ns`` on, without end.

    >>> next(frames(["ETH-USD"], start_ns=0))
    ('{"type":"subscriptions","channels":[{"name":"ticker","product_ids":["ETH-USD"]},\
{"name":"heartbeat","product_ids":["ETH-USD"]}]}', 15000000)
    """
    yield _subscriptions(symbols), start_ns + LATENCY_NS
    markets = [Market(name, Random(f"{seed}/{name}"), MIDS.get(name, 100.0)) for name in symbols]
    stalls = _stalls(Random(f"{seed}/stalls"), start_ns)
    stall = next(stalls)
    agenda = [(start_ns + SECOND_NS, index, True) for index in range(len(markets))]
    agenda += [(market.next_ns(start_ns), index, False) for index, market in enumerate(markets)]
    heapq.heapify(agenda)
    moved_ns = [start_ns] * len(markets)
    while True:
        now_ns, index, beats = heapq.heappop(agenda)
        market = markets[index]
        frame = _frame(market, now_ns, (now_ns - moved_ns[index]) / SECOND_NS, beats)
        if not beats:
            moved_ns[index] = now_ns
        heapq.heappush(agenda, (now_ns + SECOND_NS if beats else market.next_ns(now_ns), index, beats))
        if now_ns >= stall[1]:
            stall = next(stalls)
        if now_ns < stall[0]:
            yield frame, now_ns + LATENCY_NS


def records(symbols: Sequence[str], start_ns: int, seed: int = 0) -> Iterator[Record]:
    """The records of those frames, without end."""
    session = Session(Simulator, symbols)
    session.open()
    for frame, received_ns in frames(symbols, start_ns, seed):
        yield from session.receive(frame, received_ns)


def _frame(market: Market, now_ns: int, elapsed_s: float, beats: bool) -> str:
    if beats:
        return market.heartbeat(now_ns)
    market.step(now_ns, elapsed_s)
    return market.trade(now_ns)


def _stalls(chance: Random, start_ns: int) -> Iterator[tuple[int, int]]:
    """Stretches during which nothing is sent, one after the other."""
    end_ns = start_ns
    while True:
        begin_ns = end_ns + 5 * SECOND_NS + int(chance.expovariate(STALL_RATE) * SECOND_NS)
        end_ns = begin_ns + chance.randrange(2 * SECOND_NS, 8 * SECOND_NS)
        yield begin_ns, end_ns


def timestamp(event_ns: int) -> str:
    """A moment as the venue writes it, cut to the microsecond."""
    return (EPOCH + timedelta(microseconds=event_ns // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _subscriptions(symbols: Sequence[str]) -> str:
    channels = [{"name": name, "product_ids": list(symbols)} for name in Simulator.default_channels]
    return _encode({"type": "subscriptions", "channels": channels})


def _encode(message: dict[str, object]) -> str:
    return msgspec.json.encode(message).decode()
