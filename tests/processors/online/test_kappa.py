import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.online.decay_fits import Fit, exponential, regression
from processors.online.fill_counts import ASK, BID, SECOND, Counts, counts
from processors.online.fill_posterior import Prior, believed, posterior
from processors.online.kappa import METHODS, QUEUED, fit, in_quote
from processors.online.trade_rate import trade_rate
from processors.online.virtual_quotes import QuoteOptions, QuotesState, VirtualQuotes
from tests.taker_flow import Book, Trade, flow

KAPPA = 0.1  # of the simulated flow, per tick
SPACING = 2
QUOTES = QuoteOptions(spacing_ticks=SPACING)


def take(quotes, event):
    if isinstance(event, Book):
        quotes.book(event.event_ns, event.bids, event.asks)
    else:
        quotes.trade(event.event_ns, event.price, event.size, event.taker)


def followed(events, queue, options=QUOTES):
    quotes = VirtualQuotes(options, QuotesState(), queue)
    for event in events:
        take(quotes, event)
    quotes.settle()
    return quotes.state


def estimate(events, method, side="both", options=QUOTES):
    return fit(counts(followed(events, method in QUEUED, options).blocks, side, SPACING), method)


def drawn(seed, blocks=30, taker_count=200.0, depths=20, seconds=60.0):
    """Counts as quotes that are put up again at once would give them."""
    rng = np.random.default_rng(seed)
    reach = [rng.exponential(1 / KAPPA, rng.poisson(taker_count)) for _ in range(blocks)]
    at = SPACING * np.arange(1.0, depths + 1)
    fills = np.array([(block[:, None] >= at).sum(axis=0) for block in reach], float)
    return Counts(fills, np.full((blocks, depths), seconds), at)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(3))
def test_kappa_is_found_within_5_percent_on_simulated_takers(method, seed):
    options = QuoteOptions(spacing_ticks=SPACING, block_ms=180_000)
    found = estimate(flow(seed, 5_400), method, options=options)
    assert found.kappa == pytest.approx(KAPPA, rel=0.05)
    assert found.scale == pytest.approx(2.0, rel=0.05)
    assert found.reason == ""
    assert method == "bayes" or found.r_squared > 0.99


@pytest.mark.parametrize("estimator", [exponential, regression, lambda drawn: believed(drawn, Prior())])
def test_the_90_percent_interval_covers_85_to_95_percent_of_runs(estimator):
    found = [estimator(drawn(seed)) for seed in range(600)]
    covered = np.mean([one.low <= KAPPA <= one.high for one in found])
    assert 0.85 <= covered <= 0.95


def test_bursts_widen_the_interval_of_every_method():
    # every taker ten times over: as many fills, a tenth of the news
    plain, bursts = drawn(1, taker_count=2_000), drawn(1)
    bursts = bursts._replace(fills=10 * bursts.fills)
    for method in METHODS:
        one, other = fit(plain, method), fit(bursts, method)
        assert math.log(other.high / other.low) > 1.5 * math.log(one.high / one.low)


@pytest.mark.parametrize("side", ["ask", "bid"])
def test_each_side_is_found_from_its_own_takers(side):
    buys = [event for event in flow(1, 1_800, kappa=0.2) if isinstance(event, Trade) and event.taker == "buy"]
    others = [event for event in flow(2, 1_800) if isinstance(event, Book) or event.taker == "sell"]
    events = sorted(buys + others, key=lambda event: event.event_ns)
    expected = {"ask": 0.2, "bid": 0.1}[side]
    assert estimate(events, "virtual", side).kappa == pytest.approx(expected, rel=0.1)


def test_a_quote_waits_for_the_volume_ahead_of_it_and_for_no_more():
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3, life_ms=60_000), QuotesState(), queue=True)
    bids, asks = [(99.0 - level, 1.0) for level in range(9)], [(101.0 + level, 4.0) for level in range(9)]
    quotes.book(0, bids, asks)
    fills = []
    for second, size in enumerate([3.0, 1.0, 0.5, 0.5], 1):  # 4 wait ahead at 101: the third trade is beyond them
        quotes.trade(second * SECOND, 101.0, size, "buy")
        fills.append(quotes.open_block()["fills"][ASK][0])
    assert fills == [0, 0, 1, 1]


