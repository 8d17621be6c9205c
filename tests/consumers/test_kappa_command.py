import csv
import re
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from consumers.collector import BOOKS_FILE, BOOKS_HEADER, TRADES_FILE, TRADES_HEADER
from infra.cli import app
from infra.errors import UserError
from tests import taker_flow
from tests.data import recording

TICK = 0.5
NUMBER = r"([0-9.e+-]+)"


def when(event_ns):
    ms = 1_764_072_000_000 + event_ns // 1_000_000
    return [ms, datetime.fromtimestamp(ms / 1_000, UTC).isoformat(), "ETH-USD"]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A simulated market as the collector writes it."""
    folder = tmp_path_factory.mktemp("data")
    with (folder / BOOKS_FILE).open("w") as books, (folder / TRADES_FILE).open("w") as trades:
        depth, tape = csv.writer(books), csv.writer(trades)
        depth.writerow(BOOKS_HEADER)
        tape.writerow(TRADES_HEADER)
        for number, event in enumerate(taker_flow.flow(1, 1_200, kappa=0.2, levels=20)):
            row = when(event.event_ns)
            if isinstance(event, taker_flow.Book):
                pairs = zip(event.bids, event.asks, strict=True)
                cells = [cell for bid, ask in pairs for price, size in (bid, ask) for cell in (price * TICK, size)]
                depth.writerow([*row, number, *cells])
            else:
                tape.writerow([*row, number, event.taker, event.price * TICK, event.size])
    return folder


def call(*arguments):
    given = ["kappa", *(str(one) for one in arguments)]
    return CliRunner().invoke(app, given, catch_exceptions=False, env={"COLUMNS": "160"})


@pytest.mark.parametrize("method", ["virtual", "depth", "bayes"])
@pytest.mark.parametrize("side", ["ask", "both"])
def test_it_finds_the_kappa_of_a_simulated_market_in_the_collectors_files(collected, tmp_path, method, side):
    picture = tmp_path / "fills.png"
    result = call(
        "ETH-USD", "--data", collected, "--method", method, "--side", side, "--spacing-ticks", 1, "--depths", 15,
        "--plot", picture,
    )  # fmt: skip
    found = re.search(rf"kappa {NUMBER} per USD, 90 % interval {NUMBER} … {NUMBER}, A {NUMBER}", result.stdout)
    kappa, low, high, scale = map(float, found.groups())
    assert result.exit_code == 0
    assert kappa == pytest.approx(0.2 / TICK, rel=0.12)
    assert low < kappa < high
    assert scale == pytest.approx(2.0, rel=0.15)
    assert "tick 0.5 USD" in result.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert ("R²" in result.stdout) == (method != "bayes")


def test_the_plot_can_be_a_page(collected, tmp_path):
    call("ETH-USD", "--data", collected, "--spacing-ticks", 1, "--plot", tmp_path / "fills.html")
    assert "<svg" in (tmp_path / "fills.html").read_text()


def test_counting_trades_gives_a_rate_and_says_that_it_is_no_kappa(collected):
    result = call("ETH-USD", "--data", collected, "--method", "simple")
    rate = float(re.search(rf"{NUMBER} trades/s", result.stdout)[1])
    assert rate == pytest.approx(4.0, rel=0.15)  # takers that reach no price do not trade
    assert "is no kappa" in result.stdout


def test_too_little_to_see_ends_with_the_reason_and_no_plot(collected, tmp_path):
    picture = tmp_path / "none.png"
    result = call("ETH-USD", "--data", collected, "--reach-bps", 900, "--depths", 3, "--plot", picture)
    assert result.exit_code == 1
    assert "kappa is not estimable" in result.stdout
    assert not picture.exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--method", "best"), "--method"),
        (("--side", "top"), "--side"),
        (("--data", "/nowhere"), "--data|no file"),
        (("--depths", "1"), "depths"),
        (("--plot", "picture.gif"), "picture.gif"),
    ],
)
def test_a_mistake_is_told_by_name(collected, arguments, told):
    given = ("--data", collected, *arguments) if "--data" not in arguments else arguments
    with pytest.raises(UserError, match=told):
        call("ETH-USD", *given)


def test_all_methods_agree_on_a_recorded_market(tmp_path):
    books, trades = (recording(f"l2/hyperliquid_{what}_eth_2025-09-04.parquet") for what in ("orderbooks", "trades"))
    found = []
    for method in ("virtual", "depth", "bayes"):
        result = call("ETH-USD", "--data", books, "--data", trades, "--method", method, "--plot", tmp_path / "k.png")
        found.append([float(one) for one in re.search(
            rf"kappa {NUMBER} per USD, 90 % interval {NUMBER} … {NUMBER},", result.stdout).groups()])  # fmt: skip
    assert max(low for _, low, _ in found) < min(high for _, _, high in found)
