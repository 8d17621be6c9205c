"""The updater against venues on this machine: what it keeps is what the bars make, whatever goes wrong."""

import functools
import threading

import msgspec
import polars as pl
import pytest
from structlog.testing import capture_logs

from consumers.synth.fetching import kept_bars, places
from consumers.synth.state import MINUTE_NS, Envelope, load, place, save
from consumers.synth.tracking import Tracking, parameters
from consumers.synth.updater import Updater, Updating
from infra.errors import UserError
from infra.settings import load_settings
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.made import MONDAY
from tests.consumers.synth.venues import BINANCE, HYPERLIQUID, Minutes, bar, ended, prices
from tests.producers.history.server import Body, Status, Venue, serve

WARM = 3 * 1_440 + 60
BTC = ASSETS["BTC"]


@pytest.fixture
def venue():
    with serve(Minutes().serve(Venue())) as found:
        yield found


class Clock:
    """A clock that is set by hand."""

    def __init__(self, minute):
        self.minute = minute

    def __call__(self):
        return ended(self.minute)


def updating(venue, folder, clock, names=("BTC",), begin_ns=None, **replaced):
    assets = {name: ASSETS[name]._replace(**({"source": replaced[name]} if name in replaced else {})) for name in names}
    settings = load_settings(env_file=None, pyth_key="a key")
    there = places(assets, settings, threading.Event(), venue.url, pause_s=0.001)
    updaters = {name: Updater(folder, assets[name], there[name], clock, begin_ns) for name in names}
    return Updating(updaters, 0.01, threading.Event())


def made_from(last, first=0, asset=BTC, missing=()):
    """The state that all bars of a stretch make at once."""
    tracking = Tracking(asset)
    tracking.take([bar(MONDAY + place, asset.source) for place in range(first, last + 1) if place not in missing])
    return tracking.kept()


def kept(folder, asset=BTC):
    return load(folder, asset, ended(20_000), parameters(asset))


def test_a_state_is_built_from_72_hours_and_is_warm(venue, tmp_path):
    assert updating(venue, tmp_path, Clock(WARM)).once() == []
    assert kept(tmp_path) == made_from(WARM, first=1)
    assert kept(tmp_path).volatility_state.warm


def test_then_only_new_minutes_are_asked_for_and_the_state_is_what_all_bars_make(venue, tmp_path):
    clock = Clock(WARM)
    updater = updating(venue, tmp_path, clock)
    updater.once()
    asked = len(venue.requests)
    for clock.minute in (WARM + 1, WARM + 2, WARM + 9):
        assert updater.once() == []
    assert len(venue.requests) == asked + 3
    assert kept(tmp_path) == made_from(WARM + 9, first=1)


def test_a_fresh_process_goes_on_where_the_file_ends(venue, tmp_path):
    for minute in (WARM, WARM + 3, WARM + 4):
        updating(venue, tmp_path, Clock(minute)).once()
    assert kept(tmp_path) == made_from(WARM + 4, first=1)


def test_nothing_new_is_no_fault_and_writes_nothing(venue, tmp_path):
    updater = updating(venue, tmp_path, Clock(WARM))
    updater.once()
    before = place(tmp_path, "BTC").stat().st_mtime_ns
    assert updater.once() == []
    assert place(tmp_path, "BTC").stat().st_mtime_ns == before


def test_an_asset_without_any_bar_is_told_as_not_updated(venue, tmp_path):
    venue.always[BINANCE] = Body(b"[]")
    with capture_logs() as told:
        assert updating(venue, tmp_path, Clock(WARM)).once() == ["BTC"]
    assert told[-1]["reason"] == "Failure: no bars at all"


def test_a_minute_that_has_not_settled_is_not_taken(venue, tmp_path):
    updating(venue, tmp_path, lambda: (MONDAY + WARM + 1) * MINUTE_NS + 1_000_000_000).once()
    assert kept(tmp_path).seen_ns == (MONDAY + WARM) * MINUTE_NS


@pytest.mark.parametrize(("name", "source"), [("HYPE", "hyperliquid:@107"), ("BTC", "pyth:BTC/USD")])
def test_other_venues_give_the_same(venue, tmp_path, name, source):
    assert updating(venue, tmp_path, Clock(WARM), [name], **{name: source}).once() == []
    asset = ASSETS[name]._replace(source=source)
    found = kept(tmp_path, asset).volatility_state
    same = made_from(WARM, first=1, asset=asset).volatility_state
    assert found == same
    assert (found.asset, found.warm) == (name, True)