def test_who_leaves_the_queue_no_longer_waits_ahead():
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3, life_ms=60_000), QuotesState(), queue=True)
    bids = [(99.0 - level, 1.0) for level in range(9)]
    quotes.book(0, bids, [(101.0 + level, 4.0) for level in range(9)])
    quotes.book(SECOND, bids, [(101.0 + level, 0.5 if level == 0 else 4.0) for level in range(9)])
    quotes.trade(2 * SECOND, 101.0, 1.0, "buy")
    assert quotes.open_block()["fills"][ASK] == [1, 0, 0]


def test_a_queue_makes_fills_rarer_than_without():
    # takers that eat only half a level: without queue they fill whom they touch
    halved = [event if isinstance(event, Book) else Trade(event.event_ns, event.price, 2.5, event.taker)
              for event in flow(3, 1_800)]  # fmt: skip
    fills = {
        queue: sum(sum(block["fills"][BID]) for block in followed(halved, queue).blocks) for queue in (True, False)
    }
    assert 0 < fills[True] < fills[False]


def test_time_without_a_valid_book_does_not_count_and_its_trades_do_not_either():
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3), QuotesState(), queue=False)
    quotes.book(0, [(99.0, 1.0)], [(101.0, 1.0)])
    quotes.invalid(2 * SECOND)
    quotes.trade(3 * SECOND, 110.0, 1.0, "buy")
    quotes.book(10 * SECOND, [(99.0, 1.0)], [(101.0, 1.0)])
    quotes.trade(11 * SECOND, 101.0, 1.0, "buy")
    quotes.settle()
    assert (quotes.open_block()["seconds"][ASK], quotes.open_block()["fills"][ASK]) == ([3.0] * 3, [1, 0, 0])


def test_a_book_that_is_not_renewed_counts_until_it_is_stale():
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3, stale_ms=4_000), QuotesState(), queue=False)
    quotes.book(0, [(99.0, 1.0)], [(101.0, 1.0)])
    quotes.trade(9 * SECOND, 110.0, 1.0, "buy")
    assert (quotes.open_block()["seconds"][ASK], quotes.open_block()["fills"][ASK]) == ([4.0] * 3, [0, 0, 0])


@pytest.mark.parametrize("bids", [[(102.0, 1.0)], []])
def test_a_crossed_or_one_sided_book_counts_as_invalid(bids):
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3), QuotesState(), queue=False)
    quotes.book(0, [(99.0, 1.0)], [(101.0, 1.0)])
    quotes.book(SECOND, bids, [(101.0, 1.0)])
    quotes.advance(5 * SECOND)
    quotes.settle()
    assert quotes.open_block()["seconds"][ASK] == [1.0] * 3


def test_one_sweep_of_several_trades_fills_each_quote_once():
    quotes = VirtualQuotes(QuoteOptions(spacing_ticks=1, depths=3), QuotesState(), queue=False)
    quotes.book(0, [(99.0, 1.0)], [(101.0, 1.0)])
    for price in (101.0, 102.0, 103.0):
        quotes.trade(SECOND, price, 1.0, "buy")
    assert quotes.open_block()["fills"][ASK] == [1, 1, 1]


def test_the_window_forgets_what_is_older():
    options = QuoteOptions(spacing_ticks=SPACING, blocks=10, block_ms=10_000)
    late = followed(flow(5, 300), False, options)
    assert sum(block["trades"] for block in late.blocks) < 0.5 * sum(1 for e in flow(5, 300) if isinstance(e, Trade))
    assert sum(block["seconds"][ASK][-1] for block in late.blocks) <= 100.0


@settings(max_examples=25)
@given(st.integers(0, 99), st.lists(st.integers(1, 400), max_size=6), st.booleans())
def test_streaming_equals_one_go_however_it_is_cut(seed, cuts, queue):
    events = list(flow(seed, 200, levels=50))
    whole = followed(events, queue)
    quotes = VirtualQuotes(QUOTES, QuotesState(), queue)
    for number, event in enumerate(events):
        take(quotes, event)
        if number in cuts:
            plain = msgspec.msgpack.decode(msgspec.msgpack.encode(quotes.state))
            quotes = VirtualQuotes(QUOTES, QuotesState(**plain), queue)
    quotes.settle()
    assert quotes.state == whole


