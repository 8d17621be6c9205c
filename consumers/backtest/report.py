"""A run's figures as tables for people, and as plain values for programs."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.table import Table

from consumers.backtest.measure import HORIZONS_S, Measure

PARTS = ("spread", "inventory", "fees", "funding")


def figures(measure: Measure) -> dict[str, Any]:
    """Everything in numbers: money in quote currency, shares of 1, markouts in basis points."""
    ledger = measure.ledger
    return {
        "seconds": measure.seconds,
        "equity": ledger.equity,
        **{part: getattr(ledger, part) for part in PARTS},
        "drawdown": measure.drawdown,
        "position": ledger.position,
        "traded": ledger.traded,
        "fills": len(measure.fills),
        "fill_ratio": measure.fill_ratio,
        "bid_in_book": measure.time_in_book("buy"),
        "ask_in_book": measure.time_in_book("sell"),
        "requests": dict(sorted(measure.requests.items())),
        "markouts_bps": {str(horizon): measure.markout(horizon)[0] for horizon in HORIZONS_S},
        "after_fees_bps": {str(horizon): measure.markout(horizon, of_price=True)[0] for horizon in HORIZONS_S},
        "withdrawn_s": {reason: ns / 1e9 for reason, ns in measure.reasons.items()},
        "refused": dict(measure.refused),
        "halts": [control.reason for control in measure.halts],
        "drift": ledger.drift,
        "events": measure.events,
    }


def table(title: str, found: dict[str, Any]) -> Table:
    """The figures of one run."""
    shown = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=False)
    shown.add_column(overflow="fold")
    shown.add_column(justify="right", overflow="fold")
    for name in PARTS:
        shown.add_row(name, f"{found[name]:+,.4f}")
    shown.add_row("profit", f"{found['equity']:+,.4f}", end_section=True)
    shown.add_row("largest drawdown", f"{found['drawdown']:,.4f}")
    shown.add_row("position at the end", f"{found['position']:g}")
    shown.add_row("traded", f"{found['traded']:,.2f}")
    shown.add_row("fills", f"{found['fills']:,}")
    shown.add_row("fill ratio", f"{found['fill_ratio']:.2%}")
    shown.add_row("time in book, bid | ask", f"{found['bid_in_book']:.1%} | {found['ask_in_book']:.1%}")
    for horizon in HORIZONS_S:
        markout, after = found["markouts_bps"][str(horizon)], found["after_fees_bps"][str(horizon)]
        shown.add_row(f"markout {horizon} s, of the price after fees, bps", f"{markout:+.3f} | {after:+.3f}")
    requests = ", ".join(f"{action} {count:,}" for action, count in found["requests"].items()) or "none"
    shown.add_row("requests", requests, end_section=True)
    for reason, seconds in sorted(found["withdrawn_s"].items(), key=lambda item: -item[1])[:5]:
        shown.add_row(f"not quoting: {reason}", f"{seconds:,.1f} s")
    for reason in found["halts"]:
        shown.add_row("halted", reason)
    for reason, count in list(found["refused"].items())[:5]:
        shown.add_row(f"refused: {reason}", f"{count:,}")
    return shown


def sweep_table(rows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Table:
    """The runs of a sweep, the best profit first: what was set, and what came of it."""
    names = (
        *rows[0][0],
        "profit",
        "spread",
        "inven- tory",
        "costs",
        "draw- down",
        "fills",
        "filled",
        "in book",
        "5 s bps",
    )
    lines = [_line(setting, found) for setting, found in sorted(rows, key=lambda row: -row[1]["equity"])]
    shown = Table(
        box=None,
        padding=(0, 1, 0, 0),
        caption="costs: fees and funding; filled: of the size in the book; 5 s bps: markout of the fills",
        caption_justify="left",
    )
    for name, cells in zip(names, zip(*lines, strict=True), strict=True):
        shown.add_column(name, justify="right", overflow="fold", min_width=max(map(len, cells)))
    for line in lines:
        shown.add_row(*line)
    return shown


def _line(setting: dict[str, Any], found: dict[str, Any]) -> list[str]:
    money = (found["equity"], found["spread"], found["inventory"], found["fees"] + found["funding"])
    return [
        *map(str, setting.values()),
        *(f"{value:+,.2f}" for value in money),
        f"{found['drawdown']:,.2f}",
        f"{found['fills']:,}",
        f"{found['fill_ratio']:.1%}",
        f"{(found['bid_in_book'] + found['ask_in_book']) / 2:.0%}",
        f"{found['markouts_bps']['5']:+.2f}",
    ]
