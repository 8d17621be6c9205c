"""The Faust app that hosts chains, one agent for each source topic, and how a worker lives and ends.

A worker ends by a signal, after a last checkpoint; or by an error, without committing what it had begun: after whatever
is not a refused record it does not go on. Its supervisor starts it again, and it does that part again.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Sequence
from typing import Any, cast

import faust
from faust.app.base import BootStrategy

from infra import logs
from infra.broker import consumer_config, full_name
from infra.errors import UserError
from infra.options import stage_options
from infra.settings import Settings
from processors.live import transport
from processors.live.worker import Worker
from processors.stage import name
from processors.stage import stages as all_stages
from processors.wiring import StageType, WiringError, plan, source, usual
from schemas.codec import Codec

EVENTS_WAITING = 4  # for an agent, of up to max_batch records each
STOP_S = 15.0  # the longest that a stop takes


class NoExtras(BootStrategy):
    """Starts neither Faust's web server nor its producer."""

    enable_web = False
    enable_kafka_producer = False


class App(faust.App):
    """An app whose consumer works for an owner of partitions."""

    BootStrategy = NoExtras
    logger = logging.getLogger("faust.app")
    owner: Worker
    client: dict[str, Any]
    most: int

    async def on_first_start(self) -> None:
        """Make no folders: nothing is kept on the disk."""


def selected(names: Sequence[str] | None) -> list[StageType]:
    """The stages of some names; where none is named, every stage but those that read a merged log.

    Raises:
        UserError: there is no such stage.

    """
    known = {name(stage): stage for stage in all_stages()}
    for wanted in names or ():
        if wanted not in known:
            raise UserError(f"no stage {wanted!r}; there are {', '.join(known)}")
    return [known[wanted] for wanted in dict.fromkeys(names)] if names else usual(known.values())


def group_of(settings: Settings, names: Sequence[str] | None) -> str:
    """The consumer group of a selection: workers share the partitions only with those that run the same stages."""
    return ".".join([settings.group, *sorted(set(names))]) if names else settings.group


def build(settings: Settings, names: Sequence[str] | None, codec: Codec, reset: bool = False) -> App:
    """The app for some stages.

    Raises:
        UserError: an unknown stage, stages that cannot run together, or wrong options.

    """
    chains = _chains(selected(names))
    options = stage_options(all_stages(), settings.stages)
    group = group_of(settings, names)
    app = App(
        group,
        broker_consumer=f"{transport.SCHEME}://",
        broker_producer=f"{transport.SCHEME}://",
        broker_commit_interval=settings.checkpoint_interval_ms / 1_000,
        broker_session_timeout=settings.session_timeout_ms / 1_000,
        topic_disable_leader=True,
        topic_allow_declare=False,
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=EVENTS_WAITING,
        web_enabled=False,
        autodiscover=False,
    )
    app.owner = Worker(settings, chains, options, codec, group, reset)
    app.client = consumer_config(
        settings, group, auto_offset_reset="error", fetch_min_bytes=1, queued_min_messages=4 * settings.max_batch
    )
    app.most = settings.max_batch
    for log, stages in chains.items():
        _host(app, full_name(settings, source(log)), log, stages)
    return app


def _chains(stages: Sequence[StageType]) -> dict[str, list[StageType]]:
    """The plan of a worker: one chain at most for each topic.

    Raises:
        UserError: the stages cannot run together.

    """
    try:
        chains = plan(stages)
    except WiringError as error:
        raise UserError(str(error)) from None
    topics: dict[str, str] = {}
    for log in chains:
        other = topics.setdefault(source(log), log)
        if other != log:
            raise UserError(
                f"{other} and {log} are one topic read at two places: run each stage in a worker of its own"
            )
    return chains


def _host(app: App, topic: str, log: str, stages: Sequence[StageType]) -> None:
    """Add the agent that feeds a source topic's runs to the worker."""

    async def agent(stream: Any) -> None:
        try:
            async for event in stream.events():
                await app.owner.take(event)
                cast(transport.Consumer, app.consumer).worked(event.message)
        except Exception as error:
            await app.crash(error)

    runs = app.topic(topic, schema=transport.RunSchema(), acks=True)
    app.agent(runs, name=f"{log}-to-{'-'.join(map(name, stages))}", concurrency=1)(agent)


async def live(app: App) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        Exception: what the worker has crashed of.

    """
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    for library in ("faust", "mode"):
        logging.getLogger(library).setLevel(logging.WARNING)
    owner = app.owner
    owner.warm()
    logs.logger(__name__).info("worker starts", group=app.conf.id)
    await app.start()
    tasks: list[asyncio.Task[Any]] = [
        loop.create_task(owner.keep_checkpointing()),
        loop.create_task(owner.watch()),
        loop.create_task(app._crashed.wait()),
    ]
    signalled = loop.create_task(over.wait())
    await asyncio.wait([*tasks, signalled], return_when=asyncio.FIRST_COMPLETED)
    error = _error(app, tasks)
    await _stop(app, tasks, error)
    if error is not None:
        raise error


def _error(app: App, tasks: Sequence["asyncio.Task[Any]"]) -> BaseException | None:
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception() is not None:
            return task.exception()
    if app.crashed:
        return app.crash_reason or RuntimeError("Faust has crashed without a reason")
    return None


async def _stop(app: App, tasks: Sequence["asyncio.Task[Any]"], error: BaseException | None) -> None:
    if error is None:
        await app.owner.finish()
    else:
        app.owner.lose(list(app.owner.partitions))
    for task in tasks:
        task.cancel()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STOP_S):
            await app.stop()
    app.owner.deliveries.close()
