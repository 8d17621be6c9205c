"""Holds what the paper venue says against what came in, whatever the market."""

from collections import Counter

from consumers.orders import FINAL, LEGAL
from consumers.paper import Out
from schemas import Book, Equity, Fill, NetPosition, OrderRequest, OrderState, Record, Trade
from schemas.levels import unpacked


class Witness:
    """Holds what the venue says against what came in."""

    def __init__(self, price_unit: int, size_unit: int, latency_out_ms: float) -> None:
        self.price_unit, self.size_unit = price_unit, size_unit
        self.out_ns = round(latency_out_ms * 1_000_000)
        self.asked: dict[str, OrderRequest] = {}
        self.filled: Counter[str] = Counter()
        self.status: dict[str, str] = {}
        self.displayed: Counter[tuple[str, int]] = Counter()  # by the side that would take it
        self.position = self.cash = 0
        self.fees = 0.0

    def take(self, event: Record, said: list[Out]) -> None:
        """Look at an event and at what the venue says to it."""
        if isinstance(event, OrderRequest) and event.action in ("place", "replace"):
            self.asked.setdefault(event.client_id, event)
        early = [each for each in said if each.event_ns - self.out_ns < event.event_ns]
        for each in early:
            self.hear(each)
        if isinstance(event, Book):
            self.displayed = Counter()
            for side, data in (("sell", event.bids), ("buy", event.asks)):
                self.displayed.update({(side, price): size for price, size in unpacked(data).tolist()})
        for each in said[len(early) :]:
            self.hear(each)
        if isinstance(event, Trade):
            made = [each for each in said if isinstance(each, Fill) and each.liquidity == "maker"]
            assert sum(each.size for each in made) <= round(event.size * self.size_unit)
            assert all(
                (each.price / self.price_unit - event.price) * (1 if each.side == "buy" else -1) > -1e-9
                for each in made
            )

    def hear(self, said: Out) -> None:
        if isinstance(said, Fill):
            self.fill(said)
        elif isinstance(said, OrderState):
            self.state(said)
        elif isinstance(said, NetPosition):
            assert said.size == self.position
        else:
            self.equity(said)

    def fill(self, fill: Fill) -> None:
        asked = self.asked[fill.client_id]
        self.filled[fill.client_id] += fill.size
        assert self.filled[fill.client_id] <= asked.size
        sign = 1 if fill.side == "buy" else -1
        assert asked.kind == "market" or sign * (asked.price - fill.price) >= 0
        if fill.liquidity == "taker":
            self.displayed[fill.side, fill.price] -= fill.size
            assert self.displayed[fill.side, fill.price] >= 0
            assert not asked.post_only
        else:
            assert fill.price == asked.price
        if asked.reduce_only:
            assert abs(self.position + sign * fill.size) == abs(self.position) - fill.size
        self.position += sign * fill.size
        self.cash -= sign * fill.size * fill.price
        self.fees += fill.fee

    def state(self, state: OrderState) -> None:
        before = self.status.get(state.client_id, "requested")
        assert state.status in LEGAL[before] | {"partly_filled"}
        assert before not in FINAL
        assert state.filled <= self.filled[state.client_id]
        self.status[state.client_id] = state.status

    def equity(self, equity: Equity) -> None:
        assert abs(equity.fees - self.fees) < 1e-9
        assert abs(equity.equity - (equity.realised + equity.unrealised - equity.fees + equity.funding)) < 1e-9
        if not self.position:
            assert abs(equity.realised - self.cash / (self.price_unit * self.size_unit)) < 1e-9
