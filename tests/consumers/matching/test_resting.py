from hypothesis import given
from hypothesis import strategies as st

from consumers.matching.resting import UNKNOWN, Resting, trade


def order(size: int, ahead: int = UNKNOWN, shown: int = UNKNOWN) -> Resting:
    return Resting("a", "s", "v", True, 100, size, 0, True, False, 0, ahead, shown)


@given(st.integers(1, 1_000), st.lists(st.tuples(st.booleans(), st.integers(0, 1_000)), max_size=20), st.floats(0, 1))
def test_the_place_in_the_queue_only_gets_better(start: int, changes: list[tuple[bool, int]], share: float) -> None:
    resting = order(5)
    resting.enter(start)
    for traded, number in changes:
        before = resting.ahead
        if traded:
            assert sum(got for _, got in trade([resting], number)) <= min(5, max(number - before, 0))
        else:
            resting.show(number, share)
            assert resting.ahead <= number
        assert 0 <= resting.ahead <= before


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), min_size=1, max_size=5), st.integers(1, 200))
def test_a_queue_trades_front_to_back(orders: list[tuple[int, int]], size: int) -> None:
    """Against a queue in which every unit stands for itself."""
    queue, units, ahead = [], [], 0
    for number, (others, own) in enumerate(orders):
        ahead += others
        queue.append(order(own, ahead, 1_000))
        units += [-1] * others + [number] * own
    got = {id(resting): taken for resting, taken in trade(queue, size)}
    for number, resting in enumerate(queue):
        assert got.get(id(resting), 0) == units[:size].count(number)
        assert resting.ahead == units[size : max(units.index(number), size)].count(-1)


def test_what_is_out_of_sight_is_neither_cancelled_nor_traded() -> None:
    resting = order(5)
    assert list(trade([resting], 10)) == []
    resting.show(UNKNOWN, 1.0)
    assert resting.ahead == UNKNOWN
    resting.show(30, 1.0)
    assert resting.ahead == 30