def frame(first, last, symbol):
    """Bars in a file as users have them."""
    minutes = range(MONDAY + first, MONDAY + last)
    columns = dict(zip(("open", "high", "low", "close"), zip(*map(prices, minutes), strict=True), strict=True))
    return pl.DataFrame({"ts": [minute * 60_000 for minute in minutes], "symbol": symbol, **columns})


def test_an_equity_is_built_from_five_days_where_the_venue_and_a_file_have_them(venue, tmp_path):
    nvdax, last = ASSETS["NVDAX"], 7_900
    updating(venue, tmp_path / "venue", Clock(last), ["NVDAX"]).once()
    assert not kept(tmp_path / "venue", nvdax).volatility_state.warm  # it keeps 5,000 minutes
    frame(0, 5_000, "hyperliquid:xyz:NVDA").write_parquet(tmp_path / "bars.parquet")
    both = updating(venue, tmp_path / "both", Clock(last), ["NVDAX"])
    both._updaters["NVDAX"]._history = functools.partial(kept_bars, nvdax, tmp_path / "bars.parquet")
    assert both.once() == []
    found = kept(tmp_path / "both", nvdax)
    assert found.volatility_state == made_from(last, last + 1 - 5 * 1_440 - 60, nvdax).volatility_state
    assert found.volatility_state.warm


def test_a_file_that_reaches_to_now_is_enough_for_a_state(venue, tmp_path):
    frame(0, WARM + 1, "BTCUSDT").write_parquet(tmp_path / "bars.parquet")
    updater = updating(venue, tmp_path, Clock(WARM))
    updater._updaters["BTC"]._history = functools.partial(kept_bars, BTC, tmp_path / "bars.parquet")
    assert updater.once() == []
    assert venue.requests == []
    assert len(kept(tmp_path).bars) == WARM
    assert kept(tmp_path).volatility_state.warm


def test_what_could_not_be_saved_is_saved_when_it_can_be(venue, tmp_path):
    folder, clock = tmp_path / "states", Clock(WARM)
    updater = updating(venue, folder, clock)
    updater.once()
    place(folder, "BTC").rename(tmp_path / "BTC.msgpack")
    folder.rmdir()
    folder.write_text("in the way")
    clock.minute += 1
    assert updater.once() == ["BTC"]
    folder.unlink()
    folder.mkdir()
    (tmp_path / "BTC.msgpack").rename(place(folder, "BTC"))
    assert updater.once() == []
    assert kept(folder) == made_from(WARM + 1, first=1)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda rows: rows.with_columns(symbol=pl.lit("DOGE")), "NVDAX: no bars of it"),
        (lambda rows: rows.with_columns(low=-pl.col("low")), "NVDAX: low: -"),
        (lambda rows: rows.with_columns(high=pl.lit(float("nan"))), "NVDAX: high: nan"),
        (lambda rows: rows.drop("open"), "NVDAX: open: no such column"),
    ],
)
def test_a_file_of_bars_that_cannot_be_used_is_told_by_its_asset_and_column(tmp_path, spoil, named):
    spoil(frame(0, 100, "hyperliquid:xyz:NVDA")).write_parquet(tmp_path / "bars.parquet")
    with pytest.raises(UserError, match=named):
        kept_bars(ASSETS["NVDAX"], tmp_path / "bars.parquet", MONDAY, MONDAY + 100)


def test_missing_minutes_are_told_and_decay_the_variance_by_the_stages_rule(venue, tmp_path):
    gap = range(4_000, 4_033)
    Minutes(gap).serve(venue)
    with capture_logs() as told:
        updating(venue, tmp_path, Clock(WARM)).once()
    assert kept(tmp_path) == made_from(WARM, first=1, missing=gap)
    assert {"event": "minutes missing", "asset": "BTC", "count": 33, "log_level": "warning"} in told


def test_minutes_that_are_late_at_the_end_are_asked_for_again(venue, tmp_path):
    Minutes([WARM - 1, WARM]).serve(venue)
    updater = updating(venue, tmp_path, Clock(WARM))
    updater.once()
    assert kept(tmp_path).seen_ns == (MONDAY + WARM - 1) * MINUTE_NS
    Minutes().serve(venue)
    updater.once()
    assert kept(tmp_path) == made_from(WARM, first=1)


@pytest.mark.parametrize(
    "fault",
    [
        Status(500),
        Status(404),
        Status(429, "3600"),
        Body(b"<html>"),
        Body(b'[[1784505600000000,"NaN","1","1","1","1",1784505659999999,"1",1,"1","1","0"]]'),
        Body(b'[[1784505600000000,"-5","1","1","1","1",1784505659999999,"1",1,"1","1","0"]]'),
    ],
)
def test_an_error_of_one_asset_is_told_and_the_others_go_on(venue, tmp_path, fault):
    venue.always[BINANCE] = fault
    venue.always["/data-api.binance.vision"] = Status(451)
    updater = updating(venue, tmp_path, Clock(WARM), ["BTC", "HYPE"])
    with capture_logs() as told:
        assert updater.once() == ["BTC"]
    assert not place(tmp_path, "BTC").exists()
    assert kept(tmp_path, ASSETS["HYPE"]).volatility_state.warm
    assert [line["asset"] for line in told if line["event"] == "not updated"] == ["BTC"]
    venue.always.clear()
    assert updater.once() == []
    assert kept(tmp_path) == made_from(WARM, first=1)


