"""``tidemill demo``: the pipeline in one process, no broker: frames, parser, stages, history, a page to look at."""

import json
import shutil
import time
from array import array
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from consumers import demo_page
from consumers.clickhouse import ClickHouse
from consumers.demo_input import Input, choose
from infra import logs
from infra.clickhouse import Client, connect, query
from infra.errors import UserError
from infra.settings import load_settings
from processors.replay.replay import Replay
from processors.replay.runs import run_of
from processors.stage import stages
from schemas import DeadLetter, Record, Tick
from schemas.columns import Keys

RUN = 10_000  # records worked on at a time
COUNTED = ("ticks", "heartbeats", "clocks", "buckets", "emas", "jump_losses", "gaps", "calibrations", "dead_letters")


def demo(
    data: Annotated[Path | None, typer.Option(help="Recording of Coinbase frames; also DEMO_DATA.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; .tidemill/demo unless set.")] = None,
) -> None:
    """Turn ETH-USD ticks into a jump loss in this process, and show where each number came from."""
    given = choose(None if data is None else str(data))
    print(f"Input: {given.title}", flush=True)
    folder = out or load_settings().data_dir / "demo"
    settings = load_settings(data_dir=folder, clickhouse_dsn=None, log_level="WARNING")
    logs.setup(settings)
    shutil.rmtree(folder / "history", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    console = Console()
    history = ClickHouse(settings)
    client = connect(settings)
    try:
        numbers, rate = _fill(given, history)
        facts = _facts(client)
        console.print(_summary(facts, rate))
        trail = _trail(client, given, numbers)
        console.print("\n[bold]Where the last jump loss with a tick in its bucket came from[/]")
        for step in trail:
            console.print(step, markup=False, highlight=False, soft_wrap=True)
        page = folder / "index.html"
        page.write_text(demo_page.page(client, given.title, facts, trail), encoding="utf-8")
        console.print(f"\nPage: {page}\nHistory: {settings.history_dsn} (ClickHouse, embedded)", soft_wrap=True)
    finally:
        client.close()
        history.close()


def _fill(given: Input, history: ClickHouse) -> "tuple[array[int], float]":
    """Run the input through all stages into the history; the frame number of each record, and records a second."""
    numbers, replay, keys, seconds, timed = array("q"), Replay(stages()), Keys(), 0.0, 0
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("frames → records → buckets → μ_J → jump loss → history")
        while chunk := list(islice(given.records, RUN)):
            letters = [record for _, record in chunk if isinstance(record, DeadLetter)]
            rows: list[tuple[int, Record]] = [row for row in chunk if not isinstance(row[1], DeadLetter)]
            run = run_of([record for _, record in rows], Tick.topic, 0, len(numbers), keys, letters)
            began = time.perf_counter()
            made = replay.take(run)
            if numbers:  # the first run also loads compiled code
                seconds += time.perf_counter() - began
                timed += len(rows)
            history.write([run.batch, *made])
            numbers.extend(number for number, _ in rows)
            progress.update(
                task, description=f"{len(numbers):,} records, now at {_clock(rows[-1][1].event_ns) if rows else ''}"
            )
    if not any(numbers):
        raise UserError("the input holds no usable frame")
    return numbers, timed / seconds if seconds else 0.0


def _facts(client: Client) -> dict[str, Any]:
    """The figures of the summary, all from the history."""
    facts: dict[str, Any] = {name: _one(client, f"SELECT count() FROM {name} FINAL")[0] for name in COUNTED}
    facts["refused"] = query(
        client,
        "SELECT by, splitByChar(':', reason)[1] AS why, count() AS n "
        "FROM dead_letters FINAL GROUP BY by, why ORDER BY n DESC",
    ).rows()
    facts["gap_rows"] = query(
        client,
        "SELECT cause, count() AS n, sum(missed) AS missed, max(if(to_ns > 0, to_ns - from_ns, 0)) / 1e9 AS longest "
        "FROM gaps FINAL GROUP BY cause ORDER BY n DESC",
    ).rows()
    last = "SELECT * FROM jump_losses FINAL ORDER BY event_ns DESC LIMIT 1"
    facts["last"] = query(client, last).to_dicts()[0]
    facts["stale"] = _one(
        client, "SELECT countIf(stale), max(return_percent), max(event_ns) - min(event_ns) FROM buckets FINAL"
    )
    facts["calibrated"] = _one(
        client,
        "SELECT avg(predicted_percent), avg(realised_percent), avg(realised_percent > predicted_percent) "
        "FROM calibrations FINAL WHERE NOT stale",
    )
    return facts


def _summary(facts: dict[str, Any], rate: float) -> Table:
    last, (stale, largest, span_ns) = facts["last"], facts["stale"]
    table = Table(
        title=f"{last['instrument']} until {_clock(last['event_ns'])} UTC, read back from the history",
        show_header=False,
    )
    table.add_column(style="bold")
    table.add_column()
    table.add_row(
        "ticks", f"{facts['ticks']:,} in {span_ns / 6e10:.1f} minutes, {facts['clocks']:,} clocks between them"
    )
    table.add_row("buckets", f"{facts['buckets']:,} of 160 ms, largest move {largest:.4f} %, {stale:,} stale")
    table.add_row(
        "μ_J", f"{last['mu_percent']:.6f} %  (95 %: {last['mu_low_percent']:.6f} – {last['mu_high_percent']:.6f})"
    )
    table.add_row(
        "jump loss",
        f"{last['jump_loss_percent']:.6f} %  (95 %: {last['low_percent']:.6f} – {last['high_percent']:.6f}) "
        f"at a fee of {last['fee_percent']:g} %, mid {last['mid']:.2f}",
    )
    gaps = ", ".join(
        f"{n} {cause} ({missed:,} trades, up to {long:.0f} s)" for cause, n, missed, long in facts["gap_rows"]
    )
    table.add_row("gaps", gaps or "none")
    predicted, realised, above = facts["calibrated"]
    if facts["calibrations"]:
        told = f"predicted {predicted:.5f} %, came {realised:.5f} % on average, above it in {100 * above:.0f} %"
        table.add_row("calibration", f"{facts['calibrations']:,} settlement windows: {told}")
    table.add_row("refused", ", ".join(f"{n} {why} (by {by})" for by, why, n in facts["refused"]) or "none")
    table.add_row("speed", f"{rate:,.0f} records/s through all stages" if rate else "too short to tell")
    return table


def _trail(client: Client, given: Input, numbers: "array[int]") -> list[str]:
    """From the last jump loss with a tick in its bucket back to the frame that was received."""
    bucket = query(client, "SELECT * FROM buckets FINAL WHERE ticks > 0 ORDER BY event_ns DESC LIMIT 1").to_dicts()[0]
    same = "_cause_offset = {offset:Int64} AND _cause_ordinal = {ordinal:Int64} AND instrument = {instrument:String}"
    at = {"offset": bucket["_cause_offset"], "ordinal": bucket["_cause_ordinal"], "instrument": bucket["instrument"]}
    loss = query(client, f"SELECT * FROM jump_losses FINAL WHERE {same}", at).to_dicts()[0]
    ema = query(client, f"SELECT * FROM emas FINAL WHERE {same}", at).to_dicts()[0]
    begin_ns = bucket["event_ns"] - bucket["width_ms"] * 1_000_000
    within = {"instrument": bucket["instrument"], "begin": begin_ns, "end": bucket["event_ns"]}
    ticks = query(
        client,
        "SELECT * FROM ticks FINAL WHERE instrument = {instrument:String} AND event_ns >= {begin:Int64} "
        "AND event_ns < {end:Int64} ORDER BY _offset",
        within,
    )
    tick = ticks.to_dicts()[-1]
    number = numbers[tick["_offset"]]
    cause = f"ticks 0:{bucket['_cause_offset']}"
    closed_by = f"closed by {cause} ({_what(numbers[bucket['_cause_offset']])})"
    average = f"μ_J = {ema['mu_percent']:.6f} % ± {ema['error_percent']:.6f} over {ema['buckets']:,} buckets"
    stretch = f"[{_clock(begin_ns)}, {_clock(bucket['event_ns'])})"
    move = f"{bucket['start']:.3f} → {bucket['last']:.3f}, r = {bucket['return_percent']:.6f} %"
    return [
        f"jump_losses 0:{loss['_offset']}  JL = {loss['jump_loss_percent']:.6f} % at {_clock(loss['event_ns'])}",
        f"  ← emas 0:{ema['_offset']}  {average}",
        f"  ← buckets 0:{bucket['_offset']}  {stretch}  {move}, {closed_by}",
        f"  ← ticks {_offsets(ticks)}  the last at {_clock(tick['event_ns'])}: bid {tick['bid']}, ask {tick['ask']}",
        f"  ← {given.unit} {number:,} of the input: {_shortened(given.frames.get(number, ''))}",
    ]


def _one(client: Client, sql: str) -> tuple[Any, ...]:
    return query(client, sql).row(0)


def _what(number: int) -> str:
    return "a tick" if number else "a clock"


def _offsets(ticks: pl.DataFrame) -> str:
    first, last = ticks["_offset"][0], ticks["_offset"][-1]
    return f"0:{first}" if first == last else f"0:{first} … 0:{last} ({len(ticks)} ticks)"


def _shortened(frame: str) -> str:
    try:
        message = json.loads(frame)
    except ValueError:
        return frame[:300]
    return json.dumps({name: value for name, value in message.items() if not name.endswith(("_24h", "_30d"))})


def _clock(event_ns: int) -> str:
    return demo_page.clock(event_ns)
