"""What a merger tells of how far it is behind."""

import threading

from prometheus_client import REGISTRY

from consumers.merging.merger import Merger
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Control
from tests.streams import NOON
from tests.waiting import until


def lags() -> set[float]:
    return {
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "tidemill_lag_records" and sample.labels["topic"] == Control.topic
    }


def test_a_merger_that_has_caught_up_says_so(live: Settings) -> None:
    with Publisher(live, codec(live)) as publisher:
        publisher.publish(Control(NOON, "*", "note", "a test", "begun"))
    merger = Merger(live, codec(live), [Control.topic])
    thread = threading.Thread(target=merger.run)
    thread.start()
    try:
        until(lambda: lags() == {0.0}, lambda: str(lags()))
    finally:
        merger.stop()
        thread.join()
