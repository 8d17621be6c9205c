"""The results of contestants on the same prompts, as rows and as a table."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from rich import box
from rich.table import Table

from consumers.synth.backtest import Result, ratio, standard_error
from processors.online.reliability import coverage, histogram

BANDS = (0.5, 0.9)


class Row(NamedTuple):
    """One contestant."""

    name: str
    forecasts: int
    mean: float
    error: float
    ratio: float  # its mean over that of the reference miner
    ratio_error: float
    step_coverage: tuple[float, ...]  # of central bands, for the return over each increment
    end_coverage: tuple[float, ...]  # for the return over the horizon


def rows(results: Mapping[str, Result], overlap: int, against: str = "reference") -> list[Row]:
    """The contestants, the best first; ``overlap`` as for ``standard_error``."""
    base = np.array(results[against].scores)
    found = []
    for name, result in results.items():
        scores = np.array(result.scores)
        found.append(
            Row(
                name, len(scores), float(scores.mean()), standard_error(scores, overlap),
                *ratio(scores, base, overlap),
                tuple(coverage(result.step_pits, band) for band in BANDS),
                tuple(coverage(result.end_pits, band) for band in BANDS),
            )
        )  # fmt: skip
    return sorted(found, key=lambda row: row.mean)


def table(title: str, found: list[Row], against: str = "reference") -> Table:
    """The rows for people."""
    shown = Table(
        title=title,
        title_justify="left",
        box=box.SIMPLE,
        caption=f"over: the mean over that of {against}. "
        "step, end: returns over an increment, over the horizon, that lay in the central band of so many percent.",
    )
    shown.add_column("forecaster", no_wrap=True)
    for name in ("n", "CRPS", "±", "over", "±"):
        shown.add_column(name, justify="right", no_wrap=True)
    for which in ("step", "end"):
        for band in BANDS:
            shown.add_column(f"{which} {100 * band:g}", justify="right")
    for row in found:
        shown.add_row(
            row.name, str(row.forecasts), f"{row.mean:.1f}", f"{row.error:.1f}", f"{row.ratio:.4f}",
            f"{row.ratio_error:.4f}", *(f"{100 * share:.0f}%" for share in (*row.step_coverage, *row.end_coverage)),
        )  # fmt: skip
    return shown


def pits(result: Result) -> str:
    """The shares of PITs by tenths, of steps and of ends: a reliable forecaster has about 10 % in each.

    >>> pits(Result([1.0], [0.05, 0.15], [0.95]))
    'steps 50 50 0 0 0 0 0 0 0 0 %, ends 0 0 0 0 0 0 0 0 0 100 %'
    """
    steps, ends = (
        " ".join(f"{100 * share:.0f}" for share in histogram(of)) for of in (result.step_pits, result.end_pits)
    )
    return f"steps {steps} %, ends {ends} %"
