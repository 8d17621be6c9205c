"""The book's best levels equal those of a plain search, after every change."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from producers.book import Book, Side

PRICES = st.integers(1, 12).map(lambda cents: Decimal(cents) / 100)
CHANGES = st.lists(st.tuples(PRICES, st.sampled_from([0.0, 0.0, 1.0, 2.5])), max_size=60)


@given(st.sampled_from([-1, 1]), CHANGES)
def test_the_best_level_is_the_first_of_the_sorted_ones(sign: int, changes: list[tuple[Decimal, float]]) -> None:
    side, levels = Side(sign), dict[Decimal, float]()
    for price, size in changes:
        side.put(price, size)
        levels[price] = size
        left = {price: size for price, size in levels.items() if size > 0}
        expected = min(left, key=lambda price: sign * price) if left else None
        assert side.best() == (None if expected is None else (expected, left[expected]))


def test_memory_does_not_grow_with_the_number_of_changes() -> None:
    side = Side(1)
    for number in range(10_000):
        side.put(Decimal(number % 500 + 1), 1.0)
        side.put(Decimal(number % 500 + 1), 0.0)
        side.best()
    assert len(side) == 0
    assert len(side._heap) <= 64


def test_a_book_with_an_empty_side_has_no_quote() -> None:
    book = Book(bids=[(Decimal("10"), 1.0)])
    assert book.best() is None
    book.asks.put(Decimal("11"), 2.0)
    assert book.best() == (Decimal("10"), 1.0, Decimal("11"), 2.0)
