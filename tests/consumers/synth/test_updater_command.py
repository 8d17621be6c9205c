"""The commands as users call them, against venues on this machine."""

import json
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime

import httpx2
import msgspec
import pytest
from typer.testing import CliRunner

from consumers.synth.command import app
from consumers.synth.miner import Unanswered
from consumers.synth.state import MINUTE_NS, load, save
from consumers.synth.updater_command import held
from infra.errors import UserError
from processors.online.synth_assets import ASSETS
from tests.consumers.synth.kept import kept, put
from tests.consumers.synth.made import MONDAY
from tests.consumers.synth.venues import BINANCE, Minutes
from tests.data import ROOT
from tests.producers.history.server import Status, Venue, serve
from tests.waiting import PATIENCE_S

FRIDAY = "2026-04-24"


@pytest.fixture
def venue():
    with serve(Minutes().serve(Venue())) as found:
        yield found


def updated(*arguments):
    result = CliRunner().invoke(app, ["updater", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_states_are_warmed_up_to_a_day_and_no_further(venue, tmp_path):
    assert updated(
        "--state-dir", tmp_path, "--warmup-date", FRIDAY, "--one-shot", "--asset", "BTC", "--asset", "HYPE",
        "--via", venue.url, "--log-level", "WARNING",
    ).exit_code == 0  # fmt: skip
    for name in ("BTC", "HYPE"):
        state = load(tmp_path, ASSETS[name], time.time_ns()).volatility_state
        assert (state.event_ns, state.warm) == ((MONDAY + 4 * 1_440) * MINUTE_NS, True)


def test_an_asset_that_could_not_be_updated_makes_the_exit_code_1(venue, tmp_path):
    venue.always[BINANCE] = Status(400)
    venue.always["/data-api.binance.vision"] = Status(400)
    result = updated(
        "--state-dir", tmp_path, "--warmup-date", FRIDAY, "--one-shot", "--asset", "BTC", "--asset", "HYPE",
        "--via", venue.url,
    )  # fmt: skip
    assert result.exit_code == 1
    assert "not updated: BTC" in result.output
    assert sorted(path.name for path in tmp_path.glob("*.msgpack")) == ["HYPE.msgpack"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--asset", "DOGE"), "--asset: 'DOGE' is none of BTC"),
        (("--source", "BTC"), "--source: 'BTC'"),
        (("--source", "BTC=nyse:BTC"), "--source"),
        (("--source", "DOGE=binance:DOGEUSDT"), "--source"),
        (("--warmup-date", "soon"), "--warmup-date: 'soon'"),
        (("--warmup-date", "2099-01-01"), "--warmup-date: 2099-01-01 lies in the future"),
        (("--from", "hearsay"), "--from: 'hearsay'"),
        (("--from", "kafka", "--warmup-date", FRIDAY), "--from kafka"),
        (("--from", "kafka", "--bars", "bars.parquet"), "--from kafka"),
        (("--log-level", "LOUD"), "log_level .*LOUD"),
        (("--asset", "BTC", "--source", "BTC=pyth:BTC/USD"), "pyth_key"),
    ],
)
def test_a_mistake_is_told_by_its_name(tmp_path, arguments, named):
    with pytest.raises(UserError, match=named):
        updated("--state-dir", tmp_path, "--one-shot", *arguments)


def test_a_folder_has_one_updater_at_a_time(tmp_path):
    with held(tmp_path), pytest.raises(UserError, match="another updater"):
        updated("--state-dir", tmp_path, "--one-shot", "--asset", "BTC")


def test_prices_from_elsewhere_are_answered_from_where_the_miner_is_told_so_too(tmp_path, monkeypatch):
    made = kept(end_ns=time.time_ns() // MINUTE_NS * MINUTE_NS, instrument="pyth:BTC/USD")
    save(tmp_path, msgspec.structs.replace(made, instrument="pyth:BTC/USD"))
    served = []
    monkeypatch.setattr("consumers.synth.serve_command.run", lambda serving, *_: served.append(serving))
    for more in ([], ["--source", "BTC=pyth:BTC/USD"]):
        assert CliRunner().invoke(app, ["serve", "--state-dir", str(tmp_path), *more]).exception is None
    with pytest.raises(Unanswered, match="instrument: 'pyth:BTC/USD' where 'binance:BTCUSDT' was expected"):
        served[0]._miner.price("BTC")
    assert served[1]._miner.price("BTC") == 60_000.0


def test_the_miner_answers_until_it_is_told_to_end(tmp_path):
    now_ns = time.time_ns() // MINUTE_NS * MINUTE_NS
    put(tmp_path, end_ns=now_ns)
    command = [sys.executable, "-m", "infra.cli", "synth", "serve", "--state-dir", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())
            start = datetime.fromtimestamp(now_ns // 10**9 + 180, UTC).isoformat()
            asked = {
                "asset": "BTC", "start_time": start, "time_increment": 60, "time_length": 3_600, "num_simulations": 7,
            }  # fmt: skip
            given = httpx2.post(url, content=json.dumps({"simulation_input": asked}), timeout=PATIENCE_S)
            assert given.status_code == 200
            assert [len(path) for path in given.json()[2:]] == [61] * 7
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) in (0, -signal.SIGTERM, 128 + signal.SIGTERM)
        finally:
            process.kill()
