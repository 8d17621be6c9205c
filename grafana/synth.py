"""Dashboard ``synth``: what is forecast, what came of it, how reliable that was, and whom the experts' votes go to."""

from grafanalib.core import Dashboard

from grafana.panels import SECONDS, SEEN, categories, dashboard, instruments, lines, stat, states, table

HERE = f"instrument = '${{instrument}}' AND {SEEN}"
SCORED = "steps > 0"
LEVELS = ("low 95", "low 90", "low 50", "median", "high 50", "high 90", "high 95")  # as in a forecast's bands
YEAR_S = 31_557_600


def quantile(offset: str, place: int) -> str:
    """One quantile out of a forecast's bands; ``offset`` is where its point begins."""
    return f"toFloat64(reinterpretAsFloat32(substring(bands, {offset} + {4 * place + 1}, 4)))"


def quantiles(offset: str) -> str:
    """All quantiles of a point, as columns."""
    return ", ".join(f"{quantile(offset, place)} AS `{name}`" for place, name in enumerate(LEVELS))


def over_price(competition: str) -> str:
    """The bands that forecasts gave for the end of their horizon, at that time, and the price that came."""
    empty = ", ".join(f"NULL AS `{name}`" for name in LEVELS)
    return f"""SELECT * FROM (
        SELECT ends AS t, {quantiles(f"length(bands) - {4 * len(LEVELS)}")}, NULL AS price
        FROM (SELECT start_time + toIntervalMillisecond(step_ms * steps) AS ends, bands
              FROM forecasts FINAL WHERE instrument = '${{instrument}}' AND competition = '{competition}')
        WHERE $__timeFilter(ends)
        UNION ALL SELECT {SECONDS} AS t, {empty}, argMax(price, time) AS price
        FROM volatility_states FINAL WHERE {HERE} GROUP BY t) ORDER BY t"""


def newest(competition: str) -> str:
    """The bands of the newest forecast, point by point."""
    return f"""SELECT start_time + toIntervalMillisecond(step_ms * point) AS t,
        {quantiles(f"{4 * len(LEVELS)} * point")}
        FROM (SELECT start_time, step_ms, bands, arrayJoin(range(toUInt32(steps) + 1)) AS point FROM forecasts FINAL
              WHERE {HERE} AND competition = '{competition}' ORDER BY time DESC, point
              LIMIT 1 BY point) ORDER BY t"""


def by_day(columns: str, where: str, name: str) -> str:
    """Scores gathered into days."""
    return f"""SELECT toStartOfDay(time) AS t, {name} AS name, {columns} FROM forecast_scores FINAL
        WHERE {where} AND {SCORED} GROUP BY t, name ORDER BY t, name"""


