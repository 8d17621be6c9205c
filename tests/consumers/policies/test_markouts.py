"""Markouts: the move of the mid after our fills, in our favour, averaged by side."""

from typing import Any

import pytest

from consumers.policies.markouts import WAITING, Markouts


def kept(fills: int = 1, after_ns: int = 10) -> tuple[Markouts, list[Any], list[float]]:
    waiting: list[Any] = []
    means = [0.0, 0.0]
    return Markouts(waiting, means, fills, after_ns), waiting, means


@pytest.mark.parametrize(("side", "expected"), [("buy", [3.0, 0.0]), ("sell", [0.0, -3.0])])
def test_a_rise_is_good_after_a_buy_and_bad_after_a_sale(side: str, expected: list[float]) -> None:
    markouts, waiting, means = kept()
    markouts.fill(side, 0, 100.0)
    markouts.mid(9, 500.0)
    assert means == [0.0, 0.0]
    markouts.mid(10, 103.0)
    assert means == expected
    assert waiting == []


def test_the_newest_fill_weighs_one_in_so_many() -> None:
    markouts, _, means = kept(fills=4)
    for moment in (0, 20):
        markouts.fill("buy", moment, 100.0)
        markouts.mid(moment + 10, 104.0)
    assert means[0] == pytest.approx(1.0 + 0.25 * 3.0)


def test_only_so_many_fills_wait() -> None:
    markouts, waiting, _ = kept()
    for moment in range(WAITING + 5):
        markouts.fill("buy", moment, 100.0)
    assert len(waiting) == WAITING
    assert waiting[0][0] == 5 + 10
