"""The demo's page: one HTML file with its plots inside, drawn from the history alone."""

import html
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from infra.clickhouse import Client, query

POINTS = 1_600  # across a plot
LEAST_PERCENT = 1e-5  # a mid that came back to where it was is no move, and lies below the plot
INK, MUTED, GRID = "#1b2733", "#5b6b7a", "#e3e8ee"
BLUE, ORANGE, GREEN, RED, GREY = "#1f6feb", "#d9730d", "#1a7f5a", "#c0392b", "#c8d0d9"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "text.color": INK, "xtick.color": MUTED, "ytick.color": MUTED, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": GRID, "grid.linewidth": 0.8, "axes.axisbelow": True, "legend.frameon": False,
}  # fmt: skip
CSS = """
body{font:16px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;
color:#1b2733;background:#f6f8fa;margin:0}
main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;margin:0 0 4px} h2{font-size:17px;margin:28px 0 6px} p{margin:4px 0;color:#5b6b7a}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:12px;
margin:20px 0}
.card,.plot{background:#fff;border:1px solid #e3e8ee;border-radius:10px;padding:14px 16px}
.card b{display:block;font-size:22px;font-variant-numeric:tabular-nums} .card span{color:#5b6b7a;font-size:13px}
.plot svg{width:100%;height:auto;display:block;font-family:system-ui,"DejaVu Sans",sans-serif}
pre{background:#fff;border:1px solid #e3e8ee;border-radius:10px;padding:14px 16px;font-size:13px;
white-space:pre-wrap;overflow-wrap:anywhere}
"""


def page(client: Client, title: str, facts: dict[str, Any], trail: Sequence[str]) -> str:
    """The page as HTML."""
    cards = "".join(f'<div class="card"><b>{value}</b><span>{name}</span></div>' for name, value in _cards(facts))
    plots = "".join(
        f'<h2>{heading}</h2><p>{told}</p><div class="plot">{svg}</div>' for heading, told, svg in _plots(client, facts)
    )
    steps = html.escape("\n".join(trail))
    name = html.escape(facts["last"]["instrument"])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Tidemill: {name}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{CSS}</style></head><body><main>'
        f"<h1>Jump loss of {name}</h1><p>Input: {html.escape(title)}</p><div class=cards>{cards}</div>{plots}"
        "<h2>Where the last jump loss with a tick in its bucket came from</h2>"
        f"<pre>{steps}</pre></main></body></html>\n"
    )


