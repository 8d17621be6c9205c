"""Dashboard ``pipeline``: what is refused, how late it all is, and what the history holds."""

from grafanalib.core import Dashboard

from grafana.panels import SECONDS, SEEN, bars, categories, dashboard, instruments, lines, over_time, table
from schemas import RECORDS
from schemas.record import EVERY_KEY


def delays(source: str, hops: dict[str, str]) -> str:
    """Median and 99th percentile of some delays, given as expressions in ns, shown in ms."""
    columns = ", ".join(
        f"quantile({level})({delay}) / 1e6 AS `{hop} p{round(100 * level)}`"
        for hop, delay in hops.items()
        for level in (0.5, 0.99)
    )
    where = f"{SEEN} AND _produced_ns > 0"
    return f"SELECT {SECONDS} AS t, {columns} FROM {source} FINAL WHERE {where} GROUP BY t ORDER BY t"


def counts() -> str:
    """Rows of every table, and the newest of each."""
    return " UNION ALL ".join(
        f"SELECT '{name}' AS table, count() AS rows, max(time) AS newest, max(_stored_time) AS stored"
        f" FROM {name} FINAL WHERE {SEEN}"
        for name in RECORDS
    )


def rates() -> str:
    """Rows a second of every keyed table."""
    return " UNION ALL ".join(
        f"SELECT {SECONDS} AS t, '{name}' AS table, count() / $__interval_s AS rows"
        f" FROM {name} FINAL WHERE {SEEN} GROUP BY t"
        for name, record in RECORDS.items()
        if record.key_field != EVERY_KEY
    )


def build() -> Dashboard:
    """The dashboard."""
    refused = [
        bars("Dead letters", over_time("count() AS letters", "dead_letters", SEEN, "by")),
        table(
            "Dead letters by source and reason",
            f"""SELECT source, by, replaceRegexpAll(reason, '-?[0-9]+([.][0-9]+)?', 'N') AS why, count() AS letters,
                max(time) AS newest, any(reason) AS example FROM dead_letters FINAL WHERE {SEEN}
                GROUP BY source, by, why ORDER BY letters DESC LIMIT 100""",
            "Numbers in the reason are put together as N.",
        ),
    ]
    latency = [
        lines(
            "From the venue to the history, tick by tick",
            delays(
                "ticks",
                {
                    "exchange → received": "_received_ns - _exchange_ns",
                    "received → produced": "_produced_ns - _received_ns",
                    "produced → stored": "_stored_ns - _produced_ns",
                },
            ),
            "ms",
        ),
        lines(
            "From the tick's writing to the jump loss",
            delays("jump_losses", {"produced → derived": "_kafka_ns - _produced_ns"}),
            "ms",
            "The derived record's Kafka timestamp, which has milliseconds, against the cause's writing.",
        ),
    ]
    history = [
        lines(
            "Delay of the sink",
            delays("jump_losses", {"derived → stored": "_stored_ns - _kafka_ns"}),
            "ms",
            "How long a record lay on its topic before it was in the history: the sink's lag in time.",
        ),
        lines("Rows a second by table", rates(), "short"),
        categories("Rows by table", f"SELECT table, rows FROM ({counts()}) ORDER BY table"),
        table("Tables", f"SELECT table, rows, newest, stored FROM ({counts()}) ORDER BY table"),
    ]
    return dashboard(
        "tidemill-pipeline",
        "Tidemill: pipeline",
        "What is refused, how late it all is, and what the history holds.",
        instruments(several=True),
        [refused, latency, history],
    )
