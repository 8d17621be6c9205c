"""Who may import whom: the table of docs/architecture.md, held by looking at every import there is."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
IMPURE = {"time", "random", "os", "asyncio", "threading", "socket", "subprocess", "uuid", "multiprocessing", "signal"}
STANDARD = set(sys.stdlib_module_names)
PURE = STANDARD - IMPURE
COLUMNS = {"numpy", "polars", "msgspec"}
NUMERIC = {*COLUMNS, "numba", "scipy"}
ANY_OF_OURS = {"schemas", "producers", "processors", "consumers", "infra", "grafana"}

PROVING = ("series", "columns", "runs", "plan", "parts", "proof", "verdict")

# Executors: stages of consumers/ (docs/executors.md), and the pure parts that they share.
EXECUTORS = ("market_maker", "paper", "polymarket_maker")
EXECUTING = tuple(f"consumers.{part}" for part in ("limits", "matching", "orders", "policies", "steps"))

# The first pattern that matches a file decides: (ours it may import, others it may import). None: anything.
# A name allows its children. Folders meet in topics only; shells are where I/O and clocks live.
Rule = tuple[set[str], set[str] | None]
VENUE = {"schemas"} | {
    f"producers.{part}" for part in ("agenda", "feed", "session", "coinbase", "book", "depths", "refill", "wire")
}
RULES: dict[str, Rule] = {
    "schemas/*.py": ({"schemas"}, {*PURE, *COLUMNS, "fastavro", "numba"}),
    # producers: the shell, what it is made of, venues
    **{
        f"producers/{shell}.py": ({"schemas", "producers", "infra"}, None)
        for shell in (
            *("__main__", "backoff", "conversation", "fetching", "keys", "link", "publishing", "resync"),
            *("rotation", "streams", "transport"),
        )
    },
    "producers/frames.py": ({"schemas", "producers"}, None),
    "producers/merging.py": ({"schemas", "producers.chains", "producers.joins"}, {*PURE, "msgspec"}),
    "producers/playback.py": (
        {"schemas", *(f"producers.{name}" for name in ("feed", "merging", "session"))},
        PURE,
    ),
    "producers/simulator.py": (
        {"schemas", *(f"producers.{name}" for name in ("feed", "session", "market_model"))}
        | {f"producers.coinbase{part}" for part in ("", "_level2", "_matches")},
        {*PURE, "msgspec", "random"},
    ),  # seeded
    "producers/market_model.py": (set(), {*PURE, "random"}),  # seeded
    "producers/binance*.py": (
        {"schemas", *(f"producers.{name}" for name in ("agenda", "feed", "refill", "wire"))}
        | {f"producers.binance{part}" for part in ("", "_books", "_polls", "_rising", "_rows", "_streams", "_wire")},
        {*PURE, "msgspec"},
    ),
    "producers/deribit*.py": (VENUE | {"producers.deribit_rows"}, {*PURE, "msgspec"}),
    "producers/extended*.py": (
        VENUE | {"producers.extended_book", "producers.extended_market"},
        {*PURE, "msgspec"},
    ),
    "producers/hyperliquid*.py": (
        VENUE | {"producers.hyperliquid_candles", "producers.hyperliquid_rows"},
        {*PURE, "msgspec"},
    ),
    "producers/polymarket*.py": (
        VENUE
        | {
            f"producers.polymarket_{part}"
            for part in ("books", "followed", "listing", "markets", "prices", "windows", "wire")
        },
        {*PURE, "msgspec"},
    ),
    "producers/pyth*.py": (VENUE | {"producers.pyth_bars"}, {*PURE, "msgspec"}),
    "producers/esof*.py": (VENUE | {"producers.esof_sky"}, {*PURE, "ephem"}),
    "producers/*.py": (VENUE, {*PURE, "msgspec"}),
    # producers/history: what venues give, the arithmetic of the proof, and the shells that fetch and keep
    "producers/history/sources/*.py": (
        {"schemas", "producers.agenda", "producers.history.series"}
        | {
            f"producers.{name}"
            for name in ("binance_rows", "binance_wire", "deribit_rows", "hyperliquid_rows", "pyth_bars")
        },
        {*PURE, "polars"},
    ),
    **{
        f"producers/history/{name}.py": (
            {"schemas", "producers.agenda", *(f"producers.history.{part}" for part in PROVING)},
            {*PURE, *COLUMNS},
        )
        for name in PROVING
    },
    "producers/history/*.py": ({"schemas", "producers", "infra", "consumers.sink", "consumers.clickhouse"}, None),
    # processors: the runtimes, what makes a chain, topics
    "processors/__main__.py": ({"schemas", "processors", "infra"}, None),
    "processors/live/*.py": (
        {"schemas", "infra", *(f"processors.{name}" for name in ("live", "chain", "stage", "wiring"))},
        None,
    ),
    "processors/replay/command.py": ({"schemas", "processors", "infra", "consumers"}, None),
    "processors/replay/sources/*.py": ({"schemas", "producers", "processors", "infra"}, None),
    "processors/replay/*.py": (
        {"schemas", *(f"processors.{name}" for name in ("replay", "chain", "stage", "wiring"))},
        {*PURE, *COLUMNS, "rich"},
    ),
    "processors/chain.py": ({"schemas", "processors.stage", "processors.wiring"}, {*PURE, *COLUMNS}),
    "processors/stage.py": ({"schemas"}, {*PURE, *COLUMNS}),
    "processors/wiring.py": ({"processors.stage"}, PURE),
    "processors/online/market_hours.py": ({"processors.online"}, {*PURE, *NUMERIC, "exchange_calendars"}),
    "processors/online/garch_search.py": ({"processors.online"}, {*PURE, *NUMERIC, "arch"}),
    "processors/online/*.py": ({"schemas.jit", "processors.online"}, {*PURE, *NUMERIC}),
    "processors/*.py": ({"schemas", "processors.stage", "processors.online"}, {*PURE, *NUMERIC}),
    # consumers: pure parts, those that run feeds or chains in process, sinks and readers
    "consumers/sink.py": ({"schemas"}, PURE),
    **{
        f"consumers/{executor}.py": (
            {"schemas", "processors.stage", "processors.online", *EXECUTING},
            {*PURE, *NUMERIC},
        )
        for executor in EXECUTORS
    },
    "consumers/matching/*.py": ({"schemas", "processors.online", *EXECUTING}, {*PURE, *NUMERIC}),
    "consumers/merging/*.py": ({"schemas", "consumers.merging", "infra"}, None),
    # consumers/gateways: the only code that can reach a venue with an order
    "consumers/gateways/*.py": (
        {
            *("schemas", "infra", "consumers.gateways", "consumers.orders", "consumers.steps", "consumers.reader"),
            *("producers.backoff", "producers.keys", "producers.streams", "producers.wire"),
        },
        None,
    ),
    "consumers/estimator.py": ({"schemas", "processors"}, {*PURE, *COLUMNS}),
    "consumers/__main__.py": ({"schemas", "processors", "consumers", "infra"}, None),
    "consumers/dead_letters.py": ({"schemas", "producers", "consumers", "infra"}, None),
    "consumers/kappa_command.py": ({"schemas", "processors", "consumers", "infra"}, None),
    "consumers/demo*.py": (ANY_OF_OURS - {"grafana"}, None),
    "consumers/jumploss*.py": (ANY_OF_OURS - {"grafana"}, None),
    "consumers/readable.py": ({"schemas"}, PURE),
    # executors: what they share, and the paper venue
    "consumers/steps.py": (set(), PURE),
    "consumers/orders.py": ({"schemas", "consumers.steps"}, PURE),
    "consumers/limits.py": ({"schemas", "consumers.orders", "consumers.steps"}, PURE),
    "consumers/backtest/__init__.py": (set(), PURE),
    "consumers/backtest/loop.py": ({"schemas", *(f"processors.{part}" for part in ("chain", "stage", "wiring"))}, PURE),
    "consumers/collector.py": ({"schemas", "consumers.collector_files"}, PURE),
    "consumers/collector_files.py": ({"infra.errors"}, PURE),
    "consumers/collector_command.py": (ANY_OF_OURS - {"grafana"}, None),
    "consumers/maker_command.py": (ANY_OF_OURS - {"grafana"}, None),
    "consumers/maker_config.py": ({"processors.stage", "consumers.policies", "infra"}, {*PURE, "pydantic"}),
    "consumers/backtest/*.py": (ANY_OF_OURS - {"grafana"}, None),
    # consumers/policies: what executors decide, from inputs alone
    "consumers/policies/*.py": (
        {
            "schemas",
            "processors.online",
            "consumers.limits",
            "consumers.policies",
            "consumers.orders",
            "consumers.steps",
        },
        {*PURE, *NUMERIC},
    ),
    # consumers/synth: forecasts from bars and their scores; two files know the command line and the archive
    "consumers/synth/command.py": ({"processors.online", "consumers.synth", "infra"}, None),
    "consumers/synth/bars.py": ({"processors.online", "infra"}, {*PURE, *COLUMNS}),
    # The miner: states as the stages make them, bars as the back-fill asks for them; shells know disk, clock and web.
    "consumers/synth/tracking.py": (
        {"schemas", "processors", "consumers.synth"},
        {*PURE, *COLUMNS},
    ),
    **{
        f"consumers/synth/{part}.py": ({"schemas", "processors.online", "consumers.synth"}, {*PURE, *NUMERIC})
        for part in ("miner", "together")
    },
    "consumers/synth/state.py": ({"schemas", "processors.online", "infra.durable"}, {*PURE, *COLUMNS, "os"}),
    **{
        f"consumers/synth/{shell}.py": ({"schemas", "processors.online", "consumers.synth", "infra"}, None)
        for shell in ("axon", "axon_command", "serve_command", "serving", "simulations")
    },
    "consumers/synth/forecast_log.py": (
        {"schemas", "processors.online", "consumers.synth", "consumers.reader", "infra"},
        None,
    ),
    **{
        f"consumers/synth/{shell}.py": (
            {"schemas", "processors.online", "consumers.synth", "consumers.reader", "infra", "producers.history"},
            None,
        )
        for shell in ("fetching", "history_command", "listening", "updater", "updater_command", "warm_up")
    },
    "consumers/synth/fan.py": ({"processors.online"}, {*PURE, *NUMERIC, "matplotlib"}),
    "consumers/synth/*.py": (
        {"processors.online", "consumers.synth"},
        {*PURE, *NUMERIC, "arch", "rich"},
    ),
    "consumers/*.py": (
        {"schemas", *(f"consumers.{name}" for name in ("sink", "reader", "readable", "archive_holes")), "infra"},
        None,
    ),
    "infra/*.py": ({"schemas", "infra"}, None),  # infra/cli.py reaches the other folders by name, when it is asked to
    "grafana/*.py": ({"schemas", "grafana"}, {*PURE, "attr", "grafanalib", "typer"}),
}


def rule(path: Path) -> Rule:
    """The rule for a file of the project."""
    relative = path.relative_to(ROOT)
    for pattern, found in RULES.items():
        if relative.match(pattern) and len(relative.parts) == pattern.count("/") + 1:
            return found
    raise AssertionError(f"no rule says what {relative} may import: add one to {Path(__file__).name}")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative import"
            module = node.module or ""
            inner = [f"{module}.{alias.name}" for alias in node.names]
            yield from (
                name if (ROOT / name.replace(".", "/")).with_suffix(".py").exists() else module for name in inner
            )


FILES = sorted(path for folder in ANY_OF_OURS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_its_place_allows(path: Path) -> None:
    ours, others = rule(path)
    for name in imports(path):
        top = name.partition(".")[0]
        if top in ANY_OF_OURS:
            allowed = any(name == known or name.startswith(known + ".") for known in ours)
        else:
            allowed = others is None or top in others
        assert allowed, f"{path.relative_to(ROOT)} may not import {name}"


def test_nothing_but_the_gateways_themselves_imports_a_gateway() -> None:
    for path in FILES:
        if path.parent != ROOT / "consumers" / "gateways":
            reached = [name for name in imports(path) if name.startswith("consumers.gateways")]
            assert reached == [], f"{path.relative_to(ROOT)} reaches {reached}: only the command line may, by name"


def test_stages_never_import_each_other() -> None:
    from processors.stage import stages

    files = {stage.__module__ for stage in stages()}
    for module in files:
        path = ROOT / f"{module.replace('.', '/')}.py"
        assert not (set(imports(path)) & files), f"{module} imports another stage's file"


def test_only_files_that_may_hold_an_executor_hold_a_stage_outside_processors() -> None:
    from processors.stage import stages

    there = {stage.__module__ for stage in stages() if not stage.__module__.startswith("processors.")}
    assert there <= {f"consumers.{executor}" for executor in EXECUTORS}
