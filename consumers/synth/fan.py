"""The fan chart of a forecast: its bands over time, and what came where that is known; as PNG, SVG or an HTML page."""

import html
import io
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from processors.online.bands import LEVELS
from processors.online.crps import Floats
from processors.online.innovations import Shocks

FORMATS = (".png", ".svg", ".html")
BANDS = ((0, 6, "95 %", "#dbe7fd"), (1, 5, "90 %", "#b9d1fb"), (2, 4, "50 %", "#93b9f7"))  # places of LEVELS
MEDIAN = LEVELS.index(0.5)
INK, BLUE, ORANGE, GRID = "#1b2733", "#1f6feb", "#d9730d", "#e3e8ee"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 10, "axes.edgecolor": GRID, "text.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": GRID, "axes.axisbelow": True, "legend.frameon": False,
    "svg.hashsalt": "tidemill",
}  # fmt: skip


class Chart(NamedTuple):
    """What is drawn; times are numpy's."""

    title: str
    times: Any
    quantiles: Shocks  # by time and LEVELS
    real: Floats  # what came at these times; NaN where nothing is known
    before: tuple[Any, Floats]  # times and prices that went before


def write(out: Path, chart: Chart) -> None:
    """Write a chart, in the format that the file's name ends in."""
    with mpl.rc_context(STYLE):
        figure = drawn(chart)
        if out.suffix == ".html":
            out.write_text(page(chart.title, figure))
        else:
            figure.savefig(out, dpi=150)


def drawn(chart: Chart) -> Figure:
    """The figure of a chart."""
    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.add_subplot()
    for low, high, name, colour in BANDS:
        lower, upper = chart.quantiles[:, low], chart.quantiles[:, high]
        axes.fill_between(chart.times, lower, upper, color=colour, lw=0, label=name)
    axes.plot(chart.times, chart.quantiles[:, MEDIAN], color=BLUE, lw=1.2, label="median")
    axes.plot(*chart.before, color=INK, lw=1.0)
    if np.isfinite(chart.real).any():
        axes.plot(chart.times, chart.real, color=ORANGE, lw=1.4, label="what came")
    axes.axvline(chart.times[0], color=INK, lw=0.8, ls=":")
    axes.set_title(chart.title, loc="left")
    axes.set_xlabel("UTC")
    axes.legend(loc="upper left")
    return figure


def page(title: str, figure: Figure) -> str:
    """A page with the chart inside."""
    text = io.StringIO()
    figure.savefig(text, format="svg")
    svg = text.getvalue()
    name = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{name}</title>'
        "<style>body{margin:24px;background:#f6f8fa}svg{width:100%;height:auto;background:#fff}</style></head>"
        f"<body>{svg[svg.index('<svg') :]}</body></html>\n"
    )
