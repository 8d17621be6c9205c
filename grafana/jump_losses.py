"""Dashboard ``jump_losses``: what a jump is expected to cost now, how sure that is, and whether it came true."""

from grafanalib.core import Dashboard

from grafana.panels import band, categories, dashboard, instruments, lines, stat, states, table

HERE = "instrument = '${instrument}' AND $__timeFilter(time)"


def latest(columns: str, source: str) -> str:
    """The newest row of a table in the time range."""
    return f"SELECT {columns} FROM {source} FINAL WHERE {HERE} ORDER BY time DESC LIMIT 1"


def over_time(columns: str, source: str) -> str:
    """A table's rows gathered into the intervals that the screen can show."""
    return f"""SELECT $__timeInterval_ms(time) AS t, {columns} FROM {source} FINAL WHERE {HERE} GROUP BY t ORDER BY t"""


def build() -> Dashboard:
    """The dashboard."""
    now = [
        stat(
            "Now",
            latest("mu_percent AS `μ_J`, fee_percent AS F, jump_loss_percent AS JL", "jump_losses"),
            "percent",
            "Average bucket return, oracle fee, and the jump loss that follows from them.",
            decimals=6,
        ),
        stat("Mid", latest("mid", "jump_losses"), "none", "Mid at the end of the last bucket.", decimals=2),
        stat("Age of the feed", latest("feed_age_ms", "jump_losses"), "ms", "Since the last tick or heartbeat."),
        stat("Settlement time", latest("settlement_ms", "jump_losses"), "ms", "Twice the half-life of the average."),
    ]
    losses = [
        band(
            "Jump loss, with its interval",
            over_time(
                "avg(jump_loss_percent) AS JL, avg(low_percent) AS low, avg(high_percent) AS high", "jump_losses"
            ),
            "low",
            "high",
            "percent",
            "μ − F/2 above the fee, else μ/2, in percent of notional.",
        ),
        band(
            "μ_J, with its interval",
            over_time(
                "avg(mu_percent) AS `μ_J`, avg(mu_low_percent) AS low, avg(mu_high_percent) AS high, "
                "avg(fee_percent) AS F",
                "jump_losses",
            ),
            "low",
            "high",
            "percent",
            "Exponential average of the bucket returns; the interval allows for their serial correlation.",
        ),
    ]
    market = [
        lines("Mid", over_time("argMax(mid, time) AS mid", "jump_losses"), "none"),
        lines(
            "Bucket returns",
            over_time("max(return_percent) AS largest, avg(return_percent) AS average", "buckets"),
            "percent",
            "100 |ln(last / start)| of each bucket.",
        ),
    ]
    health = [
        states(
            "Blind",
            over_time("toInt64(max(stale)) AS stale", "buckets"),
            {0: ("seeing", "green"), 1: ("stale", "red")},
            "Stale: neither tick nor heartbeat for longer than the limit.",
        ),
        lines("Age of the feed", over_time("max(feed_age_ms) AS age", "buckets"), "ms"),
        lines(
            "Coverage of the average",
            over_time("min(coverage) AS covered", "jump_losses"),
            "percentunit",
            "Share of the average's weight that lies on buckets in which the feed was alive.",
        ),
    ]
    calibration = [
        lines(
            "Calibration: predicted against realised",
            over_time("avg(predicted_percent) AS predicted, avg(realised_percent) AS realised", "calibrations"),
            "percent",
            "Each settlement window's jump loss, as predicted at its start and of the move that came.",
            drawStyle="points",
        ),
        categories(
            "Where the realised loss fell",
            f"""SELECT multiIf(realised_percent < low_percent, 'below', realised_percent > high_percent, 'above',
                'inside') AS place, count() AS windows FROM calibrations FINAL WHERE {HERE} AND NOT stale
                GROUP BY place ORDER BY place""",
            "short",
            "Settlement windows by where the realised loss fell: below, inside or above the predicted interval.",
        ),
        table(
            "Calibration",
            f"""SELECT fee_percent AS fee, count() AS windows, avg(predicted_percent) AS predicted,
                avg(realised_percent) AS realised, avg(realised_percent <= high_percent) AS `not above`,
                avg(realised_percent BETWEEN low_percent AND high_percent) AS coverage
                FROM calibrations FINAL WHERE {HERE} AND NOT stale GROUP BY fee_percent ORDER BY fee_percent""",
            "Stale windows left out; coverage is the share of windows inside their interval.",
        ),
    ]
    return dashboard(
        "tidemill-jump-losses",
        "Tidemill: jump losses",
        "What a price jump is expected to cost under an oracle fee, and whether it came true.",
        instruments(several=False),
        [now, losses, market, health, calibration],
    )
