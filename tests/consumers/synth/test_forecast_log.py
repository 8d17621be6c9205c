"""The fan chart of a forecast on the topics: as the stages made it, with what came as far as the log knows."""

import functools
import re
import time

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from consumers.synth.command import app
from consumers.synth.forecast_log import chart_of
from consumers.synth.state import MINUTE_NS
from infra.errors import UserError
from infra.publisher import Publisher
from processors.chain import EventChain
from processors.forecasts import Forecasts
from processors.volatility_states import VolatilityStates
from processors.wide_bars import WideBars
from schemas import Forecast
from schemas.codec import Codec
from tests.consumers.synth.made import MONDAY
from tests.consumers.synth.venues import bar, prices

LAST = MONDAY + 4_420  # minute of the last bar: 2026-04-23T01:40


@functools.cache
def forecasts():
    """What the stages make of the bars."""
    chain = EventChain([WideBars, VolatilityStates, Forecasts])
    made = [record for minute in range(MONDAY, LAST + 1) for record in chain.on_event(bar(minute))[0]]
    return [record for record in made if isinstance(record, Forecast)]


@pytest.fixture
def topics(make_topics, monkeypatch):
    """Settings of topics that hold the bars and the forecasts."""
    settings = make_topics()
    for name in ("brokers", "topic_prefix", "group"):
        monkeypatch.setenv(f"TIDEMILL_{name.upper()}", str(getattr(settings, name)))
    with Publisher(settings, Codec()) as publisher:
        for minute in range(MONDAY + 4_000, LAST + 1):
            publisher.publish(bar(minute))
            publisher.publish(msgspec.structs.replace(bar(minute), instrument="binance:ETHUSDT", close=1.0, low=0.5))
        for forecast in forecasts():
            publisher.publish(forecast)
            publisher.publish(msgspec.structs.replace(forecast, asset="ETH", instrument="binance:ETHUSDT"))
    return settings


def fan(*arguments):
    result = CliRunner().invoke(app, ["fan", "--asset", "BTC", "--from", "kafka", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output.replace("\n", "")


def test_a_forecast_of_the_topic_is_drawn_with_what_came(topics, tmp_path):
    out = tmp_path / "fan.html"
    assert str(out) in fan("--competition", "1h", "--start", "2026-04-23T00:30", "--out", out)
    page = out.read_text()
    assert "<title>BTC, 1h from 2026-04-23 00:30</title>" in page
    assert re.findall(r">(\d\d %|median|what came)</text>", page) == ["95 %", "90 %", "50 %", "median", "what came"]


def test_without_a_start_the_newest_is_drawn(topics, tmp_path):
    out = tmp_path / "fan.html"
    fan("--competition", "1h", "--out", out)
    text = out.read_text()
    assert "BTC, 1h from 2026-04-23 01:42" in text  # a minute after the last bar's end
    assert "what came" not in text


def test_the_newest_may_be_older_than_a_day(topics, tmp_path, monkeypatch):
    now_ns = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now_ns + 2 * 1_440 * MINUTE_NS)
    fan("--out", tmp_path / "fan.svg")
    assert "BTC, 24h from 2026-04-23 01:40" in (tmp_path / "fan.svg").read_text()


@pytest.mark.parametrize(("competition", "step", "points"), [("1h", 1, 61), ("24h", 5, 289)])
def test_the_chart_has_the_bands_of_the_record_and_the_closes_of_the_bars(topics, competition, step, points):
    start = MONDAY + 4_340
    (expected,) = [
        found for found in forecasts() if (found.competition, found.start_ns) == (competition, start * MINUTE_NS)
    ]
    chart = chart_of(topics, "BTC", competition, start * 60)
    assert chart.quantiles.astype("<f4").tobytes() == expected.bands
    minutes = start + step * np.arange(points)
    assert chart.times.tolist() == (minutes * 60).astype("datetime64[s]").tolist()
    came = [prices(minute)[3] if minute <= LAST else np.nan for minute in minutes.tolist()]
    np.testing.assert_array_equal(chart.real, came)
    begins, closes = chart.before
    assert begins[-1] == np.datetime64((start - 2) * 60, "s")  # the bar that it was made on
    assert closes[-1] == expected.price == prices(start - 2)[3]
    assert begins[0] == np.datetime64(max(start - step * (points - 1) // 2, MONDAY + 4_000) * 60, "s")


def test_of_a_start_the_forecast_made_last_counts_and_of_a_bar_the_first(topics):
    (first,) = [found for found in forecasts() if (found.competition, found.start_ns) == ("1h", LAST * MINUTE_NS)]
    later = msgspec.structs.replace(first, event_ns=first.event_ns + 1, bands=bytes(len(first.bands)), origin="http")
    with Publisher(topics, Codec()) as publisher:
        publisher.publish(later)
        publisher.publish(first)
        publisher.publish(msgspec.structs.replace(bar(LAST), close=bar(LAST).high))
    chart = chart_of(topics, "BTC", "1h", LAST * 60)
    assert not chart.quantiles.any()
    assert chart.real[0] == prices(LAST)[3]


def test_levels_that_a_chart_has_not_are_refused_by_name(topics):
    other = msgspec.structs.replace(
        forecasts()[-1], asset="SOL", levels=np.array([0.5], "<f8").tobytes(), event_ns=LAST * MINUTE_NS
    )
    with Publisher(topics, Codec()) as publisher:
        publisher.publish(other)
    with pytest.raises(UserError, match=r"levels: \[0.5\]"):
        chart_of(topics, "SOL", other.competition)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--competition", "1h", "--start", "2026-04-22T12:00"), "--start: no forecast of BTC for 1h starts .*04-23"),
        (("--asset", "XAU"), "no forecast of XAU for 24h on the topic forecasts"),
        (("--asset", "DOGE"), "asset: 'DOGE' is none of"),
        (("--competition", "2h"), "--competition: '2h' is neither"),
        (("--paths", "50"), "--from kafka: takes no --bars and no --paths"),
        (("--bars", "bars.parquet"), "--from kafka: takes no --bars"),
        (("--from", "hearsay"), "--from: 'hearsay'"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_told_by_its_option(topics, tmp_path, arguments, named):
    with pytest.raises(UserError, match=named):
        fan("--out", tmp_path / "fan.png", *arguments)
