"""A run as a picture: the market with quotes and fills, the position, and the profit by its parts."""

import io
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from consumers.backtest.measure import Measure
from consumers.steps import unscaled
from infra.errors import UserError

FORMATS = (".png", ".svg", ".html")
NOTHING = float("nan")


def check(path: Path) -> None:
    """See that a picture can be written in the format that a name asks for.

    Raises:
        UserError: it cannot.

    """
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: expected a name that ends in {', '.join(FORMATS)}")


def save(measure: Measure, title: str, path: Path) -> None:
    """Write the picture of a run."""
    write(drawn(measure, title), title, path)


def write(figure: Figure, title: str, path: Path) -> None:
    """Write a figure in the format of its name; HTML holds it as SVG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".html":
        figure.savefig(path)
        return
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    head = f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>"
    path.write_text(f"{head}<h1>{escape(title)}</h1>{svg[svg.index('<svg') :]}")


def drawn(measure: Measure, title: str) -> Figure:
    """The figure."""
    figure = Figure(figsize=(12, 9), layout="constrained")
    FigureCanvasAgg(figure)
    market, held, profit = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1, 2))
    points = measure.points
    when = [_when(point.event_ns) for point in points]
    market.plot(when, [point.mid or NOTHING for point in points], color="black", linewidth=0.7, label="mid")
    for side, colour in (("bid", "tab:green"), ("ask", "tab:red")):
        wanted = [getattr(point, side) or NOTHING for point in points]
        market.plot(when, wanted, color=colour, linewidth=0.6, alpha=0.6, label=side)
    for side, marker, colour in (("buy", "^", "tab:green"), ("sell", "v", "tab:red")):
        fills = [fill for fill in measure.fills if fill.side == side]
        prices = [unscaled(fill.price, fill.price_decimals) for fill in fills]
        market.scatter([_when(fill.event_ns) for fill in fills], prices, marker=marker, color=colour, s=14, label=side)
    market.set_title(title)
    market.set_ylabel("price")
    held.step(when, [point.position for point in points], where="post", color="tab:blue")
    held.set_ylabel("position")
    profit.plot(when, [point.equity for point in points], color="black", label="profit")
    for part in ("spread", "inventory", "fees", "funding"):
        profit.plot(when, [getattr(point, part) for point in points], linewidth=0.8, label=part)
    profit.set_ylabel("quote currency")
    for axes in (market, profit):
        axes.legend(loc="upper left", fontsize="small", ncols=6)
    return figure


def _when(event_ns: int) -> datetime:
    return datetime.fromtimestamp(event_ns / 1e9, UTC)