def test_what_cannot_be_estimated_has_a_reason_and_no_figure():
    depths, seconds = np.arange(1.0, 5), np.full((12, 4), 10.0)
    rising = Counts(np.array([[1.0, 2, 3, 9]] * 12), seconds, depths)
    one_burst = Counts(np.vstack([[90.0, 40, 20, 9], *[[0.0] * 4] * 11]), seconds, depths)
    few = Counts(np.array([[1.0, 0, 0, 0]] * 12), seconds, depths)
    short = Counts(np.array([[90.0, 40, 20, 9]] * 4), seconds[:4], depths)
    nothing = Counts(np.zeros((12, 4)), np.zeros((12, 4)), depths)
    for case in (rising, one_burst, few, short, nothing):
        for method in ("virtual", "depth"):
            found = fit(case, method)
            assert found.reason
            assert found == Fit(reason=found.reason)
    assert "does not fall" in fit(rising, "bayes").reason


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1, max_size=12))
def test_the_posterior_stays_finite_in_thin_markets(fills):
    fills = np.sort(np.array(fills, float), axis=1)[:, ::-1]  # nearer quotes are filled no less often
    found = believed(Counts(fills, np.full(fills.shape, 10.0), np.arange(1.0, 6)), Prior())
    assert found.reason == ""
    assert all(math.isfinite(value) and value > 0.0 for value in found[:4])
    assert found.low < found.kappa < found.high


@pytest.mark.parametrize("seconds", [1.0, 1e-2, 1e-4, 1e-9])
def test_the_posterior_stays_finite_however_little_was_believed(seconds):
    one_depth = np.zeros((12, 20))
    one_depth[:, 0] = 100
    for fills, stood in ((np.zeros((12, 20)), 0.0), (one_depth, 60.0)):
        drawn = Counts(fills, np.full((12, 20), stood), np.arange(1.0, 21))
        found = believed(drawn, Prior(seconds=seconds))
        assert 0.0 < found.low < found.high < math.inf
        assert 0.0 < found.kappa < math.inf


def test_the_posterior_is_gamma_by_hand():
    # prior: mean 0.1 e^-1 worth 100 s; 7 fills in 50 s and two own ones of weight 3 in 20 s
    seen = Counts(np.array([[7.0, 1.0, 0.0]]), np.full((1, 3), 50.0), np.arange(1.0, 4), 0,
                  np.array([2.0, 0, 0]), np.array([20.0, 0, 0]))  # fmt: skip
    rates = posterior(seen, Prior(rate=0.1, decay=3.0, seconds=100.0, own_weight=3.0))
    assert rates.shape[0] == pytest.approx(100 * 0.1 * math.exp(-1) + 7 + 6)
    assert rates.seconds.tolist() == [210.0, 150.0, 150.0]
    assert (rates.quantile(0.05) < rates.mean()).all()
    assert (rates.mean() < rates.quantile(0.95)).all()


def test_own_fills_that_come_less_often_than_foretold_raise_kappa():
    calm = drawn(2)
    depths = len(calm.depths)
    far = np.where(np.arange(depths) < 3, 0.0, 20_000.0)  # own quotes stood far out for hours and were not filled
    own = calm._replace(own_fills=np.zeros(depths), own_seconds=far)
    assert believed(own, Prior()).kappa > 1.2 * believed(calm, Prior()).kappa


def test_a_decay_per_tick_becomes_one_per_usd_by_the_tick():
    per_usd = in_quote(Fit(0.5, 0.4, 0.6, 2.0, 0.9), 0.1)
    assert per_usd == Fit(5.0, 4.0, pytest.approx(6.0), 2.0, 0.9)


@given(st.integers(0, 10_000), st.floats(1.0, 1e5))
def test_a_trade_rate_lies_within_its_interval(trades, time):
    found = trade_rate(trades, time)
    assert found.low <= found.rate < found.high


def test_the_interval_of_a_trade_rate_covers_90_percent_of_poisson_counts():
    counts_ = np.random.default_rng(1).poisson(40.0, 2_000)
    covered = np.mean([found.low <= 4.0 <= found.high for found in (trade_rate(int(n), 10.0) for n in counts_)])
    assert 0.88 <= covered <= 0.94


@pytest.mark.parametrize(
    ("change", "name"),
    [({"depths": 2}, "depths"), ({"reach_bps": 0.0}, "reach_bps"), ({"blocks": 9}, "blocks"),
     ({"life_ms": -1}, "life_ms"), ({"stale_ms": 0}, "stale_ms"), ({"stale_ms": 70_000}, "block_ms")],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused_by_name(change, name):
    with pytest.raises(ValueError, match=name):
        QuoteOptions(**change)