def test_a_fault_leaves_the_state_of_before(venue, tmp_path):
    clock = Clock(WARM)
    updater = updating(venue, tmp_path, clock)
    updater.once()
    before = place(tmp_path, "BTC").read_bytes()
    venue.always[BINANCE] = Body(b"[]x")
    clock.minute += 5
    assert updater.once() == ["BTC"]
    assert place(tmp_path, "BTC").read_bytes() == before


def older(data):
    return msgspec.msgpack.encode(msgspec.structs.replace(msgspec.msgpack.decode(data, type=Envelope), version=0))


@pytest.mark.parametrize("spoil", [lambda data: data[:1_000], lambda data: b"", older, lambda data: b"\x00" + data])
def test_a_file_that_cannot_be_used_is_told_and_built_again_from_history(venue, tmp_path, spoil):
    updating(venue, tmp_path, Clock(WARM)).once()
    before = place(tmp_path, "BTC").read_bytes()
    place(tmp_path, "BTC").write_bytes(spoil(before))
    with capture_logs() as told:
        updating(venue, tmp_path, Clock(WARM)).once()
    assert place(tmp_path, "BTC").read_bytes() == before
    (reason,) = [line["reason"] for line in told if line["event"] == "state built from history"]
    assert "BTC.msgpack: " in reason


def test_a_state_of_the_future_or_of_other_parameters_is_built_again(venue, tmp_path):
    save(tmp_path, made_from(WARM + 100))
    with capture_logs() as told:
        updating(venue, tmp_path, Clock(WARM)).once()
    assert kept(tmp_path) == made_from(WARM, first=1)
    assert "lies in the future" in told[0]["reason"]
    save(tmp_path, msgspec.structs.replace(made_from(WARM), parameters="others"))
    updating(venue, tmp_path, Clock(WARM)).once()
    assert kept(tmp_path) == made_from(WARM, first=1)


@pytest.mark.parametrize(
    "chain",
    [
        {"volatility_states": {BTC.source: {"variance": 7}}},
        {"wide_bars": {BTC.source: {"window": 0}}},
    ],
)
def test_a_state_of_stages_that_were_otherwise_is_built_again(venue, tmp_path, chain):
    save(tmp_path, msgspec.structs.replace(made_from(WARM), chain=chain))
    with capture_logs() as told:
        assert updating(venue, tmp_path, Clock(WARM)).once() == []
    assert kept(tmp_path) == made_from(WARM, first=1)
    assert "chain: " in told[0]["reason"]


def test_a_state_begins_at_the_day_that_is_asked_for(venue, tmp_path):
    day_ns = (MONDAY + 4 * 1_440) * MINUTE_NS
    updating(venue, tmp_path, Clock(7_000), begin_ns=day_ns).once()
    assert kept(tmp_path).bars[0, 0] == MONDAY + 1_440 - 60
    assert kept(tmp_path).seen_ns == (MONDAY + 7_001) * MINUTE_NS


def test_it_goes_on_until_it_is_stopped(venue, tmp_path):
    clock = Clock(WARM)
    updater = updating(venue, tmp_path, clock, ["BTC", "HYPE"])
    thread = threading.Thread(target=updater.run)
    thread.start()
    while len(venue.asked(HYPERLIQUID)) < 5 or len(venue.asked(BINANCE)) < 8:
        clock.minute += 1
        assert thread.is_alive()
        thread.join(0.02)
    updater._stopping.set()
    thread.join(10)
    assert not thread.is_alive()
    assert kept(tmp_path).seen_ns > (MONDAY + WARM) * MINUTE_NS


def test_a_fault_of_ours_ends_it(venue, tmp_path, monkeypatch):
    updater = updating(venue, tmp_path, Clock(WARM), ["BTC", "HYPE"])
    monkeypatch.setattr(updater._updaters["BTC"], "update", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        updater.run()


def test_a_source_that_needs_a_key_says_so_where_there_is_none():
    assets = {"BTC": BTC._replace(source="pyth:BTC/USD")}
    with pytest.raises(UserError, match="pyth_key"):
        places(assets, load_settings(env_file=None), threading.Event())
