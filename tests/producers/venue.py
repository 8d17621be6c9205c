"""Frames as Coinbase documents them, for tests: each function gives one with defaults to override."""

import json
from typing import Any

START_NS = 1_767_323_045_000_000_000  # 2026-01-02T03:04:05Z


def ticker(trade_id: int, *, at_s: float = 0.0, product: str = "ETH-USD", **fields: Any) -> str:
    """A trade ``at_s`` seconds after the start."""
    message = {
        "type": "ticker",
        "sequence": 1000 + 3 * trade_id,
        "product_id": product,
        "price": "3000.20",
        "best_bid": "3000.10",
        "best_bid_size": "1.5",
        "best_ask": "3000.20",
        "best_ask_size": "0.25",
        "side": "buy",
        "time": moment(at_s),
        "trade_id": trade_id,
        "last_size": "0.5",
    }
    return json.dumps(message | fields)


def heartbeat(last_trade_id: int, *, at_s: float = 0.0, product: str = "ETH-USD") -> str:
    """A heartbeat ``at_s`` seconds after the start."""
    beat = {"type": "heartbeat", "sequence": 1001 + 3 * last_trade_id, "last_trade_id": last_trade_id}
    return json.dumps(beat | {"product_id": product, "time": moment(at_s)})


def subscriptions(*products: str) -> str:
    """The venue's confirmation."""
    channels = [{"name": name, "product_ids": list(products)} for name in ("ticker", "heartbeat")]
    return json.dumps({"type": "subscriptions", "channels": channels})


def moment(at_s: float) -> str:
    """The start plus some seconds, up to a minute's end, as the venue writes it."""
    return f"2026-01-02T03:04:{5 + at_s:09.6f}Z"
