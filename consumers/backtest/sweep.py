"""Many runs over one market, each with other settings, in processes side by side."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

from consumers.backtest.makers import Options, changed, run
from consumers.backtest.markets import Recorded
from consumers.backtest.report import figures
from infra.errors import UserError

Setting = dict[str, Any]
Row = tuple[Setting, dict[str, Any]]
# Options that belong to an estimator as well as to the maker that reads it: one setting sets both.
SHARED = {
    "sigma_method": ("volatilities", "method"),
    "kappa_method": ("intensities", "method"),
    "kappa_side": ("intensities", "side"),
}


def settings_of(texts: Sequence[str]) -> list[Setting]:
    """Every combination of some options' values.

    Raises:
        UserError: a text is not option=value,value.

    >>> settings_of(["gamma=0.1,0.2", "kappa_method=depth"])
    [{'gamma': '0.1', 'kappa_method': 'depth'}, {'gamma': '0.2', 'kappa_method': 'depth'}]

    """
    values: dict[str, list[str]] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        if not equals or not name.strip() or not all(given.split(",")):
            raise UserError(f"{text!r}: expected option=value,value as gamma=0.01,0.1")
        values[name.strip()] = [value.strip() for value in given.split(",")]
    return [dict(zip(values, chosen, strict=True)) for chosen in itertools.product(*values.values())]


def as_options(setting: Setting) -> dict[str, dict[str, Any]]:
    """A setting as options of stages: of the market maker, or of another where its name says so.

    >>> as_options({"gamma": "0.1", "paper.maker_fee": "0", "limits.order": "5"})
    {'market_maker': {'gamma': '0.1', 'limits': {'order': '5'}}, 'paper': {'maker_fee': '0'}}
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in setting.items():
        stage, dot, option = name.partition(".")
        if dot and stage == "limits":
            found.setdefault("market_maker", {}).setdefault("limits", {})[option] = value
        elif dot:
            found.setdefault(stage, {})[option] = value
        else:
            found.setdefault("market_maker", {})[name] = value
            if name in SHARED:
                stage, option = SHARED[name]
                found.setdefault(stage, {})[option] = value
    return found


def sweep(
    market: Recorded, options: Options, settings: Sequence[Setting], processes: int, done: Callable[[], None]
) -> list[Row]:
    """Run every setting; ``done`` is told of each that has ended. Rows stand in the order of the settings."""
    rows: dict[int, Row] = {}
    for place, found in _ended(market, options, settings, processes):
        rows[place] = settings[place], found
        done()
    return [rows[place] for place in sorted(rows)]


def _ended(
    market: Recorded, options: Options, settings: Sequence[Setting], processes: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    if processes == 1:
        for place, setting in enumerate(settings):
            yield place, one(market, options, setting)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(one, market, options, setting): place for place, setting in enumerate(settings)}
        for future in as_completed(waiting):
            yield waiting[future], future.result()


def one(market: Recorded, options: Options, setting: Setting) -> dict[str, Any]:
    """The figures of one run."""
    return figures(run(market.records(), changed(options, as_options(setting))))
