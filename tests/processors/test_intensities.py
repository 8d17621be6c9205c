import math

import msgspec
import pytest

from processors.intensities import Intensities, IntensityOptions
from schemas import Book, Clock, Fill, Market, OrderState, Rejected, Trade
from schemas.levels import packed
from tests import taker_flow

KEY, SECOND = "x:A", 10**9
STEP = 0.5  # the tick, in USD: not a power of ten
NEAR = {"spacing_ticks": 2, "price_step": STEP, "block_ms": 30_000, "blocks": 20}


def book(time, bids=((199, 5),), asks=((201, 5),), valid=True):
    """Prices in ticks of STEP, as whole numbers of a decimal."""
    sides = [packed([(round(price * STEP * 10), round(size * 100)) for price, size in side]) for side in (bids, asks)]
    return Book(KEY, round(time), valid, "", 0, 0, 1, 2, *(sides if valid else (b"", b"")), 1, 1, 0.0, 1.0, 1.0, 10.0)


def market(step, time=0):
    return Market(KEY, time, time, "open", "A", "USD", "", step, 0.1, 0.1, 0, 0, "", "", "")


def simulated(seconds=600, seed=1):
    """The simulated flow as records, with a clock each second."""
    now = 0
    for event in taker_flow.flow(seed, seconds, scale=3.0):
        while event.event_ns >= now:
            yield Clock(now)
            now += SECOND
        if isinstance(event, taker_flow.Book):
            yield book(event.event_ns, event.bids, event.asks)
        else:
            yield Trade(KEY, event.event_ns, event.event_ns, event.price * STEP, event.size, event.taker, 0, 0, 0)
    yield Clock(now)


def run(events, **options):
    stage = Intensities(KEY, IntensityOptions(**{**NEAR, **options}))
    return [made for event in events for made in stage.on_event(event)], stage


@pytest.mark.parametrize("method", ["virtual", "depth", "bayes"])
def test_kappa_is_per_usd_by_the_tick(method):
    said, _ = run(simulated(), method=method)
    assert said[-1].usable
    assert said[-1].kappa == pytest.approx(0.1 / STEP, rel=0.1)
    assert said[-1].kappa_low < said[-1].kappa < said[-1].kappa_high
    assert said[-1].scale == pytest.approx(3.0, rel=0.15)
    assert said[-1].price_step == STEP


def test_it_is_said_at_every_multiple_of_the_clock_and_not_before_there_is_a_book():
    said, _ = run(
        [Clock(5 * SECOND), Clock(10 * SECOND), book(11 * SECOND), *(Clock(s * SECOND) for s in range(12, 45))]
    )
    assert len(said) == 3
    assert "stretches of the window" in said[0].reason
    assert (said[0].usable, said[0].kappa, said[0].scale) == (False, 0.0, 0.0)


def test_a_silent_market_is_not_usable_however_much_was_seen():
    events = list(simulated())
    said, _ = run([*events, *(Clock((601 + second) * SECOND) for second in range(40))])
    assert said[-1].reason.startswith("no book and no trade for")


def test_another_tick_begins_anew():
    said, _ = run([*simulated(), market(0.25), Clock(700 * SECOND)])
    assert said[-2].usable
    assert said[-1].reason == "no valid book since the price step is known"


def test_an_unknown_tick_gives_no_figure():
    said, _ = run(simulated(60), price_step=0.0)
    assert {found.reason for found in said} == {"the price step is not known"}
    assert min(found.event_ns for found in said) > 0  # the clock's time, as nothing is counted yet


def test_a_market_of_the_same_tick_changes_nothing():
    events = list(simulated(300))
    assert run([*events[:500], market(STEP), *events[500:]])[0] == run(events)[0]


def test_books_that_are_not_valid_do_not_count():
    events = [book(event.event_ns, valid=False) if isinstance(event, Book) else event for event in simulated(300)]
    said, stage = run(events)
    assert not any(found.usable for found in said)
    assert sum(sum(block["seconds"][0]) for block in stage.state.blocks) == 0.0


