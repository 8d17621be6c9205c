"""The market maker over real recorded markets: figures that add up, decisions that repeat, commands as called."""

import io
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console
from typer.testing import CliRunner

from consumers.backtest.comparison import DECISIONS, Decisions, agreement, compare
from consumers.backtest.makers import run
from consumers.backtest.markets import Recorded, with_market
from consumers.backtest.measure import Measure
from consumers.backtest.report import figures, sweep_table, table
from consumers.backtest.sweep import settings_of
from consumers.backtest.tables import Steps
from consumers.market_maker import MarketMaker
from consumers.policies.making import MakerOptions
from infra import cli
from infra.errors import UserError
from infra.options import stage_options
from processors.chain import EventChain
from processors.stage import reads, stages, writes
from schemas import Book, Market, OrderRequest, Quote, Record, Trade
from schemas.codec import Codec
from tests.consumers.maker import book, equity, fill, requests
from tests.data import recording

NAME = "hyperliquid:ETH-USD"
FILES = ("l2/hyperliquid_orderbooks_eth_2025-09-04.parquet", "l2/hyperliquid_trades_eth_2025-09-04.parquet")
OPTIONS: dict[str, dict[str, Any]] = {
    "volatilities": {"method": "simple"},
    "intensities": {"every_ms": 5_000},
    "market_maker": {
        "gamma": 0.01, "horizon_s": 10.0, "order_size": 0.1, "inventory": 0.5, "sigma_method": "simple",
    },
    "paper": {"maker_fee": 0.0001},
}  # fmt: skip
END_NS = 1_757_015_216 * 10**9 + 15 * 60 * 10**9


def recorded() -> Recorded:
    return Recorded("tables", tuple(recording(name) for name in FILES), NAME, end_ns=END_NS)


@cache
def traded() -> tuple[Measure, list[Record], list[Record]]:
    """A run's figures, the merged log that it made, and what was derived from it."""
    log: list[Record] = []
    derived: list[Record] = []

    def keep(event: Record, made: list[Record]) -> None:
        log.append(event)
        derived.extend(made)

    return run(recorded().records(), OPTIONS, keep), log, derived


def test_the_parts_of_the_profit_add_up_to_the_venues_own_equity() -> None:
    measure, *_ = traded()
    ledger = measure.ledger
    assert len(measure.fills) > 30
    assert ledger.spread > 0.0
    assert ledger.fees == pytest.approx(-1e-4 * ledger.traded)
    assert ledger.spread + ledger.inventory + ledger.fees + ledger.funding == pytest.approx(ledger.equity)
    assert ledger.drift < 1e-6, "at every Equity that the venue told"


def test_shares_are_shares_and_the_position_keeps_its_bounds() -> None:
    measure, *_ = traded()
    assert 0.0 < measure.fill_ratio < 1.0
    assert 0.1 < measure.time_in_book("buy") < 1.0
    assert max(abs(point.position) for point in measure.points) <= 0.5 + 1e-9
    assert measure.drawdown >= max(0.0, -min(point.equity for point in measure.points)) - 1.0
    assert sum(measure.reasons.values()) < (measure.ended_ns - measure.began_ns)
    assert measure.halts == []
    assert not measure.refused


def test_quotes_never_cross_the_book_that_they_were_made_from() -> None:
    _, log, derived = traded()
    books = {event.event_ns: event for event in log if isinstance(event, Book)}
    quotes = [made for made in derived if isinstance(made, Quote) and made.quoting]
    assert len(quotes) > 100
    for quote in quotes:
        best = [
            int.from_bytes(side[:8], "little") / 10 for side in (books[quote.book_ns].bids, books[quote.book_ns].asks)
        ]
        assert not quote.bid or quote.bid < best[1]
        assert not quote.ask or quote.ask > best[0]


def test_the_merged_log_through_a_fresh_maker_gives_the_same_decisions_byte_for_byte() -> None:
    _, log, derived = traded()
    options = stage_options(stages(), OPTIONS)
    chain, codec = EventChain([MarketMaker], options), Codec()
    again = [made for event in log if isinstance(event, reads(MarketMaker)) for made in chain.on_event(event)[0]]
    first = [made for made in derived if isinstance(made, writes(MarketMaker))]
    assert [codec.encode(made) for made in again] == [codec.encode(made) for made in first]
    assert any(isinstance(made, OrderRequest) for made in first)


def test_a_restart_in_the_middle_of_the_log_changes_no_decision() -> None:
    _, log, derived = traded()
    options = stage_options(stages(), OPTIONS)["market_maker"]
    events: list[Any] = [event for event in log if isinstance(event, reads(MarketMaker))]
    first = next(place for place, event in enumerate(events) if event.key == NAME)
    maker, made = MarketMaker(NAME, options), list[Record]()
    for number, event in enumerate(events[first : first + 4_000]):
        if number % 97 == 0:
            snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(maker.snapshot()))
            maker = MarketMaker(NAME, options)
            maker.restore(snapshot)
        made += maker.on_event(event)
    assert made == [record for record in derived if isinstance(record, writes(MarketMaker))][: len(made)]


