"""Command ``kappa``: how the rate of fills falls with the distance, from recorded books and trades.

The records go through the stage that a worker runs (processors/intensities.py), with a window as long as the recording.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import track
from rich.table import Table

from consumers.backtest import plot, tables
from consumers.backtest.tables import Steps
from consumers.collector import BOOKS_FILE, TRADES_FILE
from infra.errors import UserError
from processors.intensities import Intensities, IntensityOptions
from processors.online.decay_fits import Fit
from processors.online.fill_counts import SIDES, Counts, Floats
from processors.online.fill_posterior import posterior
from processors.online.kappa import METHODS
from processors.online.trade_rate import trade_rate
from processors.online.units import Seconds
from schemas import Book, Market, Trade

VENUE = "recorded"
SIMPLE = "simple"
BLOCKS = 30
LEAST_BLOCK_MS = 1_000

DATA = [Path("data")]

Data = Annotated[
    list[Path],
    typer.Option(help=f"Folder with {BOOKS_FILE} and {TRADES_FILE}, or a file of books or trades; again for more."),
]
Method = Annotated[str, typer.Option(help=f"{', '.join((SIMPLE, *METHODS))}.")]
Side = Annotated[str, typer.Option(help="ask, bid or both.")]
Tick = Annotated[float, typer.Option("--price-step", min=0.0, help="The market's tick; 0: as the prices show it.")]
Reach = Annotated[float, typer.Option("--reach-bps", help="Distance of the deepest quote from the mid.")]
Spacing = Annotated[int, typer.Option("--spacing-ticks", min=0, help="Between two quotes; 0: as the reach asks.")]
Depths = Annotated[int, typer.Option(help="Quotes a side.")]
Life = Annotated[int, typer.Option("--life-ms", min=0, help="How long a quote stands before it follows the mid.")]
Alike = Annotated[bool, typer.Option("--alike", help="Let all depths weigh alike in the regression.")]
Picture = Annotated[Path | None, typer.Option("--plot", help="Where to write the plot: .png, .svg or .html.")]


def kappa(
    market: Annotated[str, typer.Argument(help="Market as the files name it, e.g. ETH-USD.")],
    data: Data = DATA,
    method: Method = "depth",
    side: Side = "both",
    price_step: Tick = 0.0,
    reach_bps: Reach = 10.0,
    spacing_ticks: Spacing = 0,
    depths: Depths = 20,
    life_ms: Life = 1_000,
    alike: Alike = False,
    picture: Picture = Path("kappa.png"),
) -> None:
    """Estimate kappa from recorded books and trades: with its interval, a table of depths and a plot."""
    if method not in (SIMPLE, *METHODS):
        raise UserError(f"--method: {method!r} is none of {', '.join((SIMPLE, *METHODS))}")
    if side not in SIDES:
        raise UserError(f"--side: {side!r} is none of {', '.join(SIDES)}")
    if picture:
        plot.check(picture)
    key = f"{VENUE}:{market}"
    records = [
        one for one in tables.read(files(data), key, Steps(price_step)) if isinstance(one, Market | Book | Trade)
    ]
    start, end = records[0].event_ns, records[-1].event_ns
    console = Console()
    if method == SIMPLE:
        _say_rate(console, market, records, (end - start) / 1e9, side)
        return
    block_ms = max(-(-(end - start) // (BLOCKS * 1_000_000)) + 1, LEAST_BLOCK_MS)
    settings: dict[str, Any] = {"method": method, "side": side, "weighed": not alike, "blocks": BLOCKS + 1}
    quotes: dict[str, Any] = {
        "depths": depths,
        "reach_bps": reach_bps,
        "spacing_ticks": spacing_ticks,
        "life_ms": life_ms,
    }
    try:
        options = IntensityOptions(block_ms=block_ms, stale_ms=min(10_000, block_ms), **settings, **quotes)
    except ValueError as error:
        raise UserError(str(error)) from None
    stage = Intensities(key, options)
    for record in track(records, "following quotes", console=Console(stderr=True), transient=True):
        for _ in stage.on_event(record):
            pass  # without clocks it says nothing of itself
    window = stage.window()
    found = stage.estimate(window)
    show(console, f"{market}, {method}, {side}", window, found, stage)
    if picture and not found.reason:
        title = f"Fills of virtual quotes on {market} ({method}, {side})"
        plot.write(drawn(window, found, stage.state.step, title), title, picture)
        console.print(f"plot: {picture}")


def files(data: list[Path]) -> list[Path]:
    """The files of books and trades that are meant.

    Raises:
        UserError: there are none.

    """
    found: list[Path] = []
    for path in data:
        inside = [path / name for name in (BOOKS_FILE, TRADES_FILE)] if path.is_dir() else [path]
        missing = [one for one in inside if not one.is_file()]
        if missing:
            raise UserError(f"--data: there is no file {missing[0]}")
        found += inside
    return found


def show(console: Console, title: str, window: Counts, found: Fit, stage: Intensities) -> None:
    """Print the table of depths and the estimate."""
    step = stage.state.step
    belief = posterior(window, stage.options.prior())
    table = Table(title=title)
    for name in ("from the mid, USD", "fills", "seconds", "fills/s", "fitted", "posterior, 90 %"):
        table.add_column(name, justify="right")
    rows = zip(
        window.depths, window.fills.sum(axis=0), window.seconds.sum(axis=0), belief.quantile(0.05),
        belief.quantile(0.95), strict=True,
    )  # fmt: skip
    for depth, fills, seconds, low, high in rows:
        fitted = f"{found.scale * np.exp(-found.kappa * depth * step):.5f}" if not found.reason else ""
        rate = f"{fills / seconds:.5f}" if seconds > 0.0 else ""
        table.add_row(f"{depth * step:.6g}", f"{fills:.0f}", f"{seconds:.0f}", rate, fitted, f"{low:.5f} … {high:.5f}")
    console.print(table)
    console.print(f"{window.trades} trades, tick {step:.6g} USD")
    if found.reason:
        console.print(f"kappa is not estimable: {found.reason}")
        raise typer.Exit(1)
    console.print(
        f"kappa {found.kappa:.6g} per USD, 90 % interval {found.low:.6g} … {found.high:.6g}, "
        f"A {found.scale:.6g} fills/s a side" + (f", R² {found.r_squared:.4f}" if found.r_squared else "")
    )


def drawn(window: Counts, found: Fit, step: float, title: str) -> Figure:
    """The rates over the distance, and the fit with its interval."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    fills, seconds, at = window.fills.sum(axis=0), window.seconds.sum(axis=0), window.depths * step
    filled = (fills > 0.0) & (seconds > 0.0)
    rates = fills[filled] / seconds[filled]
    axes.errorbar(at[filled], rates, yerr=rates / np.sqrt(fills[filled]), fmt="o", markersize=4, label="counted")
    axes.plot(at, _line(found, at, found.kappa), label=f"{found.scale:.3g} exp(-{found.kappa:.4g} d)")
    middle = float(at[filled].mean())
    level = _line(found, np.array([middle]), found.kappa)[0]
    edges = [level * np.exp(-one * (at - middle)) for one in (found.low, found.high)]
    axes.fill_between(at, np.minimum(*edges), np.maximum(*edges), alpha=0.2, label="90 % interval of kappa")
    axes.set(yscale="log", xlabel="distance from the mid, USD", ylabel="fills per second", title=title)
    axes.legend()
    return figure


def _line(found: Fit, at: Floats, decay: float) -> Floats:
    return np.asarray(found.scale * np.exp(-decay * at))


def _say_rate(console: Console, market: str, records: list[Any], seconds: float, side: str) -> None:
    takers = {"ask": ("buy",), "bid": ("sell",), "both": ("buy", "sell", "")}[side]
    trades = sum(isinstance(record, Trade) and record.side in takers for record in records)
    if seconds <= 0.0:
        raise UserError("the recording has no length")
    rate = trade_rate(trades, Seconds(seconds))
    console.print(
        f"{market}, simple, {side}: {rate.rate:.5g} trades/s, 90 % interval {rate.low:.5g} … {rate.high:.5g} "
        f"({trades} trades in {seconds:.0f} s). A rate per second is no kappa: it cannot stand in ln(1 + gamma/kappa)."
    )
