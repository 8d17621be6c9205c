"""Virtual quotes at several depths on both sides of the mid, followed until they are filled.

- Quote k of a side stands k spacings from the mid, rounded outward to the grid of prices, for a lifetime; then, and
  with the first book after its fill, it is put up anew around the mid of that time.
- It is filled by the first trade beyond its price, by more volume traded at its price than waited ahead of it, or when
  the other side's best has come to it. Without queue nothing waits ahead. With it, what the book shows at that price
  when the quote is put up does, less what trades since, and never more than the book shows now; where the book is not
  known so deep the quote is not put up.
- Time counts while a quote stands and the book is valid and fresh. A trade no later than the quote does not fill it, so
  one order that sweeps several levels fills each quote once.

Prices are whole ticks away from zero on the ask side and towards it on the bid side: there they are negative, so that
"farther from the mid" is "greater" on both.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from processors.online.fill_counts import ASK, BID, SECOND, Block, empty

SIGNS = {ASK: 1.0, BID: -1.0}
DOWN = -1  # of a quote that does not stand
CLOSE = 1e-6  # of a tick: prices that were floating-point numbers

Levels = Sequence[tuple[float, float]]  # price in ticks, size; best first


@dataclass(frozen=True, slots=True)
class QuoteOptions:
    """Where quotes stand, for how long, and how long a window reaches back."""

    depths: int = 20
    reach_bps: float = 10.0  # of the deepest from the mid; sets the spacing where that is not given
    spacing_ticks: int = 0  # 0: as reach_bps asks for
    life_ms: int = 1_000
    stale_ms: int = 10_000  # age from which a book is worth nothing
    block_ms: int = 60_000
    blocks: int = 30

    def __post_init__(self) -> None:
        if not 3 <= self.depths <= 100:
            raise ValueError(f"depths must lie between 3 and 100, not {self.depths}")
        if not 0.0 < self.reach_bps <= 1_000.0:
            raise ValueError(f"reach_bps must lie between 0 and 1000, not {self.reach_bps}")
        if self.spacing_ticks < 0 or self.life_ms < 0:
            raise ValueError("spacing_ticks and life_ms must not be below 0")
        if min(self.stale_ms, self.block_ms) < 1:
            raise ValueError("stale_ms and block_ms must be at least 1")
        if self.stale_ms > self.block_ms:
            raise ValueError(f"stale_ms must not be above block_ms, not {self.stale_ms} and {self.block_ms}")
        if not 10 <= self.blocks <= 1_000:
            raise ValueError(f"blocks must lie between 10 and 1000, not {self.blocks}")


@dataclass(slots=True)
class QuotesState:
    """All that survives between two events; plain values."""

    now_ns: int = 0
    valid: bool = False
    book_ns: int = 0
    mid: float = 0.0  # in ticks
    spacing: int = 0  # in ticks; 0 before the first book
    placed_ns: int = 0  # when all quotes were last put up
    price: list[list[int]] = field(default_factory=list)
    ahead: list[list[float]] = field(default_factory=list)
    since_ns: list[list[int]] = field(default_factory=list)  # from when time is still to be counted, or DOWN
    offset: list[list[float]] = field(default_factory=list)
    block: int = 0  # number of the open block on the grid of event time
    blocks: list[Block] = field(default_factory=list)


class VirtualQuotes:
    """Both sides of one market; counts what ``QuotesState`` holds.

    >>> quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3), QuotesState(), queue=False)
    >>> quotes.book(0, [(99.0, 5.0)], [(101.0, 5.0)])
    >>> quotes.trade(SECOND // 2, 102.0, 1.0, "buy")
    >>> quotes.advance(SECOND)
    >>> quotes.settle()
    >>> quotes.state.blocks[0]["fills"][ASK], quotes.state.blocks[0]["seconds"][ASK]
    ([1, 1, 0], [0.5, 0.5, 1.0])
    """

    def __init__(self, options: QuoteOptions, state: QuotesState, queue: bool) -> None:
        self.options, self.state, self.queue = options, state, queue
        self._block_ns, self._life_ns = options.block_ms * 1_000_000, options.life_ms * 1_000_000
        self._stale_ns = options.stale_ms * 1_000_000
        if not state.blocks:
            self.clear()

    def clear(self) -> None:
        """Forget what was counted and take the quotes down, as when the tick has changed."""
        state, depths = self.state, self.options.depths
        state.blocks = [empty(depths) for _ in range(self.options.blocks)]
        state.price, state.since_ns = ([[0] * depths for _ in SIGNS], [[DOWN] * depths for _ in SIGNS])
        state.ahead, state.offset = ([[0.0] * depths for _ in SIGNS], [[0.0] * depths for _ in SIGNS])
        state.valid, state.spacing, state.placed_ns = False, 0, 0

    def open_block(self) -> Block:
        """The block that event time is in."""
        return self.state.blocks[self.state.block % self.options.blocks]

    def advance(self, now_ns: int) -> None:
        """Let event time pass; it never goes back."""
        state = self.state
        if now_ns <= state.now_ns:
            return
        if state.valid and now_ns > state.book_ns + self._stale_ns:
            self._pass(max(state.now_ns, state.book_ns + self._stale_ns))
            self.invalid(state.now_ns)
        self._pass(now_ns)

    def invalid(self, now_ns: int) -> None:
        """The book is not to be trusted from now on: no quote stands."""
        self.advance(now_ns)
        self.settle()
        self.state.valid = False
        self.state.since_ns = [[DOWN] * self.options.depths for _ in SIGNS]

    def book(self, event_ns: int, bids: Levels, asks: Levels) -> None:
        """Take a valid book; one that is crossed, too old or lacks a side counts as invalid."""
        self.advance(event_ns)
        if self.state.now_ns - event_ns > self._stale_ns or not bids or not asks or bids[0][0] > asks[0][0] + CLOSE:
            self.invalid(event_ns)
            return
        state, now_ns = self.state, self.state.now_ns
        state.book_ns, state.valid, state.mid = now_ns, True, (bids[0][0] + asks[0][0]) / 2.0
        if state.spacing == 0:
            wanted = self.options.reach_bps * 1e-4 * state.mid / self.options.depths
            state.spacing = self.options.spacing_ticks or max(1, round(wanted))
        anew = now_ns >= state.placed_ns + self._life_ns
        if anew:
            self._settle(now_ns)
            state.placed_ns = now_ns
        for side, levels, opposite in ((ASK, asks, bids), (BID, bids, asks)):
            sign = SIGNS[side]
            shown = {round(sign * price): size for price, size in levels} if self.queue else {}
            best = math.floor(sign * opposite[0][0] + CLOSE)
            self._follow(side, shown, best, now_ns)
            self._put_up(side, shown, anew)

    def trade(self, event_ns: int, price: float, size: float, taker: str) -> None:
        """Take a trade; the price in ticks, the taker's side buy, sell or empty."""
        self.advance(event_ns)
        state = self.state
        if not state.valid:
            return
        block = self.open_block()
        block["trades"] += 1
        side = ASK if taker == "buy" or (taker != "sell" and price >= state.mid) else BID
        reached = math.floor(SIGNS[side] * price + CLOSE)
        prices, ahead, since = state.price[side], state.ahead[side], state.since_ns[side]
        for depth in range(self.options.depths):
            if prices[depth] > reached or since[depth] == DOWN or event_ns <= since[depth]:
                continue
            if prices[depth] == reached:
                ahead[depth] -= size
                if ahead[depth] >= 0.0:
                    continue
            self._fill(side, depth, event_ns)

    def distance(self, side: int, price: float) -> int:
        """Index of the depth nearest to a price in ticks on a side, -1 where it lies on none."""
        if not self.state.valid or self.state.spacing == 0:
            return -1
        index = round(SIGNS[side] * (price - self.state.mid) / self.state.spacing) - 1
        return max(index, 0) if index < self.options.depths else -1

    def settle(self) -> None:
        """Count the time up to now of the quotes that stand."""
        self._settle(self.state.now_ns)

    def _pass(self, now_ns: int) -> None:
        state, blocks = self.state, self.options.blocks
        number = now_ns // self._block_ns
        while state.block < number:
            boundary = (state.block + 1) * self._block_ns
            self._settle(boundary)
            state.block = max(state.block + 1, number - blocks)
            state.blocks[state.block % blocks] = empty(self.options.depths)
        state.now_ns = now_ns

    def _settle(self, until_ns: int) -> None:
        state, block = self.state, self.open_block()
        for side in SIGNS:
            seconds, since, offset = block["seconds"][side], state.since_ns[side], state.offset[side]
            for depth in range(self.options.depths):
                if since[depth] != DOWN and until_ns > since[depth]:
                    stood = (until_ns - since[depth]) / SECOND
                    seconds[depth] += stood
                    block["offset"][side] += stood * offset[depth]
                    since[depth] = until_ns

    def _fill(self, side: int, depth: int, event_ns: int) -> None:
        state, block = self.state, self.open_block()
        stood = (event_ns - state.since_ns[side][depth]) / SECOND
        block["seconds"][side][depth] += stood
        block["offset"][side] += stood * state.offset[side][depth]
        block["fills"][side][depth] += 1
        state.since_ns[side][depth] = DOWN

    def _follow(self, side: int, shown: dict[int, float], best: int, now_ns: int) -> None:
        """Fill what the other side has come to, and let nobody wait ahead who has gone."""
        state = self.state
        prices, ahead, since = state.price[side], state.ahead[side], state.since_ns[side]
        deepest = max(shown, default=0)
        for depth in range(self.options.depths):
            if since[depth] == DOWN:
                continue
            if prices[depth] <= best:
                self._fill(side, depth, now_ns)
            elif shown and prices[depth] <= deepest:
                ahead[depth] = min(ahead[depth], shown.get(prices[depth], 0.0))

    def _put_up(self, side: int, shown: dict[int, float], anew: bool) -> None:
        state, sign = self.state, SIGNS[side]
        middle, deepest = sign * state.mid, max(shown, default=0)
        for depth in range(self.options.depths):
            if not anew and state.since_ns[side][depth] != DOWN:
                continue
            wanted = middle + state.spacing * (depth + 1)
            price = math.ceil(wanted - CLOSE)
            known = not self.queue or price <= deepest
            state.since_ns[side][depth] = state.now_ns if known else DOWN
            state.price[side][depth], state.offset[side][depth] = price, price - wanted
            state.ahead[side][depth] = shown.get(price, 0.0)
