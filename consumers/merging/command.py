"""Command ``merge``: the shell of the merger."""

import signal
from typing import Annotated

import typer

from consumers.merging.merger import MARKET, ORDERS, Merger
from infra import logs, metrics
from infra.broker import ensure_topics
from infra.errors import UserError
from infra.registry import codec
from infra.settings import load_settings

Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", help=f"Topic to merge; repeatable. If not given: {', '.join((*MARKET, *ORDERS))}."),
]
Instruments = Annotated[
    list[str] | None,
    typer.Option("--instrument", help="Instrument as venue:SYMBOL; repeatable. If not given: all."),
]


def merge(topic: Topics = None, instrument: Instruments = None) -> None:
    """Copy the records that executors see into one log, topic merges, until SIGTERM or Ctrl-C."""
    for name in instrument or ():
        if not all(name.partition(":")):
            raise UserError(f"--instrument: {name}: expected venue:SYMBOL, e.g. extended:ETH-USD")
    settings = load_settings()
    logs.setup(settings)
    metrics.serve(settings)
    ensure_topics(settings)
    merger = Merger(settings, codec(settings), topic or (*MARKET, *ORDERS), instrument or ())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: merger.stop())
    merger.run()
