"""Command ``worker``: stages on the live stream."""

import asyncio
import gc
import os
import sys
from typing import Annotated

import typer

from infra import logs, metrics, registry
from infra.broker import ensure_topics
from infra.settings import UserError, load_settings

Stages = Annotated[list[str] | None, typer.Argument(help="Stages to run together, by name; every stage by default.")]
Reset = Annotated[bool, typer.Option("--reset", help="Drop the stages' state; go on with none where it stood.")]
Instance = Annotated[str, typer.Option(help="Name of this worker, kept over restarts, so that it resumes at once.")]

SWITCH_S = 0.0005  # at 5 ms, the default, a fetched record waits that long for the thread that works


def worker(stages: Stages = None, reset: Reset = False, instance: Instance = "") -> None:
    """Run stages on the live stream until SIGTERM or Ctrl-C; start more of them to share the partitions."""
    from processors.live import app  # noqa: PLC0415 - Faust takes a second, which --help need not

    settings = load_settings(**({"worker_id": instance} if instance else {}))
    logs.setup(settings)
    metrics.serve(settings)
    built = app.build(settings, stages, registry.codec(settings), reset)
    ensure_topics(settings)
    _collect_rarely()
    try:
        sys.setswitchinterval(SWITCH_S)
        asyncio.run(app.live(built))
    except UserError:
        raise
    except Exception as error:
        logs.logger(__name__).error("worker ends", error=f"{type(error).__name__}: {error}", exc_info=error)
        os._exit(1)  # a thread of a client may hang on a dead broker


def _collect_rarely() -> None:
    """Run the cyclic garbage collector once in many records.

    A run is tens of thousands of live messages and headers, none of them in a cycle; at its defaults the collector
    walks them over and over, which costs a fifth of the worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)


main = typer.Typer(help=__doc__)
main.command()(worker)

if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        typer.echo(str(error), err=True)
        raise SystemExit(2) from None
