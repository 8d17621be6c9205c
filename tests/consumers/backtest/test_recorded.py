"""The loop over recorded markets: what must always be true is, and the counts are those that were seen."""

from collections import Counter
from typing import Any

from consumers.backtest.loop import steps
from consumers.paper import Paper, PaperOptions
from processors.books import Books
from schemas import Equity, Fill, NetPosition, OrderRequest, OrderState, Record
from tests.consumers.backtest.quoter import Quoter
from tests.consumers.matching.witness import Witness
from tests.recorded_market import binance, standx

OPTIONS = {"paper": PaperOptions(latency_in_ms=10.0, latency_out_ms=10.0, maker_fee=0.0, taker_fee=0.00025)}


def run(records: list[Record], stages: list[Any], witness: Witness) -> Counter[str]:
    """How often what was said, all of it looked at."""
    counts: Counter[str] = Counter()
    for step in steps(records, stages, OPTIONS):
        assert step.refused == []
        said = [each for each in step.derived if isinstance(each, OrderState | Fill | NetPosition | Equity)]
        witness.take(step.event, said)
        counts.update(each.status for each in said if isinstance(each, OrderState))
        counts.update(f"{each.liquidity} {each.side}" for each in said if isinstance(each, Fill))
        counts.update(type(each).__name__ for each in step.derived if isinstance(each, OrderRequest))
    return counts


def test_a_quoter_on_recorded_depths_and_trades() -> None:
    counts = run(binance(), [Books, Paper, Quoter], Witness(100, 1_000, 10.0))
    assert counts == {
        "OrderRequest": 1257, "open": 839, "cancelled": 346, "filled": 492, "maker buy": 251, "maker sell": 241
    }  # fmt: skip


def test_a_quoter_on_recorded_snapshots_that_are_often_locked() -> None:
    counts = run(standx(5_000), [Paper, Quoter], Witness(100, 10_000, 10.0))
    assert counts == {
        "OrderRequest": 2168, "open": 480, "rejected": 1204, "cancelled": 396, "filled": 84, "maker buy": 47,
        "maker sell": 37,
    }  # fmt: skip
