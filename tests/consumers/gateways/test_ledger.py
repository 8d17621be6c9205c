"""The gateway's books: exact accounts, each order and trade once, in whatever order they come."""

from decimal import Decimal
from fractions import Fraction
from typing import cast

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from consumers.gateways.holding import Holding
from consumers.gateways.ledger import Ledger
from consumers.gateways.venue import Held, Told, Traded, Venue
from schemas import Fill, NetPosition, OrderState
from tests.consumers.gateways.running import INSTRUMENT, ask

TOLD = Told(
    INSTRUMENT, "id-1", "7", "open", "buy", Decimal(1990), Decimal("0.1"), Decimal(), True, False, 9, 1_000
)  # fmt: skip
TRADE = Traded(INSTRUMENT, "t1", "", "7", "buy", Decimal(1990), Decimal("0.1"), Decimal("0.04"), True, 2_000)


class Named:
    """As much of a venue as the books need."""

    name = "extended"

    @staticmethod
    def decimals(_instrument: str) -> tuple[int, int]:
        return 1, 3


def ledger() -> Ledger:
    return Ledger(cast(Venue, Named()))


def test_a_trade_that_comes_before_its_order_is_known_waits_for_it() -> None:
    books = ledger()
    assert books.ask(ask("id-1"))
    assert books.trade(TRADE) == []
    kinds = [type(record).__name__ for record in books.tell(TOLD)]
    assert kinds == ["OrderState", "Fill", "OrderState", "NetPosition", "Equity"]
    assert books.trade(TRADE) == []
    assert books.drain() == []
    assert books.tell(TOLD._replace(status="filled", filled=Decimal("0.1"))) == []


def test_a_trade_of_no_order_of_ours_is_told_as_nobodys_at_a_reconciliation() -> None:
    books = ledger()
    assert books.trade(TRADE) == []
    fill, position, _ = books.drain()
    assert isinstance(fill, Fill)
    assert isinstance(position, NetPosition)
    assert (fill.strategy, fill.client_id, position.size) == ("", "", 100)


def test_a_word_is_told_once_and_a_late_one_not_at_all() -> None:
    books = ledger()
    books.ask(ask("id-1"))
    (state,) = books.tell(TOLD)
    assert isinstance(state, OrderState)
    assert (state.strategy, state.price, state.size, state.price_decimals) == ("maker", 19_900, 100, 1)
    assert books.tell(TOLD) == []
    assert len(books.tell(TOLD._replace(status="cancelled"))) == 1
    assert books.tell(TOLD) == []


def test_what_an_earlier_gateway_wrote_is_taken_up_again() -> None:
    before = ledger()
    request = ask("id-1")
    before.ask(request)
    written = [*before.tell(TOLD), *before.trade(TRADE._replace(size=Decimal("0.04")))]
    after = ledger()
    after.recall([request, *written])
    assert not after.ask(request)
    assert after.holding(INSTRUMENT) == before.holding(INSTRUMENT)
    assert after.trade(TRADE) == []
    assert [order["filled"] for _, order in after.live()] == [40]


def test_an_order_of_long_ago_keeps_its_strategy() -> None:
    books = ledger()
    books.ask(ask("id-1"))
    books.tell(TOLD)
    books.tell(TOLD._replace(status="cancelled"))
    for number in range(100):
        books.ask(ask(f"other-{number}"))
        books.tell(TOLD._replace(client_id=f"other-{number}", venue_id=f"v{number}", status="cancelled"))
    fill, *_ = books.trade(TRADE)
    assert isinstance(fill, Fill)
    assert (fill.client_id, fill.strategy) == ("id-1", "maker")


def test_a_trade_of_an_order_that_was_told_as_rejected_is_its_own() -> None:
    books = ledger()
    books.ask(ask("id-1"))
    books.tell(TOLD._replace(venue_id="", status="rejected"))
    assert books.trade(TRADE) == []
    fill, *_ = books.tell(TOLD._replace(status="filled", filled=Decimal("0.1")))
    assert isinstance(fill, Fill)
    assert (fill.client_id, fill.strategy) == ("id-1", "maker")


def test_what_was_known_before_a_doubt_is_told_again_after_it() -> None:
    books = ledger()
    books.ask(ask("id-1"))
    said = [books.tell(TOLD._replace(status=status)) for status in ("open", "unknown", "open", "open")]
    assert [len(records) for records in said] == [1, 1, 1, 0]


def test_what_the_paper_venue_has_answered_is_no_order_of_ours_and_is_not_asked_for() -> None:
    books = ledger()
    request = ask("id-1")
    books.recall([request, msgspec.structs.replace(books.state(TOLD), venue="paper"), ask("id-2")])
    assert [order["client_id"] for _, order in books.live()] == ["id-2"]
    assert not books.ask(request)


def test_a_venues_position_that_differs_counts() -> None:
    books = ledger()
    books.ask(ask("id-1"))
    books.tell(TOLD)
    books.trade(TRADE)
    same = Held(INSTRUMENT, Decimal("0.100"), Decimal(1990), Decimal(2000), 5)
    assert books.differing([same]) == []
    assert books.holding(INSTRUMENT).unrealised == Decimal("1.0")
    (other,) = books.differing([])
    (position,) = books.reconcile(other, 7)
    assert isinstance(position, NetPosition)
    assert (position.size, position.cause, position.event_ns) == (0, "reconciled", 7)


TRADES = st.lists(
    st.tuples(st.integers(-50, 50).filter(bool), st.integers(1, 1_000)), min_size=1, max_size=30
)  # fmt: skip


@given(TRADES)
def test_realised_and_unrealised_profit_are_the_cash_and_the_worth(trades: list[tuple[int, int]]) -> None:
    holding, cash = Holding(), Fraction()
    for size, price in trades:
        holding.trade(Decimal(size), Decimal(price), Decimal())
        cash -= size * price
    holding.mark = Decimal(500)
    worth = cash + Fraction(holding.size) * 500
    assert abs(Fraction(holding.realised) + Fraction(holding.unrealised) - worth) < Fraction(1, 10**15)
    assert holding.size == sum(size for size, _ in trades)
