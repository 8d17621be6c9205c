"""Dashboard ``feeds``: what each feed delivers minute by minute, what it misses, and whether its books hold."""

from grafanalib.core import Dashboard

from grafana.panels import CHOSEN, SECONDS, SEEN, bars, dashboard, instruments, lines, over_time, stat, states, table
from schemas import Bar, Depth, Funding, IndexValue, Mark, Market, TakerVolume, Tick, Trade

RAW = (Tick, Trade, Depth, Bar, Mark, Funding, TakerVolume, IndexValue, Market)
BY_MINUTE = f"FROM qualities FINAL WHERE {CHOSEN}"
NEWEST = "(event_ns, _cause_offset)"
SOUND = {0: ("not valid", "red"), 1: ("valid", "green")}


def rates() -> str:
    """Rows a second of every raw table."""
    return " UNION ALL ".join(
        f"SELECT {SECONDS} AS t, '{record.table}' AS table, count() / $__interval_s AS rows"
        f" FROM {record.table} FINAL WHERE {CHOSEN} GROUP BY t"
        for record in RAW
    )


def minute_by_minute(column: str) -> str:
    """A column of the minutes, one line for each instrument."""
    return f"SELECT time AS t, instrument, {column} AS shown {BY_MINUTE} ORDER BY t, instrument"


def build() -> Dashboard:
    """The dashboard."""
    summary = [
        stat("Coverage", f"SELECT avg(coverage) AS shown {BY_MINUTE}", "percentunit", "Mean over all minutes shown."),
        stat("Worst minute", f"SELECT min(coverage) AS shown {BY_MINUTE}", "percentunit"),
        stat("Trades missed", f"SELECT sum(missed) AS shown {BY_MINUTE}"),
        stat(
            "Books not valid",
            f"""SELECT countIf(NOT sound) AS shown FROM (SELECT instrument, argMax(valid, {NEWEST}) AS sound
                FROM tops FINAL WHERE {CHOSEN} GROUP BY instrument)""",
            "short",
            "Instruments whose newest top of the book cannot be trusted.",
        ),
    ]
    coverage = [
        lines(
            "Coverage by the minute",
            minute_by_minute("coverage"),
            "percentunit",
            "Share of the minute in which the last sign of life was no older than is normal for the feed.",
        ),
        lines("Oldest sign of life", minute_by_minute("oldest_ms"), "ms", "Greatest age reached in each minute."),
    ]
    delivered = [
        lines("Records a second by table", rates(), "short"),
        lines("Venue to receipt", minute_by_minute("delay_ms"), "ms", "Greatest delay in each minute, by both clocks."),
    ]
    flaws = [
        bars(
            "Repeated, late and far-off prices",
            f"""SELECT {SECONDS} AS t, sum(duplicates) AS repeated, sum(late) AS too_late, sum(outliers) AS far_off
                {BY_MINUTE} GROUP BY t ORDER BY t""",
            "short",
            "Ticks and trades whose id had come before, older than one before them, and priced far from the recent.",
        ),
        bars("Trades missed by the minute", minute_by_minute("missed")),
        bars(
            "Reconnects",
            over_time("count() AS connects", "connects", f"{CHOSEN} AND connects.cause != 'start'", "cause"),
            "short",
            "Connections after the first of a process, by what ended the one before.",
        ),
    ]
    books = [
        states(
            "Books",
            over_time("toInt64(min(valid)) AS sound", "tops", CHOSEN),
            SOUND,
            "Not valid from the first broken proof to the snapshot that mends it.",
        ),
        lines(
            "Spread",
            over_time(
                "avg((ask - bid) / ((ask + bid) / 2)) * 1e4 AS spread",
                "tops",
                f"{CHOSEN} AND valid AND bid > 0 AND ask > 0",
            ),
            "short",
            "Mean over the changes of the top, in basis points of the mid.",
        ),
        bars("Snapshots asked for", over_time("count() AS resyncs", "resyncs", SEEN, "cause")),
    ]
    gaps = [
        table(
            "Open gaps",
            f"""SELECT instrument, argMax(cause, {NEWEST}) AS why,
                fromUnixTimestamp64Nano(argMax(from_ns, {NEWEST}), 'UTC') AS since
                FROM gaps FINAL WHERE {CHOSEN} GROUP BY instrument
                HAVING argMax(to_ns, {NEWEST}) = 0 ORDER BY since""",
            "Instruments whose newest row of the ledger has no end yet.",
        ),
        table(
            "Gap ledger",
            f"""SELECT time AS noticed, instrument, feed, cause, from_time AS since,
                if(to_ns = 0, NULL, to_time) AS until, if(to_ns = 0, NULL, (to_ns - from_ns) / 1e9) AS seconds,
                expected, seen, missed, recovered
                FROM gaps FINAL WHERE {CHOSEN} ORDER BY time DESC LIMIT 500""",
        ),
    ]
    return dashboard(
        "tidemill-feeds",
        "Tidemill: feeds",
        "What each feed delivers minute by minute, what it misses, and whether its books hold.",
        instruments(several=True, source="qualities"),
        [summary, coverage, delivered, flaws, books, gaps],
    )
