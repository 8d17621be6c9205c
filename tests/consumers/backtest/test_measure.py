"""What a run was like: the profit by its parts beside what the venue says of it."""

from typing import Any

import pytest

from consumers.backtest.measure import Measure
from consumers.paper import Paper, PaperOptions
from schemas import Funding, Mark
from tests.market import MS, START, book, broken
from tests.orders import ETH, request


def measured(*events: Any) -> Measure:
    venue, measure = Paper(ETH, PaperOptions(0.0, 0.0)), Measure()
    for event in events:
        measure.event(event, list(venue.on_event(event)))
    return measure


def test_what_the_venue_values_at_another_price_than_the_mid_is_no_drift() -> None:
    taking = request(
        size=100, kind="market", price=0, post_only=False, time_in_force="IOC", event_ns=START,
        valid_until_ns=START + 1_000 * MS,
    )  # fmt: skip
    mark = Mark(ETH, START + MS, START, 90.0, 0.0, 0.0, 0)
    funding = Funding(ETH, START + 3 * MS, START, 0.01, 0.0)
    for blind in (broken(2), book([], [(1002, 200)], 2)):
        measure = measured(book([(1000, 50)], [(1002, 200)]), taking, mark, blind, funding)
        assert measure.ledger.funding == pytest.approx(-0.9)
        assert measure.ledger.drift < 1e-9
    again = measured(book([(1000, 50)], [(1002, 200)]), taking, broken(2), book([(990, 50)], [(992, 200)], 2_000))
    assert again.ledger.drift < 1e-9
    assert again.ledger.inventory == pytest.approx(-1.0)
