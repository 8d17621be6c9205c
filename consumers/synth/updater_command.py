"""``tidemill synth updater``: keeps the states on disk up to date, from venues or from our own topics."""

import contextlib
import fcntl
import functools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from consumers.synth.bars import KINDS
from consumers.synth.fetching import SETTLED_NS, kept_bars, places
from consumers.synth.listening import listen
from consumers.synth.updater import Updater, Updating
from infra import logs, metrics
from infra.errors import UserError
from infra.settings import load_settings
from processors.online.synth_assets import ASSETS, Asset
from producers.history.command import Via, day
from schemas import Bar

LOCK = ".updater.lock"

StateDir = Annotated[Path | None, typer.Option(help="Folder of the states; not given: setting synth_state_dir.")]
Interval = Annotated[float, typer.Option("--update-interval", min=0.1, help="Seconds between two looks for new bars.")]
Level = Annotated[str | None, typer.Option(help="DEBUG, INFO, WARNING or ERROR; not given: setting log_level.")]
WarmUp = Annotated[str, typer.Option("--warmup-date", help="Begin with what was known when this day began (UTC).")]
OneShot = Annotated[bool, typer.Option("--one-shot", help="Update each asset once and end; 1 if one could not be.")]
Names = Annotated[list[str] | None, typer.Option("--asset", help="Asset; again for more; not given: all.")]
Source = Annotated[
    list[str] | None, typer.Option("--source", help="Prices of an asset elsewhere, as BTC=pyth:BTC/USD.")
]
From = Annotated[str, typer.Option("--from", help="venues, or kafka: the topics bars and volatility_states.")]
Bars = Annotated[Path | None, typer.Option(help="Parquet of minute bars that a state built anew begins with.")]


def updater(
    state_dir: StateDir = None,
    update_interval: Interval = 60.0,
    log_level: Level = None,
    warmup_date: WarmUp = "",
    one_shot: OneShot = False,
    asset: Names = None,
    source: Source = None,
    from_: From = "venues",
    bars: Bars = None,
    via: Via = "",
) -> None:
    """Keep the states that forecasts start from up to date: one file for each asset."""
    overrides: dict[str, Any] = {"log_level": log_level} if log_level else {}
    settings = load_settings(**overrides)
    logs.setup(settings)
    assets = chosen(asset or [], source or [])
    if from_ not in {"venues", "kafka"}:
        raise UserError(f"--from: {from_!r} is neither venues nor kafka")
    if from_ == "kafka" and (warmup_date or source or bars or via):
        raise UserError("--from kafka: takes no --warmup-date, --source, --bars and --via, which are for venues")
    folder = state_dir or settings.synth_state_dir
    with held(folder), stopped() as stopping:
        metrics.serve(settings)
        if from_ == "kafka":
            end(listen(settings, folder, assets, update_interval, stopping, one_shot))
            return
        begin_ns = warm_up_ns(warmup_date)
        there = places(assets, settings, stopping, via)
        clock = functools.partial(int, begin_ns + SETTLED_NS) if begin_ns and one_shot else time.time_ns
        updaters = {
            name: Updater(folder, asset, there[name], clock, begin_ns, history(asset, bars))
            for name, asset in assets.items()
        }
        updating = Updating(updaters, update_interval, stopping)
        if not one_shot:
            updating.run()
        else:
            end(updating.once())


def end(failed: list[str]) -> None:
    """End with 1, and say so, where some assets could not be updated."""
    if failed:
        typer.echo(f"not updated: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def warm_up_ns(text: str) -> int | None:
    """When the day of --warmup-date began; None where none is given.

    Raises:
        UserError: it is no day, or has not begun.

    """
    begin_ns = day("warmup-date", text) if text else None
    if begin_ns is not None and begin_ns > time.time_ns():
        raise UserError(f"--warmup-date: {text} lies in the future")
    return begin_ns


def history(asset: Asset, place: Path | None) -> Callable[[int, int], list[Bar]]:
    """The bars of an asset that a state built anew begins with, from a minute to before another."""
    return functools.partial(kept_bars, asset, place) if place else lambda first, end: []


def chosen(names: list[str], sources: list[str]) -> dict[str, Asset]:
    """Assets by name, all where none is named, with other sources where some are given.

    >>> chosen(["BTC"], ["BTC=pyth:BTC/USD"])["BTC"].source
    'pyth:BTC/USD'

    Raises:
        UserError: a name that is none, or a source that cannot be.

    """
    if unknown := [name for name in names if name not in ASSETS]:
        raise UserError(f"--asset: {unknown[0]!r} is none of {', '.join(ASSETS)}")
    found = {name: ASSETS[name] for name in names or ASSETS}
    for text in sources:
        name, _, source = text.partition("=")
        feed, _, symbol = source.partition(":")
        if name not in found or feed not in KINDS or not symbol:
            raise UserError(f"--source: {text!r} is not ASSET=feed:SYMBOL with a feed of {', '.join(KINDS)}")
        found[name] = found[name]._replace(source=source)
    return found


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep others from updating the same folder.

    Raises:
        UserError: another process does.

    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"{folder}: another updater is at work on it") from None
        yield


@contextlib.contextmanager
def stopped() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
