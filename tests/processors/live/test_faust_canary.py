"""One test for each internal of Faust and mode that the worker leans on: an upgrade that moves one fails here first."""

import inspect
from types import SimpleNamespace

import faust
import pytest
from faust.app.base import BootStrategy
from faust.streams import Stream
from faust.tables.recovery import Recovery
from faust.transport import consumer as stock
from faust.transport.conductor import Conductor
from faust.transport.drivers import TRANSPORTS
from faust.types import TP, ConsumerMessage
from mode import Service

from infra.settings import load_settings
from processors.live import transport
from processors.live.app import App, build
from schemas.codec import Codec

TICKS = TP("ticks", 0)


def source(item: object) -> str:
    return inspect.getsource(item)  # type: ignore[arg-type]


def test_the_scheme_resolves_to_our_transport() -> None:
    assert TRANSPORTS.by_url(f"{transport.SCHEME}://") is transport.Transport


def test_our_consumer_is_complete() -> None:
    assert not transport.Consumer.__abstractmethods__


@pytest.mark.parametrize(
    "name", ["_drain_messages", "_commit_tps", "_new_offset", "_filter_committable_offsets", "perform_seek", "on_init"]
)
def test_what_our_consumer_overrides_or_calls_is_there(name: str) -> None:
    assert callable(getattr(stock.Consumer, name))


def test_the_fetcher_runs_drain_messages_with_itself() -> None:
    assert "consumer._drain_messages(self)" in source(stock.Fetcher)


def test_a_commit_goes_through_commit_tps() -> None:
    assert "self._commit_tps(" in source(stock.Consumer.force_commit)


def test_a_filtered_offset_comes_from_new_offset() -> None:
    assert "self._new_offset(tp)" in source(stock.Consumer._filter_committable_offsets)


def test_an_acknowledged_message_is_marked_and_its_partition_pending() -> None:
    text = source(stock.Consumer.ack)
    assert "message.acked = True" in text
    assert "self._acked[tp]" in text


def test_a_rebalance_without_tables_resumes_the_streams_and_the_fetcher() -> None:
    text = source(Recovery._resume_streams)
    assert "consumer.perform_seek()" in text
    assert "_fetcher.maybe_start()" in text
    assert "consumer_generation_id != generation_id" in text


def test_a_stream_skips_events_of_another_generation() -> None:
    assert "generation_id" in source(inspect.getmodule(Stream))


def test_a_stream_can_leave_acknowledgement_to_us() -> None:
    assert "enable_acks=False" in source(Stream.noack)


def test_the_conductor_waits_for_flow_control_before_it_delivers() -> None:
    assert "acquire_flow_control" in source(inspect.getmodule(Conductor))


def test_the_boot_strategy_has_the_switches() -> None:
    assert {"enable_web", "enable_kafka_producer"} <= vars(BootStrategy).keys()


def test_the_app_makes_its_folders_when_first_started() -> None:
    assert "self._create_directories()" in source(faust.App.on_first_start)
    assert "_create_directories" not in source(App.on_first_start)


def test_a_crash_leaves_its_reason() -> None:
    assert "self.crash_reason = reason" in source(Service._crash)
    assert "_crashed" in source(Service.crash)


def consumer() -> transport.Consumer:
    made = transport.Consumer.__new__(transport.Consumer)
    made.on_init()
    made._acked = {TICKS: [1]}
    made._acked_index = {TICKS: {1}}
    return made


def message(offset: int, acked: bool) -> ConsumerMessage:
    made = ConsumerMessage("ticks", 0, offset, 0.0, 0, [], None, None, None, 0, 0, TICKS)
    made.acked = acked
    return made


def test_only_the_acknowledged_prefix_is_committed() -> None:
    ours = consumer()
    ours._unfinished[TICKS].extend([message(9, True), message(19, True), message(29, False), message(39, True)])
    assert ours._new_offset(TICKS) == 20
    assert [item.offset for item in ours._unfinished[TICKS]] == [29, 39]


def test_nothing_acknowledged_is_nothing_to_commit() -> None:
    ours = consumer()
    ours._unfinished[TICKS].append(message(9, False))
    assert ours._new_offset(TICKS) is None


def test_the_app_is_set_as_the_pitfalls_demand() -> None:
    app = build(load_settings(env_file=None), None, Codec())
    app.finalize()
    assert not app.conf.stream_wait_empty
    assert app.conf.topic_disable_leader
    assert not app.conf.web_enabled
    assert app.conf.broker_session_timeout == 6.0
    assert {agent.concurrency for agent in app.agents.values()} == {1}
    assert app.client["fetch.queue.backoff.ms"] == 5
    assert not app.client["enable.auto.commit"]


def test_the_run_schema_hands_the_run_on() -> None:
    app = SimpleNamespace(create_event=lambda key, value, headers, message: (key, value, message))
    decode = transport.RunSchema().compile(app)
    run = SimpleNamespace(value=["a", "b"], headers=[])
    coroutine = decode(run)
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)
    assert ended.value.value == (None, ["a", "b"], run)
