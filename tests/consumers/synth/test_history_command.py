"""The past on the topic ``bars``, fetched from venues on this machine: stages are warm after it, and only once."""

import msgspec
import pytest
from typer.testing import CliRunner

from consumers.reader import Reader
from consumers.synth.command import app
from consumers.synth.state import MINUTE_NS
from infra.errors import UserError
from infra.publisher import Publisher
from processors.chain import EventChain
from processors.volatility_states import VolatilityStates
from processors.wide_bars import WideBars
from schemas import Bar, VolatilityState
from schemas.codec import Codec
from tests.consumers.synth.made import MONDAY, minutes
from tests.consumers.synth.made import frame as file_of
from tests.consumers.synth.venues import BINANCE, Minutes, bar
from tests.live import Workers
from tests.producers.history.server import Status, Venue, serve
from tests.waiting import until

FRIDAY, SATURDAY, SUNDAY = "2026-04-24", "2026-04-25", "2026-04-26"
END = MONDAY + 4 * 1_440  # the minute in which that Friday begins
FIRST = END - 3 * 1_440 - 60
BTC, HYPE, NVDA = "binance:BTCUSDT", "hyperliquid:@107", "hyperliquid:xyz:NVDA"


@pytest.fixture
def venue():
    with serve(Minutes().serve(Venue())) as found:
        yield found


@pytest.fixture
def called(make_topics, venue, monkeypatch):
    """Calls the command on topics of the test's own; its settings are an attribute."""
    settings = make_topics()
    for name in ("brokers", "topic_prefix", "group"):
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", str(getattr(settings, name)))

    def call(*arguments, code=0):
        result = CliRunner().invoke(app, ["history", "--via", venue.url, *map(str, arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result.output

    call.settings = settings
    return call


def logged(settings, kind=Bar):
    with Reader(settings, Codec(), kind, start="earliest", to_end=True) as reader:
        found = []
        while not reader.finished:
            found += [one.record for one in reader.poll()]
    return found


def put(settings, *bars):
    with Publisher(settings, Codec()) as publisher:
        for one in bars:
            publisher.publish(one)


def of(bars, instrument):
    return [one for one in bars if one.instrument == instrument]


def last_states(bars):
    """The last state of each instrument that stages on the log come to; they refuse nothing."""
    chain, found = EventChain([WideBars, VolatilityStates]), {}
    for one in bars:
        made, refused = chain.on_event(one)
        assert refused == []
        found |= {state.instrument: state for state in made if isinstance(state, VolatilityState)}
    return found


def test_stages_on_the_log_are_warm_after_it(called):
    said = called("--asset", "BTC", "--asset", "HYPE", "--warmup-date", FRIDAY)
    assert "BTC: 4380 bars written, skipped 0 that the log holds and 0 that are too late for it" in said
    bars = logged(called.settings)
    assert of(bars, BTC) == [bar(minute) for minute in range(FIRST, END)]
    assert [one.event_ns - one.received_ns for one in bars] == [0] * 2 * 4_380
    states = last_states(bars)
    assert {name: (state.warm, state.event_ns) for name, state in states.items()} == {
        BTC: (True, END * MINUTE_NS), HYPE: (True, END * MINUTE_NS),
    }  # fmt: skip


@pytest.mark.real_broker
def test_a_worker_is_warm_after_it(called, tmp_path):
    called("--asset", "BTC", "--warmup-date", FRIDAY)
    (expected,) = last_states(logged(called.settings)).values()
    with Workers(called.settings, tmp_path) as workers:
        workers.start("one", "wide_bars", "volatility_states")
        workers.ready("one")
        states = []

        def at_the_end():
            nonlocal states
            workers.alive()
            states = logged(called.settings, VolatilityState)
            return bool(states) and states[-1].event_ns == END * MINUTE_NS

        until(at_the_end, every_s=0.5)
    assert states[-1] == expected
    assert [state.warm for state in states] == [False] * 4_320 + [True] * 60


def test_once_more_writes_nothing_and_a_day_later_what_has_come_since(called):
    called("--asset", "BTC", "--warmup-date", FRIDAY)
    said = called("--asset", "BTC", "--warmup-date", FRIDAY)
    assert "BTC: 0 bars written, skipped 4380 that the log holds and 0 that are too late for it" in said
    said = called("--asset", "BTC", "--warmup-date", SATURDAY)
    assert "BTC: 1440 bars written, skipped 2940 that the log holds and 0" in said
    assert logged(called.settings) == [bar(minute) for minute in range(FIRST, END + 1_440)]


def test_a_bar_that_stages_would_refuse_is_not_written(called):
    feeds = bar(END - 10)
    put(called.settings, feeds, msgspec.structs.replace(feeds, width_ms=300_000, event_ns=feeds.event_ns + MINUTE_NS))
    said = called("--asset", "BTC", "--asset", "HYPE", "--warmup-date", FRIDAY)
    assert "BTC: 9 bars written, skipped 1 that the log holds and 4370 that are too late for it" in said
    assert "it holds 0.1 h, 72 h are warm" in said
    assert "HYPE: 4380 bars written" in said
    bars = logged(called.settings)
    assert [one for one in of(bars, BTC) if one.width_ms == 60_000] == [bar(minute) for minute in range(END - 10, END)]
    last_states(bars)


def test_the_days_and_the_prices_are_those_asked_for(called):
    said = called("--asset", "BTC", "--days", "1", "--source", f"BTC={HYPE}", "--warmup-date", FRIDAY)
    assert "BTC: 1500 bars written" in said
    bars = logged(called.settings)
    assert {one.instrument for one in bars} == {HYPE}
    assert bars[0].event_ns == (END - 1_500 + 1) * MINUTE_NS


def test_an_equity_has_its_five_days_with_a_file(called, tmp_path):
    file_of(minutes(5), NVDA).write_parquet(tmp_path / "bars.parquet")
    said = called("--asset", "NVDAX", "--bars", tmp_path / "bars.parquet", "--warmup-date", SUNDAY)
    assert "NVDAX: 7260 bars written" in said
    assert "it holds 121.0 h, 120 h are warm" in said
    (state,) = last_states(logged(called.settings)).values()
    assert (state.asset, state.warm) == ("NVDAX", True)


def test_an_asset_that_cannot_be_had_is_named_and_the_others_are_written(called, venue):
    venue.always[BINANCE] = Status(400)
    venue.always["/data-api.binance.vision"] = Status(400)
    said = called("--asset", "BTC", "--asset", "HYPE", "--warmup-date", FRIDAY, code=1)
    assert "not fetched: BTC" in said
    assert {one.instrument for one in logged(called.settings)} == {HYPE}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--asset", "DOGE"), "--asset: 'DOGE' is none of BTC"),
        (("--warmup-date", "soon"), "--warmup-date: 'soon'"),
        (("--asset", "BTC", "--source", "BTC=pyth:BTC/USD"), "pyth_key"),
    ],
)
def test_a_mistake_is_told_by_its_name(called, arguments, named):
    with pytest.raises(UserError, match=named):
        called(*arguments)


def test_without_a_broker_no_venue_is_asked(called, venue, monkeypatch):
    monkeypatch.setenv("TIDEMILL_BROKERS", "127.0.0.1:1")
    with pytest.raises(UserError, match="no Kafka broker answers"):
        called("--asset", "BTC")
    assert venue.requests == []