def order(time, status, name="one", filled=0, side="sell", price=1010):
    return OrderState(
        KEY, round(time), "s", "paper", name, "v", status, side, price, 10, filled, 1, 2, True, False, 0, ""
    )


def fill(time, name="one", number="f", side="sell", price=1010):
    return Fill(KEY, round(time), "s", "paper", name, "v", number, side, price, 5, 1, 2, 0.0, "maker", 0.0)


def test_own_orders_count_for_the_time_they_stood_and_for_their_first_fill():
    # the mid is 200 ticks of 0.5 = 100 USD; 101.0 is 2 ticks out: the nearest depth
    books = [book(second * SECOND) for second in range(10)]
    first, second = fill(4.5 * SECOND), fill(4.6 * SECOND, number="g")
    said, stage = run(
        [book(0), order(SECOND, "open"), *books[1:5], first, second, *books[5:], Clock(10 * SECOND)], method="bayes"
    )
    block = stage.state.blocks[0]
    assert block["own_fills"][0] == [1] + [0] * 19
    assert block["own_seconds"][0][0] == pytest.approx(3.5)
    assert said[-1].fills == 1


@pytest.mark.parametrize("status", ["partly_filled", "filled", "cancelled"])
def test_a_first_fill_counts_once_whether_the_order_state_or_the_fill_is_told_first(status):
    told = [order(4.5 * SECOND, status, filled=5), fill(4.5 * SECOND)]
    for words in (told, told[::-1]):
        _, stage = run([book(0), order(SECOND, "open"), *words, book(5 * SECOND)])
        block = stage.state.blocks[0]
        assert block["own_fills"][0] == [1] + [0] * 19
        assert block["own_seconds"][0][0] == pytest.approx(3.5)


def test_an_order_that_has_ended_is_no_longer_followed():
    _, stage = run([book(0), order(SECOND, "open"), order(2 * SECOND, "cancelled"), book(5 * SECOND)])
    assert stage.state.own == {}
    assert stage.state.blocks[0]["own_seconds"][0][0] == pytest.approx(1.0)


def test_what_the_rates_foretell_for_own_orders_is_kept_beside_their_fills():
    events = list(simulated())
    at = events[-1].event_ns
    mid = 10_000.5  # of the simulated flow: 4 ticks out is the second depth
    far = order(at, "open", price=round((mid + 3.5) * STEP * 10))
    flow = [book(at + second * SECOND, [(10_000, 5.0)], [(10_001, 5.0)]) for second in range(1, 8)]
    said, stage = run([*events, far, *flow, Clock(at + 10 * SECOND)], method="virtual")
    expected = 7 * stage.state.rates[1]
    assert said[-1].fills_expected == pytest.approx(expected, rel=0.05)
    assert stage.state.rates[1] == pytest.approx(3.0 * math.exp(-0.4), rel=0.2)


def test_a_record_far_ahead_of_the_clock_is_refused_and_changes_nothing():
    _, stage = run([Clock(SECOND), book(SECOND)])
    before = stage.snapshot()
    with pytest.raises(Rejected, match="ahead of the clock"):
        list(stage.on_event(book(100 * SECOND)))
    assert stage.snapshot() == before


def test_a_market_is_taken_though_it_comes_before_the_clock():
    _, stage = run([market(0.5), Clock(SECOND)])
    list(stage.on_event(market(0.1, time=100 * SECOND)))
    assert stage.state.step == 0.1


def test_a_restart_changes_nothing():
    events = list(simulated(400))
    whole, _ = run(events)
    first, stage = run(events[:1_777])
    fresh = Intensities(KEY, IntensityOptions(**NEAR))
    fresh.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stage.snapshot())))
    assert first + [made for event in events[1_777:] for made in fresh.on_event(event)] == whole


@pytest.mark.parametrize(
    ("options", "name"),
    [({"method": "simple"}, "method"), ({"side": "all"}, "side"), ({"every_ms": 0}, "every_ms"),
     ({"price_step": -1.0}, "price_step"), ({"prior_rate": 0.0}, "rate"), ({"depths": 1}, "depths")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_by_name(options, name):
    with pytest.raises(ValueError, match=name):
        IntensityOptions(**options)
