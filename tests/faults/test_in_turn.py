"""The whole pipeline as processes, and kill -9 of feed, worker, sink and broker in turn while a market goes on.

Nothing that reached the broker is lost or doubled, and what did not reach it is in the gap ledger, trade for trade.
"""

import asyncio
import contextlib
import itertools
import threading
import time
from pathlib import Path

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from infra.broker import ensure_topics
from infra.clickhouse import connect, query
from infra.local import LocalKafka
from infra.settings import Settings, load_settings
from producers.simulator import timestamp
from schemas import Gap, Tick
from tests.live import CODEC, Entry, Process, Workers, expected, new, read, sink_lag, wait_for
from tests.producers import venue
from tests.waiting import PATIENCE_S, until

EVERY_S = 0.01


class Market(threading.Thread):
    """A venue whose trades go on whoever listens; a connection gets those from then on, and a heartbeat a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.url = ""
        self.trade_id = 0
        self.open = threading.Event()
        self.over = threading.Event()

    def run(self) -> None:
        asyncio.run(self._trade())

    async def _trade(self) -> None:
        listeners: set[ServerConnection] = set()

        async def listen(connection: ServerConnection) -> None:
            try:
                await connection.recv()
                await connection.send(venue.subscriptions("ETH-USD"))
                listeners.add(connection)
                await connection.wait_closed()
            except ConnectionClosed:
                pass
            listeners.discard(connection)

        async with serve(listen, "127.0.0.1", 0, compression=None) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.open.set()
            while not self.over.is_set():
                await asyncio.sleep(EVERY_S)
                self.trade_id += 1
                price = 3_000.0 + self.trade_id % 17 / 10
                quotes = {"best_bid": f"{price:.2f}", "best_ask": f"{price + 0.1:.2f}"}
                frames = [venue.ticker(self.trade_id, **quotes, time=timestamp(time.time_ns()))]
                if self.trade_id % 100 == 0:
                    beat = venue.heartbeat(self.trade_id)
                    frames.append(beat.replace(venue.moment(0.0), timestamp(time.time_ns())))
                for connection in list(listeners):
                    for frame in frames:
                        await self._send(connection, frame)

    @staticmethod
    async def _send(connection: ServerConnection, frame: str) -> None:
        with contextlib.suppress(ConnectionClosed):
            await connection.send(frame)


def trades(settings: Settings) -> list[int]:
    """The trade ids in the log, in its order."""
    values = [message.value() for messages in read(settings, "ticks") for message in messages]
    return [record.trade_id for record in map(CODEC.decode, values) if isinstance(record, Tick)]


def reach(settings: Settings, trade_id: int) -> None:
    """Wait until a trade is in the log."""
    until(lambda: max(trades(settings), default=0) >= trade_id, lambda: f"trade {trade_id} is not in the log", 0.5)


def holes(found: list[int]) -> list[tuple[int, int]]:
    """First missing trade and first one after, for each hole."""
    ordered = sorted(found)
    return [(here + 1, there) for here, there in itertools.pairwise(ordered) if there > here + 1]


def test_each_part_is_killed_in_turn_and_nothing_is_lost_or_doubled(private_broker: LocalKafka, tmp_path: Path) -> None:
    settings = load_settings(env_file=None, brokers=private_broker.address, group="turn", data_dir=tmp_path / "data")
    settings.data_dir.mkdir(parents=True)
    ensure_topics(settings)
    market = Market()
    market.start()
    assert market.open.wait(PATIENCE_S)
    with (
        Workers(settings, tmp_path) as workers,
        Process(settings, "feed", "coinbase", "ETH-USD", "--url", market.url) as feed,
        Process(settings, "sink", "clickhouse") as sink,
    ):
        workers.start("a")
        reach(settings, 100)
        feed.kill()
        time.sleep(1.0)
        feed.start()
        reach(settings, market.trade_id)
        workers.kill("a")
        time.sleep(0.5)
        workers.start("a")
        reach(settings, market.trade_id)
        sink.kill()
        sink.start()
        reach(settings, market.trade_id)
        private_broker.kill()
        time.sleep(2.0)
        private_broker.start()
        reach(settings, market.trade_id)
        feed.stop()
        market.over.set()
        repeats = wait_for(settings, workers)
        found = trades(settings)
        assert len(found) == len(set(found)), "a tick was written twice"
        gaps = [CODEC.decode(entry.value) for entry in new(settings, "gaps")[0]]
        ledger = [(gap.expected, gap.seen) for gap in gaps if isinstance(gap, Gap) and gap.missed]
        assert ledger == holes(found)
        assert any(isinstance(gap, Gap) and gap.cause == "start" for gap in gaps), "the feed's death is in the ledger"
        kept(settings, sink, expected(settings)["buckets"], len(found))
    print(f"{len(found)} ticks of {market.trade_id} trades, holes {holes(found)}, re-deliveries {repeats}")


def kept(settings: Settings, sink: Process, buckets: list[Entry], ticks: int) -> None:
    """Wait until the sink has taken all there is, end it, and find every record in the history once."""
    until(lambda: sink_lag(settings) == 0, every_s=0.5)
    sink.stop()
    client = connect(settings)
    counts = query(client, "SELECT (SELECT count() FROM ticks FINAL) AS t, (SELECT count() FROM buckets FINAL) AS b")
    client.close()
    assert counts.rows() == [(ticks, len(buckets))]
