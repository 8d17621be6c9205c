"""Forecasts for the Synth subnet: kept up to date, served, scored offline, and fitted."""

import json
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress

from consumers.synth import contestants as by
from consumers.synth.axon_command import axon_
from consumers.synth.backtest import Result, prompts, run, truth
from consumers.synth.bars import read
from consumers.synth.contestants import Contestant, Moment, Work
from consumers.synth.fan import FORMATS, Chart
from consumers.synth.fan import write as draw
from consumers.synth.fitting import fit as search
from consumers.synth.fitting import mean_score
from consumers.synth.forecast_log import chart_of
from consumers.synth.history import History, history
from consumers.synth.history_command import history_
from consumers.synth.leaderboard import pits, rows, table
from consumers.synth.serve_command import serve
from consumers.synth.updater_command import updater
from infra.errors import UserError
from infra.settings import load_settings
from processors.online.bands import bands
from processors.online.day_profile import DAY
from processors.online.synth_assets import ASSETS, Asset, Model, check
from processors.online.synth_assets import asset as asset_named
from processors.online.synth_rules import LEAD_MINUTES, PATHS, Competition, Rules, newest, rules_on
from processors.online.synth_rules import cadence as usual_cadence

LENGTHS = {"24h": 86_400, "1h": 3_600}
PEERS = ("reference", "gaussian", "student_t", "bootstrap", "garch_t")
ALL_PEERS = ",".join(PEERS)

Assets = Annotated[list[str], typer.Option("--asset", help="Asset as the subnet names it; again for more.")]
Bars = Annotated[
    Path | None,
    typer.Option(help="Parquet file or folder of one-minute bars; not given: what `tidemill backfill` has kept."),
]
Start = Annotated[str, typer.Option("--start-day", help="First day of forecasts, e.g. 2026-04-09 (UTC).")]
Days = Annotated[int, typer.Option("--num-days", min=1, help="Days of forecasts.")]
Kind = Annotated[str, typer.Option("--competition", help="24h or 1h.")]
Every = Annotated[int, typer.Option(min=0, help="Minutes between forecasts; 0: as the subnet asks.")]
Paths = Annotated[int, typer.Option(min=2, max=10_000, help="Paths of a forecast.")]
OnDay = Annotated[str, typer.Option("--rules", help="Score by the rules of this day; not given: by the newest.")]
Parameters = Annotated[Path | None, typer.Option(help="Parameters that `tidemill synth fit --out` has written.")]
Against = Annotated[str, typer.Option(help=f"What to compare with: {ALL_PEERS}; or none.")]
Out = Annotated[Path | None, typer.Option(help="File to write the parameters into.")]

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, rich_markup_mode="markdown")
app.command()(updater)
app.command()(serve)
app.command("axon")(axon_)
app.command("history")(history_)