def clock(event_ns: int) -> str:
    """A moment as UTC time of day, to the millisecond.

    >>> clock(1_500_000_000)
    '00:00:01.500'
    """
    return datetime.fromtimestamp(event_ns // 1_000_000 / 1e3, UTC).strftime("%H:%M:%S.%f")[:-3]


def _cards(facts: dict[str, Any]) -> list[tuple[str, str]]:
    last, (stale, _, _) = facts["last"], facts["stale"]
    low, high = f"{last['low_percent']:.6f}", f"{last['high_percent']:.6f}"
    return [
        (
            f"jump loss at a fee of {last['fee_percent']:g} %, last bucket (95 %: {low} – {high})",
            f"{last['jump_loss_percent']:.6f} %",
        ),
        (f"μ_J, average move of a bucket, over {last['buckets']:,} buckets", f"{last['mu_percent']:.6f} %"),
        ("ticks, each with its place in the log", f"{facts['ticks']:,}"),
        (f"of {facts['buckets']:,} buckets stale: the feed was silent", f"{stale:,}"),
        ("entries of the gap ledger", f"{facts['gaps']:,}"),
        ("frames or records refused, kept with their reason", f"{facts['dead_letters']:,}"),
    ]


def _plots(client: Client, facts: dict[str, Any]) -> list[tuple[str, str, str]]:
    series = _series(client)
    silent = [(row["at"], row["till"]) for row in _runs(series).to_dicts()]
    known = series.filter(~pl.col("stale"))
    fee = facts["last"]["fee_percent"]
    with mpl.rc_context(STYLE):
        mid, average, loss = _axes(silent), _axes(silent), _axes(silent)
        _line(mid, known, "mid", BLUE, "mid")
        mid.set_ylabel("USD")
        _band(average, known, "mu_low", "mu_high", BLUE)
        _line(average, known, "mu", BLUE, "μ_J")
        _band(loss, known, "low", "high", ORANGE)
        _line(loss, known, "loss", ORANGE, "jump loss")
        for axes in (average, loss):
            axes.set_ylabel("percent of notional")
            axes.set_ylim(bottom=0)
    seen = "Grey: no tick or heartbeat for more than 5 s. Nothing is drawn where nothing was seen."
    band = "Half-life 4.8 s; the band is its 95 % interval."
    formula = "μ_J − F/2 above the fee, else μ_J/2, with its 95 % interval."
    with mpl.rc_context(STYLE):
        return [
            ("Mid price", seen, _svg(mid)),
            ("μ_J, the average absolute move of a 160 ms bucket", band, _svg(average)),
            (f"Jump loss at a fee of {fee:g} %", formula, _svg(loss)),
            ("Prediction and outcome", _told(facts), _svg(_calibration(client))),
        ]


def _told(facts: dict[str, Any]) -> str:
    predicted, realised, above = facts["calibrated"]
    if not facts["calibrations"] or predicted is None:
        return "No settlement window has ended yet."
    return (
        f"Each point is one settlement window, both axes logarithmic: what was predicted at its start against "
        f"the loss of the move that came. On average {predicted:.5f} % was predicted and {realised:.5f} % came; "
        f"{100 * above:.0f} % of the windows lost more. The prediction is the average of single buckets, the outcome "
        f"the move over a whole window."
    )


def _series(client: Client) -> pl.DataFrame:
    """At most POINTS moments across the whole, the last bucket of each."""
    first, last = query(client, "SELECT min(event_ns), max(event_ns) FROM jump_losses").row(0)
    step = max((last - first) // POINTS, 160_000_000)
    fields = "mid, mu_percent, mu_low_percent, mu_high_percent, jump_loss_percent, low_percent, high_percent, stale"
    names = ("mid", "mu", "mu_low", "mu_high", "loss", "low", "high", "stale")
    chosen = ", ".join(
        f"argMax({field}, event_ns) AS {name}" for field, name in zip(fields.split(", "), names, strict=True)
    )
    rows = query(
        client,
        f"SELECT max(event_ns) AS at_ns, {chosen} FROM jump_losses FINAL "
        "GROUP BY intDiv(event_ns, {step:Int64}) ORDER BY at_ns",
        {"step": step},
    )
    rows = rows.with_columns(
        at=pl.from_epoch("at_ns", time_unit="ns"), broken=pl.col("at_ns").diff().fill_null(0) > 3 * step
    )
    return rows.with_columns(pl.col("stale").cast(pl.Boolean))


def _runs(series: pl.DataFrame) -> pl.DataFrame:
    """Begin and end of each stale stretch, and of stretches without buckets."""
    following = series.with_columns(till=pl.col("at").shift(-1), skipped=pl.col("broken").shift(-1).fill_null(False))
    return following.filter((pl.col("stale") | pl.col("skipped")) & pl.col("till").is_not_null()).select("at", "till")


def _axes(silent: list[tuple[datetime, datetime]]) -> Axes:
    axes = Figure(figsize=(11, 3), layout="constrained").add_subplot()
    for number, (begin, end) in enumerate(silent):
        axes.axvspan(begin, end, color=GREY, alpha=0.45, linewidth=0, label="silent" if number == 0 else None)  # type: ignore[arg-type]
    axes.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))  # type: ignore[no-untyped-call]
    axes.margins(x=0.01)
    return axes


def _split(known: pl.DataFrame) -> list[pl.DataFrame]:
    """The series in pieces, cut where buckets are missing or stale ones were left out."""
    step = int(known["at_ns"].diff().fill_null(0).quantile(0.5) or 0)
    pieces = known.with_columns(piece=(pl.col("at_ns").diff().fill_null(0) > 3 * step).cum_sum())
    return pieces.partition_by("piece", maintain_order=True)


def _line(axes: Axes, known: pl.DataFrame, name: str, colour: str, label: str) -> None:
    for number, piece in enumerate(_split(known)):
        axes.plot(
            piece["at"].to_list(), piece[name].to_list(), color=colour, linewidth=1.2, label=None if number else label
        )
    axes.legend(loc="upper left", ncols=3)


def _band(axes: Axes, known: pl.DataFrame, low: str, high: str, colour: str) -> None:
    for number, piece in enumerate(_split(known)):
        label = None if number else "95 % interval"
        axes.fill_between(
            piece["at"].to_list(),
            piece[low].to_list(),
            piece[high].to_list(),
            color=colour,
            alpha=0.2,
            linewidth=0,
            label=label,
        )


def _calibration(client: Client) -> Axes:
    found = query(
        client,
        "SELECT predicted_percent AS p, realised_percent AS r FROM calibrations FINAL "
        "WHERE NOT stale AND p > 0 AND r > 0 ORDER BY event_ns",
    )
    axes = Figure(figsize=(11, 3.6), layout="constrained").add_subplot()
    axes.set_xscale("log")
    axes.set_yscale("log")
    predicted, realised = found["p"].to_list(), found["r"].to_list()
    axes.scatter(predicted, realised, s=16, color=GREEN, alpha=0.5, linewidth=0, label="one settlement window")
    if predicted:
        ends = [min(predicted), max(predicted)]
        axes.plot(ends, ends, color=RED, linewidth=1.4, label="as predicted")
    axes.set_ylim(bottom=LEAST_PERCENT)
    axes.set_xlabel("predicted, percent of notional")
    axes.set_ylabel("came, percent of notional")
    axes.legend(loc="lower right")
    return axes


def _svg(axes: Axes) -> str:
    buffer = io.StringIO()
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
