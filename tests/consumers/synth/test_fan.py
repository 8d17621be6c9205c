"""The fan chart: drawn from bars, with what came where that is known, and clear about times that bars do not allow."""

import re

import pytest

from infra.errors import UserError
from tests.consumers.synth.test_command import bars, called  # noqa: F401


def fan(bars, out, *more):  # noqa: F811
    return called("fan", "--asset", "BTC", "--bars", bars, "--out", out, "--paths", "50", *more)


def test_a_forecast_of_the_past_shows_what_came(bars, tmp_path):  # noqa: F811
    out = tmp_path / "fan.html"
    assert str(out) in fan(bars, out, "--start", "2026-04-24T12:00").replace("\n", "")
    page = out.read_text()
    assert "<title>BTC, 24h from 2026-04-24 12:00</title>" in page
    assert re.findall(r">(\d\d %|median|what came)</text>", page) == ["95 %", "90 %", "50 %", "median", "what came"]


def test_without_a_start_the_forecast_begins_after_the_last_bar(bars, tmp_path):  # noqa: F811
    out = tmp_path / "fan.svg"
    fan(bars, out, "--competition", "1h")
    text = out.read_text()
    assert "BTC, 1h from 2026-04-28 00:01" in text
    assert "what came" not in text


def test_a_picture_is_the_same_every_time(bars, tmp_path):  # noqa: F811
    for name in ("a.png", "b.png"):
        fan(bars, tmp_path / name, "--start", "2026-04-24T12:00")
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert first == second
    assert first.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--start", "2026-04-21T12:00"), "--start: the bars allow for a start from 2026-04-23 00:02 to 2026"),
        (("--start", "noon"), "--start: 'noon' is no time"),
        (("--competition", "2h"), "--competition: '2h' is neither"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_told_by_its_option(bars, tmp_path, more, reason):  # noqa: F811
    with pytest.raises(UserError, match=reason):
        fan(bars, tmp_path / "fan.png", *more)


def test_a_format_that_is_not_known_is_refused(bars, tmp_path):  # noqa: F811
    with pytest.raises(UserError, match=r"'fan.gif' ends in none of .png, .svg, .html"):
        fan(bars, tmp_path / "fan.gif")