@app.command()
def crps(
    asset: Assets,
    start_day: Start,
    num_days: Days = 1,
    bars: Bars = None,
    competition: Kind = "24h",
    every: Every = 0,
    paths: Paths = PATHS,
    rules: OnDay = "",
    parameters: Parameters = None,
    against: Against = ALL_PEERS,
) -> None:
    """Forecast at the times of prompts from what was known then, and score what came, beside other forecasters."""
    first, console = day("--start-day", start_day), Console()
    models = loaded(parameters, first, asset, competition) if parameters else {}
    for name in asset:
        found, rule = opened(name, bars, competition, rules)
        model = models.get(name, found.asset.model(rule.length_s))
        cadence = every or usual_cadence(name, rule.length_s)
        moments = list(prompts(found, first, first + num_days * DAY, cadence, rule))
        require(found, moments, first)
        work = Work(rule, paths)
        contestants = {"ours": by.ours(found, model, work), **peers(against, found, work)}
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(f"{name} {competition}", total=len(moments))
            results = run(found, moments, rule, contestants, partial(progress.advance, task))
        show(console, f"{name}, {competition}: {model}", results, max(rule.length_s // 60 // cadence, 1))


@app.command("fit")
def fit_(
    asset: Assets,
    start_day: Start,
    num_days: Days = 10,
    bars: Bars = None,
    competition: Kind = "24h",
    every: Every = 75,
    tries: Annotated[int, typer.Option(min=5, help="Parameters to try.")] = 80,
    rules: OnDay = "",
    out: Out = None,
) -> None:
    """Look for the parameters of the lowest CRPS on the first two thirds of some days; the last third judges them.

    The search begins with the model in use, and where that is better on the last third it stays.
    """
    first = day("--start-day", start_day)
    if out:
        require_folder(out)
    models: dict[str, Any] = {}
    for name in asset:
        found, rule = opened(name, bars, competition, rules)
        moments = list(prompts(found, first, first + num_days * DAY, every or 75, rule))
        require(found, moments, first)
        border = first + max(num_days * 2 // 3, 1) * DAY
        earlier = [moment for moment in moments if moment.start + rule.length_s // 60 < border]
        later = [moment for moment in moments if moment.start >= border]
        if not earlier or not later:
            raise UserError(f"--num-days: {num_days} leave {len(earlier)} forecasts to fit and {len(later)} to judge")
        usual = found.asset.model(rule.length_s)
        result = search(found, earlier, rule, usual, tries)
        print(f"{name} {competition}: {result.model}")
        print(f"  on {len(earlier)} forecasts that it was fitted to: {result.before:.1f} -> {result.after:.1f}")
        before, after = (mean_score(found, later, rule, model, PATHS) for model in (usual, result.model))
        print(f"  on {len(later)} later ones:  {before:.1f} -> {after:.1f} ({100 * (after / before - 1):+.2f} %)")
        kept = result.model if after < before else usual
        print(f"  kept: {'what was found' if after < before else usual}")
        models[name] = kept._asdict()
    if out:
        until = datetime.fromtimestamp((first + num_days * DAY) * 60, UTC)
        fitted = {"competition": competition, "fitted_before": until.isoformat(), "models": models}
        out.write_text(json.dumps(fitted, indent=1) + "\n")


@app.command()
def fan(
    asset: Annotated[str, typer.Option(help="Asset as the subnet names it.")],
    start: Annotated[str, typer.Option(help="When the paths start, e.g. 2026-04-20T12:00 (UTC); not given: now.")] = "",
    bars: Bars = None,
    competition: Kind = "24h",
    paths: Paths = PATHS,
    from_: Annotated[str, typer.Option("--from", help="bars, or kafka: the topics forecasts and bars.")] = "bars",
    out: Annotated[Path, typer.Option(help=f"File to draw into: {', '.join(FORMATS)}.")] = Path("fan.png"),
) -> None:
    """Draw a forecast's bands, with what came where that is known; without a start, the newest there can be."""
    if out.suffix not in FORMATS:
        raise UserError(f"--out: {out.name!r} ends in none of {', '.join(FORMATS)}")
    require_folder(out)
    if from_ not in {"bars", "kafka"}:
        raise UserError(f"--from: {from_!r} is neither bars nor kafka")
    if from_ == "kafka" and (bars or paths != PATHS):
        raise UserError("--from kafka: takes no --bars and no --paths, the forecast there has its own")
    moment = minute("--start", start) if start else None
    if from_ == "kafka":
        ruled(asset, competition, "")
        draw(out, chart_of(load_settings(), asset, competition, None if moment is None else moment * 60))
    else:
        draw(out, made(asset, bars, competition, paths, moment))
    print(out)


def made(name: str, bars: Path | None, competition: str, paths: int, start: int | None) -> Chart:
    """The chart of a forecast made from bars, to start in a minute or after the last bar."""
    found, rule = opened(name, bars, competition, "")
    minutes = found.minutes
    begin = minutes.end + LEAD_MINUTES if start is None else start
    moment = Moment(begin, begin - LEAD_MINUTES - 1)
    if not minutes.start + found.asset.warm_up_minutes <= moment.known < minutes.end:
        first = datetime.fromtimestamp((minutes.start + found.asset.warm_up_minutes + LEAD_MINUTES + 1) * 60, UTC)
        last = datetime.fromtimestamp((minutes.end + LEAD_MINUTES) * 60, UTC)
        raise UserError(f"--start: the bars allow for a start from {first:%F %H:%M} to {last:%F %H:%M}")
    forecast = by.ours(found, found.asset.model(rule.length_s), Work(rule, paths))(moment)
    places = np.arange(max(moment.known - rule.length_s // 120, minutes.start), moment.known + 1)
    title = f"{name}, {competition} from {datetime.fromtimestamp(begin * 60, UTC):%F %H:%M}"
    times = moments_of(begin + rule.increment_s // 60 * np.arange(rule.points))
    before = moments_of(places), minutes.closes[places - minutes.start]
    return Chart(title, times, bands(forecast), truth(minutes, begin, rule), before)


def opened(name: str, bars: Path | None, competition: str, rules: str) -> tuple[History, Competition]:
    """The history of an asset and the competition that it is in."""
    asset, rule = ruled(name, competition, rules)
    return history(asset, read(asset, bars, load_settings().data_dir)), rule


def ruled(name: str, competition: str, rules: str) -> tuple[Asset, Competition]:
    """An asset and the competition that it is in, by the rules of a day or the newest."""
    if competition not in LENGTHS:
        raise UserError(f"--competition: {competition!r} is neither 24h nor 1h")
    try:
        asset: Asset = check(asset_named(name))
        found: Rules = rules_on(date_of("--rules", rules)) if rules else newest()
        return asset, found.competition(name, LENGTHS[competition])
    except ValueError as error:
        raise UserError(str(error)) from None


def peers(against: str, found: History, work: Work) -> dict[str, Contestant]:
    """The forecasters to compare with; the reference is always there."""
    wanted = [name.strip() for name in against.split(",") if name.strip() not in {"", "none"}]
    if unknown := set(wanted) - set(PEERS):
        raise UserError(f"--against: {min(unknown)!r} is none of {', '.join(PEERS)}")
    made = {"reference": by.reference(found, work)}
    for name in wanted:
        if name == "garch_t":
            made |= garch(found, work)
        else:
            made[name] = getattr(by, name)(found, work)
    return made


def garch(found: History, work: Work) -> dict[str, Contestant]:
    """GARCH-t, where arch is installed; says so where it is not."""
    from consumers.synth.garch import garch_t  # noqa: PLC0415  an extra

    try:
        return {"garch_t": garch_t(found, work)}
    except ImportError:
        typer.echo("garch_t is left out: arch is not installed; it comes with the extra `research`", err=True)
        return {}


def require(found: History, moments: list[Moment], first: int) -> None:
    """Refuse days without a single forecast."""
    if not moments:
        span = [datetime.fromtimestamp(minute * 60, UTC) for minute in (found.minutes.start, found.minutes.end)]
        warm = found.asset.warm_up_minutes // 60
        raise UserError(
            f"{found.asset.name}: no forecast can be made and scored from {datetime.fromtimestamp(first * 60, UTC):%F} "
            f"on: its bars are of {span[0]:%F %H:%M} to {span[1]:%F %H:%M}, and {warm} h of them go before the first"
        )


def require_folder(out: Path) -> None:
    """Refuse a file in a folder that is not there, before anything is computed for it."""
    if not out.parent.is_dir():
        raise UserError(f"--out: there is no folder {out.parent}")


def loaded(place: Path, first: int, names: list[str], competition: str) -> dict[str, Model]:
    """Parameters of some assets; refused where they are of another competition or of the days to score, or later."""
    try:
        given = json.loads(place.read_text())
        fitted_for = given["competition"]
        models = {name: Model(**values) for name, values in given["models"].items()}
        until = datetime.fromisoformat(given["fitted_before"])
        for name, model in models.items():
            check(ASSETS[name]._replace(day=model))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"--parameters: {place}: {type(error).__name__}: {error}") from None
    if fitted_for != competition:
        raise UserError(f"--parameters: {place}: competition: {fitted_for!r} where {competition!r} is scored")
    if lacking := [name for name in names if name not in models]:
        raise UserError(f"--parameters: {place}: models: none of {lacking[0]}, only of {', '.join(models)}")
    if first * 60 < until.timestamp():
        raise UserError(f"--start-day: before {until:%F}, up to which the parameters in {place} were fitted")
    return models


def day(option: str, text: str) -> int:
    """The minute at which a day begins.

    >>> day("--start-day", "1970-01-02")
    1440
    """
    return int(np.datetime64(date_of(option, text), "D").astype(int)) * DAY


def date_of(option: str, text: str) -> date:
    """A day as a date."""
    try:
        return datetime.fromisoformat(text).date()
    except ValueError:
        raise UserError(f"{option}: {text!r} is not a day like 2026-04-09") from None


def minute(option: str, text: str) -> int:
    """A time to the minute.

    >>> minute("--start", "1970-01-02T00:01")
    1441
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option}: {text!r} is no time like 2026-04-20T12:00") from None
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()) // 60


def moments_of(minutes: Any) -> Any:
    """Minutes since the epoch as numpy's times."""
    return minutes.astype("datetime64[m]")


def show(console: Console, title: str, results: dict[str, Result], overlap: int) -> None:
    """Print the leaderboard and how reliable ours is."""
    console.print(table(title, rows(results, overlap)))
    console.print(f"PIT of ours by tenths: {pits(results['ours'])}", highlight=False)
