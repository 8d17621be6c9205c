"""Whatever a venue does and however late its word comes, the position keeps its bounds and a side holds one order."""

import random
from collections import deque
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.market_maker import MarketMaker
from schemas import Fill, OrderRequest, OrderState, Quote, Record
from tests.consumers.maker import answer, book, clock, fill, intensity, ready, volatility
from tests.streams import MILLISECOND, NOON


class Venue:
    """Takes requests and tells of them, both after any time; fills what it likes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.coming: deque[OrderRequest] = deque()
        self.going: deque[Record] = deque()
        self.open: dict[str, list[Any]] = {}  # request, left
        self.position = 0
        self.number = 0
        self.at = 0

    def work(self) -> None:
        if self.coming and self.chance.random() < 0.7:
            self._take(self.coming.popleft())
        for name in list(self.open):
            if name in self.open and self.chance.random() < 0.3:
                self._trade(name)

    def _take(self, request: OrderRequest) -> None:
        if request.action in ("cancel", "cancel_all"):
            for name in [request.client_id] if request.action == "cancel" else list(self.open):
                self._end(name, "cancelled")
        elif request.action == "replace" and request.replaces not in self.open:
            self._tell(request, "rejected", reason="replaces: no live order")
        elif self.chance.random() < 0.1:
            self._tell(request, "rejected", reason="post_only: would trade at once")
        else:
            if request.replaces:
                self._end(request.replaces, "cancelled")
            self.open[request.client_id] = [request, request.size]
            self._tell(request, "open")

    def _trade(self, name: str) -> None:
        request, left = self.open[name]
        size = self.chance.randint(1, left)
        self.position += size if request.side == "buy" else -size
        self.number += 1
        self.open[name][1] -= size
        told = fill(request, size, self.number)
        if self.open[name][1]:
            words = [told, self._word(request, "partly_filled")]
        else:
            words = [told, self._word(request, "filled")]
            del self.open[name]
        self.chance.shuffle(words)
        self.going += words

    def _end(self, name: str, status: str) -> None:
        if name in self.open:
            self._tell(self.open[name][0], status)
            del self.open[name]

    def _word(self, request: OrderRequest, status: str, reason: str = "") -> OrderState:
        left = self.open.get(request.client_id, [request, request.size])[1] if status != "filled" else 0
        return answer(request, status, filled=0 if status == "rejected" else request.size - left, reason=reason)

    def _tell(self, request: OrderRequest, status: str, reason: str = "") -> None:
        self.going.append(self._word(request, status, reason))


def at(record: Any, now: int) -> Any:
    """A record as of a time."""
    return msgspec.structs.replace(record, event_ns=NOON + now * MILLISECOND)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), replace=st.booleans(), inventory=st.sampled_from((0.1, 0.13, 0.25)))
def test_the_position_keeps_its_bounds_and_each_side_one_order(seed: int, replace: bool, inventory: float) -> None:
    chance = random.Random(seed)
    stage: MarketMaker = ready(
        replace=replace, inventory=inventory, requote_every_ms=100, answer_ms=2_000, order_life_ms=10**7,
        request_ttl_ms=10**6, rejects_most=1_000,
    )  # fmt: skip
    venue, bound, now, middle = Venue(chance), round(inventory * 100), 0, 30_005
    quoted = 0
    for _ in range(400):
        now += chance.randint(1, 200)
        middle += chance.choice((-10, -5, 0, 5, 10))
        events: list[Record] = [clock(now), volatility(now), intensity(now), book(now, middle - 5, middle + 5)]
        while venue.going and chance.random() < 0.6:
            events.append(at(venue.going.popleft(), now))
        for event in events:
            for made in stage.on_event(event):  # type: ignore[arg-type]
                if isinstance(made, OrderRequest):
                    venue.coming.append(made)
                if isinstance(made, Quote) and made.quoting:
                    quoted += 1
                    assert not made.bid or made.bid < (middle + 5) / 10
                    assert not made.ask or made.ask > (middle - 5) / 10
        venue.work()
        assert abs(venue.position) <= bound
        for side in ("buy", "sell"):
            resting = [(request, left) for request, left in venue.open.values() if request.side == side]
            assert len(resting) <= 1
            sign = 1 if side == "buy" else -1
            assert sign * venue.position + sum(left for _, left in resting) <= bound
    assert quoted > 20
    for event in venue.going:
        list(stage.on_event(at(event, now)))
    assert stage.state.position == venue.position
    assert not [made for made in venue.going if isinstance(made, Fill) and made.client_id not in stage.state.orders]
