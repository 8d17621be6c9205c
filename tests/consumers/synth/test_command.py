"""The command as users call it, on bars made here."""

import json
import sys

import pytest
from typer.testing import CliRunner

from consumers.synth.command import app
from infra.errors import UserError
from tests.consumers.synth.made import frame, minutes

DAY = "2026-04-24"  # the fifth of the bars


@pytest.fixture
def bars(tmp_path):
    frame(minutes(8)).write_parquet(tmp_path / "bars.parquet")
    return tmp_path / "bars.parquet"


def called(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def scored(bars, *more, start=DAY):
    few = ("--competition", "1h", "--every", "120", "--paths", "50")
    return called("crps", "--asset", "BTC", "--bars", bars, "--start-day", start, *few, *more)


def test_crps_prints_everyone_with_forecasts_score_and_error(bars):
    said = scored(bars)
    for name in ("ours", "reference", "gaussian", "student_t", "bootstrap", "garch_t"):
        (line,) = [line.split() for line in said.splitlines() if line.split()[:1] == [name]]
        assert line[1] == "12"
        assert float(line[2]) > 0
    assert "PIT of ours" in said


def test_crps_prints_the_same_again(bars):
    assert scored(bars, "--against", "none") == scored(bars, "--against", "none")


def test_fit_writes_what_crps_reads_for_later_days_only(bars, tmp_path):
    out = tmp_path / "parameters.json"
    said = called(
        "fit", "--asset", "BTC", "--bars", bars, "--start-day", "2026-04-23", "--num-days", "3",
        "--competition", "1h", "--every", "180", "--tries", "8", "--out", out,
    )  # fmt: skip
    assert "later ones" in said
    assert json.loads(out.read_text())["fitted_before"].startswith("2026-04-26")
    assert "Model" in scored(bars, "--parameters", out, "--against", "none", start="2026-04-26")
    with pytest.raises(UserError, match="--start-day"):
        scored(bars, "--parameters", out, start="2026-04-25")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--start-day", "soon"), "--start-day"),
        (("--competition", "2h"), "--competition"),
        (("--against", "oracle"), "--against"),
        (("--asset", "DOGE"), "asset: 'DOGE'"),
        (("--asset", "XAU"), "asset: 'XAU' has no competition"),
        (("--rules", "2026-01-01"), "2026-01-01"),
        (("--rules", "soon"), "--rules: 'soon' is not a day"),
        (("--bars", "absent.parquet"), "--bars"),
        (("--start-day", "2026-04-20"), "72 h"),
        (("--parameters", "absent.json"), "--parameters"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_its_name(bars, arguments, named):
    with pytest.raises(UserError, match=named):
        scored(bars, *arguments)


BEFORE = {"competition": "1h", "fitted_before": "2026-04-23T00:00:00+00:00"}
MODEL = {"half_life_1m": 60.0, "half_life_5m": 288.0, "nu": 4.0, "blend": 480.0, "fast_weight": 0.8, "slow_weight": 0.7}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([], "TypeError"),
        (BEFORE | {"models": []}, "AttributeError"),
        (BEFORE | {"models": {"BTC": MODEL | {"nu": 2.0}}}, "BTC: day.nu: 2.0"),
        (BEFORE | {"models": {"ETH": MODEL}}, "models: none of BTC, only of ETH"),
        (BEFORE | {"models": {"BTC": MODEL}, "competition": "24h"}, "competition: '24h' where '1h' is scored"),
    ],
)
def test_parameters_that_are_none_or_of_something_else_are_refused(bars, tmp_path, given, named):
    place = tmp_path / "parameters.json"
    place.write_text(json.dumps(given))
    with pytest.raises(UserError, match=f"--parameters: {place}: .*{named}"):
        scored(bars, "--parameters", place)


def test_a_folder_to_write_into_that_is_not_there_is_told_before_anything_is_computed(bars, tmp_path, monkeypatch):
    monkeypatch.setattr("consumers.synth.command.opened", None)
    given = ("--asset", "BTC", "--bars", bars)
    with pytest.raises(UserError, match=r"--out: there is no folder .*absent"):
        called("fan", *given, "--out", tmp_path / "absent" / "fan.png")
    with pytest.raises(UserError, match=r"--out: there is no folder .*absent"):
        called("fit", *given, "--start-day", DAY, "--out", tmp_path / "absent" / "btc.json")


def test_rules_of_a_day_leave_out_what_came_later(bars):
    def mean(*more):
        said = scored(bars, "--against", "none", *more)
        return next(float(line.split()[2]) for line in said.splitlines() if line.split()[:1] == ["ours"])

    assert mean("--rules", "2026-09-21") < mean()


def test_without_arch_the_others_compete_and_the_user_is_told(bars, monkeypatch):
    monkeypatch.setitem(sys.modules, "arch", None)
    said = scored(bars, "--against", "gaussian,garch_t")
    assert "arch is not installed" in said
    assert [line.split()[0] for line in said.splitlines() if "garch_t" in line] == ["garch_t"]
    assert "gaussian" in said
