"""What people ask the history: the last values, how much there is, what was missed, whether predictions came true.

Each question is one query over one table with FINAL, so that nothing that was delivered twice counts twice.
"""

import polars as pl

from infra.clickhouse import Client, query
from schemas import RECORDS


def last_values(client: Client) -> pl.DataFrame:
    """The newest jump loss of each instrument and fee, oldest first; ``feed_age_ms`` is as of its ``event_ns``."""
    return query(
        client,
        "SELECT instrument, fee_units, event_ns, mid, mu_percent, fee_percent, jump_loss_percent, low_percent, "
        "high_percent, settlement_ms, buckets, stale, feed_age_ms FROM jump_losses FINAL "
        "ORDER BY time DESC, _cause_offset DESC, _cause_ordinal DESC LIMIT 1 BY instrument, fee_units",
    ).sort("event_ns", "instrument", "fee_units")


def counts(client: Client) -> dict[str, int]:
    """The records in each table."""
    tables = " UNION ALL ".join(f"SELECT '{name}' AS name, count() AS records FROM {name} FINAL" for name in RECORDS)
    found = query(client, f"SELECT name, toInt64(records) AS records FROM ({tables}) ORDER BY name")
    return dict(found.rows())


def coverage(client: Client) -> pl.DataFrame:
    """For each instrument the buckets that its feed should have filled, and the share in which it was seen alive."""
    return query(
        client,
        "SELECT instrument, min(event_ns) AS from_ns, max(event_ns) AS to_ns, "
        "toInt64(count() + sum(missed)) AS buckets, countIf(NOT stale) / buckets AS covered, "
        "toInt64(sum(ticks)) AS ticks, max(return_percent) AS largest_percent "
        "FROM buckets FINAL GROUP BY instrument ORDER BY instrument",
    )


def gaps(client: Client) -> pl.DataFrame:
    """For each instrument and cause the rows of the gap ledger, the trades missed and the longest outage in seconds."""
    return query(
        client,
        "SELECT instrument, cause, toInt64(count()) AS gaps, toInt64(sum(missed)) AS trades, "
        "max(if(to_ns > 0, to_ns - from_ns, 0)) / 1e9 AS longest_s, toInt64(countIf(to_ns = 0)) AS opened "
        "FROM gaps FINAL GROUP BY instrument, cause ORDER BY instrument, cause",
    )


def calibration(client: Client) -> pl.DataFrame:
    """For each instrument and fee the settlement windows, the mean of what was predicted and of what came, in percent.

    ``inside`` is the share of windows whose realised loss lay in the predicted interval, ``above`` the share over it.
    Windows with a stale bucket are left out.
    """
    return query(
        client,
        "SELECT instrument, fee_percent, toInt64(count()) AS windows, avg(predicted_percent) AS predicted, "
        "avg(realised_percent) AS realised, avg(realised_percent BETWEEN low_percent AND high_percent) AS inside, "
        "avg(realised_percent > high_percent) AS above "
        "FROM calibrations FINAL WHERE NOT stale GROUP BY instrument, fee_percent ORDER BY instrument, fee_percent",
    )


def refusals(client: Client) -> pl.DataFrame:
    """Dead letters by source, who refused them and why, numbers in the reason put together; the most frequent first."""
    return query(
        client,
        "SELECT source, by, replaceRegexpAll(reason, '-?[0-9]+([.][0-9]+)?', 'N') AS why, toInt64(count()) AS letters, "
        "max(event_ns) AS newest_ns FROM dead_letters FINAL GROUP BY source, by, why "
        "ORDER BY letters DESC, source, by, why",
    )
