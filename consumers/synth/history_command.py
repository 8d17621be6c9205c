"""``tidemill synth history``: the topic ``bars`` gets the past that its stages warm up with."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated

import typer

from consumers.synth.fetching import DAY_MINUTES, SETTLED_NS, first_minute, places
from consumers.synth.state import MINUTE_NS
from consumers.synth.updater import FAULTS
from consumers.synth.updater_command import Bars, Names, Source, WarmUp, chosen, history, stopped, warm_up_ns
from consumers.synth.warm_up import Choice, fetched, newer, on_log, write
from infra import logs
from infra.broker import partition_counts
from infra.settings import load_settings
from processors.online.synth_assets import Asset
from producers.history.command import Via
from producers.history.web import Stopped
from schemas import Bar

Days = Annotated[int, typer.Option(min=0, max=30, help="Days to fetch; 0: 72 hours, five days where a market shuts.")]
HOUR_NS = 60 * MINUTE_NS
log = logs.logger(__name__)


def history_(
    asset: Names = None,
    days: Days = 0,
    bars: Bars = None,
    source: Source = None,
    warmup_date: WarmUp = "",
    via: Via = "",
) -> None:
    """Write the bars that stages warm up with onto the topic bars, before the feeds of these prices are started."""
    settings = load_settings()
    logs.setup(settings)
    assets = chosen(asset or [], source or [])
    begin_ns = warm_up_ns(warmup_date)
    now_ns = time.time_ns() if begin_ns is None else begin_ns + SETTLED_NS
    partition_counts(settings)  # without a broker nothing need be fetched
    with stopped() as stopping:
        there = places(assets, settings, stopping, via)

        def fetch(each: Asset) -> list[Bar] | None:
            first = first_minute(each, now_ns, days * DAY_MINUTES)
            try:
                return fetched(each, there[each.name], history(each, bars), first, now_ns)
            except Stopped:
                return None
            except FAULTS as error:
                log.error("not fetched", asset=each.name, reason=f"{type(error).__name__}: {error}")
                return None

        with ThreadPoolExecutor(len(assets)) as pool:
            found = dict(zip(assets, pool.map(fetch, assets.values()), strict=True))
        if stopping.is_set():
            raise typer.Exit(1)
    # Looked at after the venues were asked: what a feed has written meanwhile counts.
    ends = on_log(settings, min(first_minute(each, now_ns, days * DAY_MINUTES) for each in assets.values()) * MINUTE_NS)
    choices = {
        name: newer(taken, ends.get(assets[name].source, set())) for name, taken in found.items() if taken is not None
    }
    write(settings, [bar for choice in choices.values() for bar in choice.bars])
    for name, choice in choices.items():
        typer.echo(told(assets[name], choice, ends.get(assets[name].source, set())))
    if failed := [name for name, taken in found.items() if taken is None]:
        typer.echo(f"not fetched: {', '.join(failed)}", err=True)
        raise typer.Exit(1)


def told(asset: Asset, choice: Choice, ends: set[int]) -> str:
    """What was done for an asset, and how much history its log has now."""
    reached = ends.union(bar.event_ns for bar in choice.bars)
    hours = (max(reached) - min(reached)) / HOUR_NS if reached else 0.0
    return (
        f"{asset.name}: {len(choice.bars)} bars written, skipped {choice.held} that the log holds and {choice.late} "
        f"that are too late for it; it holds {hours:.1f} h, {asset.warm_up_minutes // 60} h are warm"
    )
