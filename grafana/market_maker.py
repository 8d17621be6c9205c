"""Dashboard ``market_maker``: what is quoted and why not, what trades and what it brings, and how quick it is.

The spread that quotes earn is the sum over fills of their distance from the mid; what the position then gains or loses
is the rest of the equity (consumers/backtest/accounting.py).
"""

from grafanalib.core import Dashboard

from grafana.panels import CHOSEN, SECONDS, bars, categories, dashboard, instruments, lines, stat, states, table

HERE = "instrument = '${instrument}' AND $__timeFilter(time)"
INTERVAL = "$__timeInterval_ms(time) AS t"
PRICE, SIZE = "price / pow(10, price_decimals)", "size / pow(10, size_decimals)"
SIGN = "if(side = 'buy', 1, -1)"
EARNED = f"if(mid > 0, {SIGN} * {SIZE} * (mid - {PRICE}), 0)"
DELAY = "(_kafka_ns - _produced_ns) / 1e6"


def latest(columns: str, source: str) -> str:
    """The newest row of a table in the time range."""
    return f"SELECT {columns} FROM {source} FINAL WHERE {HERE} ORDER BY time DESC LIMIT 1"


def over_time(columns: str, source: str, where: str = HERE) -> str:
    """A table's rows gathered into the intervals that the screen can show."""
    return f"SELECT {INTERVAL}, {columns} FROM {source} FINAL WHERE {where} GROUP BY t ORDER BY t"


def build() -> Dashboard:
    """The dashboard."""
    now = [
        stat("Profit", latest("equity", "equities"), "none", "Realised + unrealised - fees + funding.", decimals=2),
        stat("Position", latest("inventory", "quotes"), "none", "Base units; negative when short.", decimals=4),
        stat("Quoted", latest("bid, ask", "quotes"), "none", "What the maker wants to have in the book.", decimals=2),
        stat(
            "Fills",
            f"SELECT count() AS fills, sum({SIZE}) AS size FROM fills FINAL WHERE {HERE}",
            "short",
            "Own trades in the time range.",
        ),
        stat(
            "Halts",
            f"SELECT countIf(action = 'halt') AS halts FROM controls FINAL WHERE {'$__timeFilter(time)'}",
            "short",
            "Words to stop, of people, limits and gateways.",
        ),
    ]
    quotes = [
        lines(
            "Quotes against the mid",
            over_time(
                "avgIf(mid, mid > 0) AS mid, avgIf(bid, bid > 0) AS bid, avgIf(ask, ask > 0) AS ask, "
                "avgIf(reservation, reservation > 0) AS reservation",
                "quotes",
                f"{HERE} AND quoting",
            ),
            "none",
            "Mid, reservation price, and the bid and ask that are wanted.",
            fillOpacity=0,
        ),
        states(
            "Quoting",
            over_time("toInt64(min(quoting)) AS quoting", "quotes"),
            {0: ("withdrawn", "red"), 1: ("quoting", "green")},
            "Withdrawn at any time of the interval.",
        ),
    ]
    why = [
        bars(
            "Withdrawn, by reason",
            f"SELECT {SECONDS} AS t, reason, count() AS quotes FROM quotes FINAL WHERE {CHOSEN} AND reason != '' "
            "GROUP BY t, reason ORDER BY t, reason",
            "short",
            "Decisions not to quote.",
        ),
        table(
            "Halts and resets",
            "SELECT time AS t, action, scope, by, reason FROM controls FINAL WHERE $__timeFilter(time) "
            "ORDER BY time DESC LIMIT 100",
            "Every word to executors and gateways, the newest first.",
        ),
    ]
    held = [
        lines("Inventory", over_time("argMax(inventory, time) AS position", "quotes"), "none", "Base units held."),
        lines(
            "Profit and its parts",
            over_time(
                "argMax(equity, time) AS profit, argMax(realised, time) AS realised, "
                "argMax(unrealised, time) AS unrealised, -argMax(fees, time) AS fees, argMax(funding, time) AS funding",
                "equities",
            ),
            "none",
            "As the venue tells it, in quote currency.",
            fillOpacity=0,
        ),
        lines(
            "Earned against the mid",
            f"SELECT t, sum(earned) OVER (ORDER BY t) AS spread FROM (SELECT {INTERVAL}, sum({EARNED}) AS earned "
            f"FROM fills FINAL WHERE {HERE} GROUP BY t) ORDER BY t",
            "none",
            "Sum over the fills of size times distance from the mid: the spread. The rest of the profit is inventory.",
        ),
    ]
    estimates = [
        lines(
            "σ",
            over_time("avgIf(sigma, usable) AS sigma", "volatilities", f"{HERE} AND usable"),
            "none",
            "Of log returns, per square root of a second.",
        ),
        lines(
            "κ",
            over_time(
                "avg(kappa) AS kappa, avg(kappa_low) AS low, avg(kappa_high) AS high",
                "intensities",
                f"{HERE} AND usable",
            ),
            "none",
            "Decay of the fill rate with distance, per unit of quote currency, with its interval of 90 %.",
            fillOpacity=0,
        ),
        states(
            "Usable",
            f"SELECT t, min(sigma) AS sigma, min(kappa) AS kappa FROM ("
            f"SELECT {INTERVAL}, toInt64(min(usable)) AS sigma, 1 AS kappa FROM volatilities FINAL WHERE {HERE} "
            f"GROUP BY t UNION ALL SELECT {INTERVAL}, 1 AS sigma, toInt64(min(usable)) AS kappa "
            f"FROM intensities FINAL WHERE {HERE} GROUP BY t) GROUP BY t ORDER BY t",
            {0: ("not usable", "red"), 1: ("usable", "green")},
            "Whether both estimates may be traded on.",
        ),
    ]
    orders = [
        bars(
            "Order states",
            f"SELECT {SECONDS} AS t, status, count() AS orders FROM order_states FINAL WHERE {CHOSEN} "
            "GROUP BY t, status ORDER BY t, status",
        ),
        bars(
            "Requests",
            f"SELECT {SECONDS} AS t, action, count() AS requests FROM order_requests FINAL WHERE {CHOSEN} "
            "GROUP BY t, action ORDER BY t, action",
        ),
        categories(
            "Rejects, cancels and expiries, by reason",
            f"SELECT reason, count() AS orders FROM order_states FINAL WHERE {HERE} AND reason != '' "
            "GROUP BY reason ORDER BY orders DESC LIMIT 20",
        ),
    ]
    traded = [
        lines(
            "Fills",
            f"SELECT {SECONDS} AS t, side, avg({PRICE}) AS at FROM fills FINAL WHERE {CHOSEN} "
            "GROUP BY t, side ORDER BY t, side",
            "none",
            "Prices of own trades.",
            drawStyle="points",
        ),
        table(
            "Last fills",
            f"SELECT time AS t, side, {PRICE} AS price_, {SIZE} AS size_, mid, fee, liquidity, client_id "
            f"FROM fills FINAL WHERE {HERE} ORDER BY time DESC LIMIT 200",
        ),
        lines(
            "From book to request",
            over_time(
                f"quantile(0.5)({DELAY}) AS p50, quantile(0.99)({DELAY}) AS p99",
                "order_requests",
                f"{HERE} AND _produced_ns > 0",
            ),
            "ms",
            "From the writing of the record that the decision was made on to the writing of the request.",
        ),
    ]
    return dashboard(
        "tidemill-market-maker",
        "Tidemill: market maker",
        "Quotes, inventory, profit, estimates, orders and halts of the market maker.",
        instruments(several=False),
        [now, quotes, why, held, estimates, orders, traded],
    )