def test_a_run_agrees_with_itself_and_not_with_one_of_other_settings() -> None:
    _, _, derived = traded()
    live = Decisions.of(derived)
    agreed = agreement(live, Decisions.of(derived))
    assert agreed["mean gap of the bids, bps"] == 0.0
    assert {value for name, value in agreed.items() if not name.endswith("bps")} == {1.0}
    assert all(line.live == line.backtest for line in compare(live, live))
    wider: list[Record] = []
    other = {**OPTIONS, "market_maker": {**OPTIONS["market_maker"], "least_half_spread_bps": 5.0}}
    run(recorded().records(), other, lambda _, made: wider.extend(made))
    apart = agreement(live, Decisions.of(record for record in wider if isinstance(record, DECISIONS)))
    assert apart["mean gap of the bids, bps"] > 1.0
    assert apart["requests that are the same decision"] == 0.0


def test_other_strategies_decisions_are_left_out() -> None:
    (bid, *_) = requests([made for made in traded()[2] if isinstance(made, OrderRequest)])
    alien = msgspec.structs.replace(fill(bid, 1), strategy="another")
    assert Decisions.of([alien]).fills == []


def test_a_run_that_began_before_is_judged_by_its_own_time_and_its_fills_by_the_quotes_mids() -> None:
    (bid, *_) = requests([made for made in traded()[2] if isinstance(made, OrderRequest)])
    (quote, *_) = [made for made in traded()[2] if isinstance(made, Quote) and made.quoting]
    sold = msgspec.structs.replace(fill(bid, 10), side="sell", event_ns=quote.event_ns + 1)
    unnamed = msgspec.structs.replace(sold, mid=0.0)
    paid = [msgspec.structs.replace(equity(0.0), funding=funding) for funding in (-7.0, -7.5, -9.0)]
    ledger, named = (Decisions.of([quote, *paid, one]).ledger() for one in (unnamed, sold))
    price, size = (
        number / 10**decimals for number, decimals in ((bid.price, bid.price_decimals), (10, bid.size_decimals))
    )
    assert ledger.funding == -2.0
    assert ledger.spread == pytest.approx(size * (price - quote.mid))
    assert named.spread == pytest.approx(size * (price - 3_000.5))


def test_a_market_is_made_from_the_first_book_where_none_is_told() -> None:
    market, first = list(with_market([book()], Steps()))
    assert isinstance(market, Market)
    assert (market.price_step, market.size_step, first) == (0.1, 0.01, book())
    told, *_ = with_market([market, book()], Steps(price=0.5))
    assert isinstance(told, Market)
    assert (told.price_step, told.size_step) == (0.5, 0.01)


def test_a_trade_stands_before_the_book_of_its_time() -> None:
    kinds = [type(record) for record in recorded().records()][:200]
    assert kinds[0] is Market
    assert {Trade, Book} <= set(kinds)


@pytest.mark.parametrize("text", ["gamma", "gamma=", "=1", "gamma=1,,2"])
def test_a_setting_that_is_none_is_named(text: str) -> None:
    with pytest.raises(UserError, match="expected option=value"):
        settings_of([text])


def invoked(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, ["backtest", "mm", *arguments])


def given(*more: str) -> list[str]:
    setting = ["gamma=0.01", "horizon_s=10", "order_size=0.1", "inventory=0.5", "sigma_method=simple"]
    files = [str(recording(name)) for name in FILES]
    return [NAME, *files, *(word for text in setting for word in ("--set", text)), "--end", str(END_NS), *more]


def test_the_command_prints_the_figures_and_draws_the_run(tmp_path: Path) -> None:
    for name in ("run.png", "run.html"):
        result = invoked(*given("--json", "--plot", str(tmp_path / name), "--end", "2025-09-04T19:50"))
        assert result.exit_code == 0, result.output
        found = json.loads(result.stdout)
        assert found["seconds"] == pytest.approx(184, abs=2)
        assert (tmp_path / name).stat().st_size > 5_000


def test_a_sweep_runs_every_combination_in_processes() -> None:
    more = ("--sweep", "gamma=0.01,0.1", "--sweep", "kappa_method=depth,virtual", "--end", "2025-09-04T19:56")
    result = invoked(*given("--json", "--processes", "2", *more))
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [row["set"] for row in rows] == [
        {"gamma": gamma, "kappa_method": method} for gamma in ("0.01", "0.1") for method in ("depth", "virtual")
    ]
    assert all(row["drift"] < 1e-6 for row in rows)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--set", "gama=1"), "gama: no such option"),
        (("--set", "gamma=0"), "gamma must be above 0"),
        (("--set", "gamma=1,2"), "one value an option"),
        (("--plot", "run.gif"), r"run\.gif: expected a name that ends in"),
        (("--end", "soon"), "no time"),
        (("--end", "1999-01-01"), "nothing is recorded"),
    ],
)
def test_a_mistake_in_the_call_is_named(more: tuple[str, ...], named: str) -> None:
    result = invoked(*given(*more))
    assert isinstance(result.exception, UserError)
    assert re.search(named, str(result.exception))


def test_options_default_to_those_of_the_stage() -> None:
    assert stage_options(stages(), {})["market_maker"] == MakerOptions()


def test_a_sweeps_table_fits_into_a_terminal_with_every_figure_whole() -> None:
    found = figures(traded()[0])
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({"gamma": gamma, "kappa_method": "virtual"}, found) for gamma in ("0.01", "0.1")
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(sweep_table(rows))
    text = console.export_text()
    console.print(table("a run", found))
    text += console.export_text()
    assert "…" not in text
    for figure in (f"{found['equity']:+,.2f}", f"{found['equity']:+,.4f}", f"{found['markouts_bps']['5']:+.2f}"):
        assert figure in text
    assert text.count(f"{found['markouts_bps']['5']:+.2f}") >= 2, "one a row"
