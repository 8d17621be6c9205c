"""``tidemill jumploss``: prints the jump loss of a product and takes changes from the keyboard while it runs."""

import queue
import sys
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from consumers.estimator import JumpLossUpdate
from consumers.jumploss import Background, JumpLossWorker
from consumers.jumploss_kafka import KafkaJumpLoss
from infra import logs
from infra.settings import load_settings
from processors.online.jump_loss import loss_in_dollars

CONTROLS = "type 'seconds 20', 'blocks 8', 'fee 6000' or 'quit'"


class Source(StrEnum):
    """Where ticks or what was derived from them come from."""

    websocket = "websocket"
    kafka = "kafka"


def jumploss(
    fee_units: Annotated[
        int, typer.Argument(min=0, help="Oracle fee in thousandths of a basis point: 5000 is 0.05 %.")
    ],
    seconds: Annotated[
        float | None, typer.Option(min=0.001, help="Settlement time in seconds; the half-life is half of it.")
    ] = None,
    blocks: Annotated[
        float | None, typer.Option(min=0.001, help="Settlement time in blocks of Base, 2 s each.")
    ] = None,
    product: Annotated[str, typer.Option(help="Product at the venue.")] = "ETH-USD",
    source: Annotated[
        Source, typer.Option("--from", help="The venue's websocket, no broker needed; or what workers derive.")
    ] = Source.websocket,
    every: Annotated[float, typer.Option(min=0.0, help="Seconds between two lines; 0 prints every update.")] = 1.0,
    count: Annotated[int, typer.Option(min=0, help="Lines after which to end; 0: none.")] = 0,
    dollars: Annotated[
        tuple[float, float] | None, typer.Option(metavar="A B", help="USD of both amounts: adds the loss in $.")
    ] = None,
    feed: Annotated[str, typer.Option(help="Feed to use.")] = "coinbase",
    url: Annotated[str, typer.Option(help="Websocket address in place of the venue's.")] = "",
) -> None:
    """Print the expected jump loss of a product, live.

    While it runs, type **seconds 20** or **blocks 8** to change the settlement time, **fee 6000** to change the fee,
    **quit** to end.
    """
    if seconds is not None and blocks is not None:
        raise typer.BadParameter("give --seconds or --blocks, not both")
    settings = load_settings()
    logs.setup(settings)
    worker = _worker(fee_units, product, source, feed, url)
    if seconds is not None or blocks is not None:
        worker.set_settlement(seconds or blocks or 0.0, seconds is not None)
    commands: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read_lines, args=(commands,), daemon=True).start()
    worker.start_background()
    try:
        _print_updates(worker, commands, every, count, dollars)
    finally:
        worker.stop()


def _worker(fee_units: int, product: str, source: Source, feed: str, url: str) -> Background:
    if source is Source.kafka:
        return KafkaJumpLoss(load_settings(), fee_units, instrument=f"{feed}:{product}")
    try:
        return JumpLossWorker(fee_units, product=product, feed=feed, url=url)
    except KeyError:
        raise typer.BadParameter(f"no feed {feed!r}", param_hint="--feed") from None


def _print_updates(
    worker: Background, commands: "queue.Queue[str]", every_s: float, count: int, dollars: tuple[float, float] | None
) -> None:
    printed, next_at, stale = 0, 0.0, False
    while not count or printed < count:
        if not _obey(worker, commands):
            return
        update = _newest(worker, all_of_them=every_s == 0.0)
        if update is None:
            if not worker.running:
                raise worker.error or RuntimeError("the jump loss worker ended")
            continue
        if update.stale != stale:
            stale = update.stale
            _note(f"no tick or heartbeat for {update.feed_age_ms / 1000:.1f} s" if stale else "the feed is back")
        if time.monotonic() >= next_at:
            next_at = time.monotonic() + every_s
            printed += 1
            loss = f" loss=${loss_in_dollars(update.jl_percent, *dollars):.6f}" if dollars else ""
            print(f"{update}{loss}", flush=True)


def _newest(worker: Background, *, all_of_them: bool) -> JumpLossUpdate | None:
    """The next update, or the newest one there is; None where none comes in time."""
    try:
        update = worker.updates.get(timeout=0.1)
    except queue.Empty:
        return None
    while not all_of_them:
        try:
            update = worker.updates.get_nowait()
        except queue.Empty:
            break
    return update


def _obey(worker: Background, commands: "queue.Queue[str]") -> bool:
    """Carry out what was typed; False where it was to quit."""
    while not commands.empty():
        words = commands.get().split()
        if words in (["quit"], ["exit"], ["q"]):
            return False
        if words:
            _note(_change(worker, words))
    return True


def _change(worker: Background, words: list[str]) -> str:
    changes: dict[str, Callable[[float], str]] = {
        "seconds": lambda number: _settle(worker, number, True),
        "blocks": lambda number: _settle(worker, number, False),
        "fee": lambda number: _price(worker, number),
    }
    try:
        name, number = words
        return changes[name](float(number))
    except (KeyError, ValueError, OverflowError) as error:
        why = f"{error}: " if len(words) == 2 and words[0] in changes else ""
        return f"{why}{' '.join(words)[:60]!r} is not understood; {CONTROLS}"


def _settle(worker: Background, number: float, in_seconds: bool) -> str:
    worker.set_settlement(number, in_seconds)
    half_life_s = number / 2 if in_seconds else number
    return f"settlement time {number:g} {'s' if in_seconds else 'blocks'}, half-life {half_life_s:g} s"


def _price(worker: Background, number: float) -> str:
    if number != int(number):
        raise ValueError("a fee is a whole number of units")
    worker.set_fee(int(number))
    return f"fee {int(number)} units, {number / 100_000:g} %"


def _note(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)


def _read_lines(commands: "queue.Queue[str]") -> None:
    for line in sys.stdin:
        commands.put(line)
