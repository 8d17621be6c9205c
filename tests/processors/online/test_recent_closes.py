"""The last closes by minute, whatever order they come in."""

import math

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.online.recent_closes import KEPT, RecentCloses


@given(st.lists(st.tuples(st.integers(-5, 900), st.floats(1, 9)), min_size=1, max_size=40))
def test_closes_are_those_of_a_plain_dictionary(given_moves):
    closes, known, newest, now = RecentCloses(), {}, 0, 10_000
    for step, close in given_moves:
        now += step
        newest = max(newest, now)
        if now > newest - KEPT:
            known[now] = close
        closes.put(now, close)
        last, ring = msgspec.msgpack.decode(msgspec.msgpack.encode(closes.snapshot()))
        closes = RecentCloses.restored(last, ring)
    expected = [known.get(minute, math.nan) for minute in range(newest - KEPT + 1, newest + 1)]
    assert np.array_equal(closes.at(newest - KEPT + 1, KEPT), expected, equal_nan=True)


def test_what_is_forgotten_or_not_yet_there_is_not_known():
    closes = RecentCloses()
    closes.put(10, 1.0)
    closes.put(10 + KEPT, 2.0)
    assert np.isnan(closes.at(10, 1)[0])
    assert closes.at(10 + KEPT - 5, 3, every=5).tolist()[1] == 2.0
    assert np.isnan(closes.at(10 + KEPT + 1, 2)).all()