def build() -> Dashboard:
    """The dashboard."""
    now = [
        stat("Price", f"SELECT price FROM volatility_states FINAL WHERE {HERE} ORDER BY time DESC LIMIT 1", "none"),
        stat(
            "Forecasts scored",
            f"""SELECT countIf({SCORED}) AS scored, countIf(NOT {SCORED}) AS missed
                FROM forecast_scores FINAL WHERE {HERE}""",
            "short",
            "Missed: there was no price at the end of the horizon.",
        ),
        stat(
            "Score over Gaussian",
            f"""SELECT avg(crps) / avg(reference_crps) AS ratio FROM forecast_scores FINAL WHERE {HERE} AND {SCORED}""",
            "percentunit",
            "Mean CRPS over that of normal returns of the same variance.",
        ),
        stat(
            "Minutes missing",
            f"SELECT missing FROM volatility_states FINAL WHERE {HERE} ORDER BY time DESC LIMIT 1",
            "short",
            "Of the last 1,440 minutes.",
        ),
    ]
    paths = [
        lines(
            f"Price, and the bands forecast {name} before",
            over_price(name),
            "none",
            "Each band stands where its forecast ended: the price should lie in the band of 90 % nine times of ten.",
            fillOpacity=0,
            spanNulls=True,
        )
        for name in ("1h", "24h")
    ]
    fans = [
        lines(
            f"Newest forecast of {name}",
            newest(name),
            "none",
            "Its points lie ahead: choose a time range that ends after now.",
            fillOpacity=0,
        )
        for name in ("1h", "24h")
    ]
    scores = [
        lines(
            "CRPS by asset and day",
            by_day("avg(crps) AS crps", SEEN, "concat(asset, ' ', competition)"),
            "short",
            "The subnet's score, basis points summed over its intervals, of all assets. Lower is better.",
        ),
        lines(
            "CRPS over Gaussian, by asset and day",
            by_day("avg(crps) / avg(reference_crps) AS ratio", SEEN, "concat(asset, ' ', competition)"),
            "percentunit",
            "Below 1: the tails and the clustering of the paths earned something.",
        ),
    ]
    reliability = [
        categories(
            "PIT of the last price, by tenths",
            f"""SELECT toString(least(floor(10 * pit), 9) / 10) AS tenth, countIf(competition = '24h') AS `24h`,
                countIf(competition = '1h') AS `1h` FROM forecast_scores FINAL WHERE {HERE} AND {SCORED}
                GROUP BY tenth ORDER BY tenth""",
            "short",
            "Share of paths that ended below the price that came: all tenths alike where forecasts are right.",
        ),
        lines(
            "Coverage of the bands",
            by_day(
                "avg(covered_50) AS `50 %`, avg(covered_90) AS `90 %`, avg(covered_95) AS `95 %`", HERE, "competition"
            ),
            "percentunit",
            "Share of the points of a forecast whose price lay in each band.",
        ),
    ]
    model = [
        lines(
            "Volatility states",
            f"""SELECT {SECONDS} AS t, {
                ", ".join(
                    f"sqrt({YEAR_S} * avg({name})) AS {name}_volatility"
                    for name in ("fast", "slow", "hour_fast", "hour_slow", "anchor")
                )
            }
                FROM volatility_states FINAL WHERE {HERE} GROUP BY t ORDER BY t""",
            "percentunit",
            "Of an average minute, per year: what forecasts start from.",
        ),
        lines(
            "Weights of the experts",
            f"""SELECT {SECONDS} AS t, concat(competition, ' ', expert) AS name, avg(weight) AS share
                FROM expert_weights FINAL WHERE {HERE} GROUP BY t, name ORDER BY t, name""",
            "percentunit",
            "By half-life and degrees of freedom, from the scores of what each would have forecast.",
        ),
        states(
            "Warm",
            f"SELECT {SECONDS} AS t, toInt64(min(warm)) AS warm FROM volatility_states FINAL WHERE {HERE} "
            "GROUP BY t ORDER BY t",
            {0: ("not yet", "orange"), 1: ("warm", "green")},
            "Enough history for a forecast.",
        ),
    ]
    tables = [
        table(
            "Scores",
            f"""SELECT asset, competition, origin, rules, count() AS forecasts, avg(crps) AS mean_crps,
                stddevSamp(crps) AS deviation, avg(crps) / avg(reference_crps) AS over_gaussian,
                avg(covered_90) AS in_90 FROM forecast_scores FINAL WHERE {SEEN} AND {SCORED}
                GROUP BY asset, competition, origin, rules ORDER BY asset, competition, origin, rules""",
            "Scores of different rules cannot be compared.",
        ),
        table(
            "Prompts answered",
            f"""SELECT asset, origin, count() AS answers, avg(answer_ms) AS mean_ms, max(answer_ms) AS slowest_ms,
                countIf(widened_s > 0) AS widened FROM prompts FINAL WHERE {SEEN}
                GROUP BY asset, origin ORDER BY asset, origin""",
        ),
    ]
    return dashboard(
        "tidemill-synth",
        "Tidemill: Synth",
        "Forecasts of price paths for the Synth subnet, their scores, and how reliable they are.",
        instruments(several=False, source="volatility_states"),
        [now, paths, fans, scores, reliability, model, tables],
    )
