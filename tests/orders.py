"""Requests, states and fills of one order, of which a test says what matters to it."""

from typing import Any

from msgspec.structs import replace

from schemas import Fill, OrderRequest, OrderState

ETH = "extended:ETH-USD"
REQUEST = OrderRequest(
    ETH, 1, "mm", 1, "c", "place", "a", "", "buy", "limit", "GTT", True, False, 1000, 10, 1, 2, 99, 9, ""
)
STATE = OrderState(ETH, 2, "mm", "paper", "a", "v", "open", "buy", 1000, 10, 0, 1, 2, True, False, 99, "")
FILL = Fill(ETH, 3, "mm", "paper", "a", "v", "f", "buy", 1000, 1, 1, 2, 0.0, "maker", 100.05)


def request(client_id: str = "a", action: str = "place", **changes: Any) -> OrderRequest:
    """A request to buy 0.10 at 100.0, post-only."""
    return replace(REQUEST, client_id=client_id, action=action, **changes)


def state(status: str, filled: int = 0, client_id: str = "a", **changes: Any) -> OrderState:
    """The venue's word on that order."""
    return replace(STATE, status=status, filled=filled, client_id=client_id, **changes)


def fill(size: int, fill_id: str = "f", client_id: str = "a", **changes: Any) -> Fill:
    """A trade of that order."""
    return replace(FILL, size=size, fill_id=fill_id, client_id=client_id, **changes)
