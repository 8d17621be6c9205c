"""The jump loss from what workers have derived."""

from consumers.estimator import Estimator
from consumers.jumploss_kafka import KafkaJumpLoss
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from processors.emas import Emas
from processors.jump_losses import JumpLosses
from schemas import Bucket, JumpLoss
from schemas.position import Position
from tests.waiting import until

NAME = "coinbase:ETH-USD"


def bucket(number: int) -> Bucket:
    return Bucket(
        instrument=NAME, event_ns=(number + 1) * 160_000_000, width_ms=160, start=100.0, last=100.0, ticks=1, missed=0,
        return_percent=0.01 * (number % 7), stale=False, feed_age_ms=0,
    )  # fmt: skip


BUCKETS = [bucket(number) for number in range(60)]


def losses() -> list[JumpLoss]:
    emas, priced = Emas(NAME), JumpLosses(NAME)
    return [loss for each in BUCKETS for ema in emas.on_event(each) for loss in priced.on_event(ema)]


def publish(settings: Settings, begin: int, end: int, *, repeat: bool = False) -> None:
    made = losses()
    with Publisher(settings, codec(settings)) as publisher:
        for number in [*range(begin, end), *(range(begin, end) if repeat else ())]:
            for record in (BUCKETS[number], made[number]):
                publisher.publish(record, partition=0, position=Position("ticks", 0, number))


def test_at_the_workers_half_life_it_follows_their_average_under_its_own_fee(live: Settings) -> None:
    worker = KafkaJumpLoss(live, 0)
    worker.start_background()  # it tells what is written from then on
    publish(live, 0, 20, repeat=True)
    until(lambda: worker.updates.qsize() >= 20)
    worker.stop()
    updates = [worker.updates.get_nowait() for _ in range(worker.updates.qsize())]
    assert [update.bucket_count for update in updates] == list(range(1, 21))
    assert updates[-1].mu_j_percent == losses()[19].mu_percent
    assert (updates[-1].f_percent, updates[-1].jl_percent) == (0.0, updates[-1].mu_j_percent)


def test_at_another_half_life_the_last_ten_minutes_count(live: Settings) -> None:
    publish(live, 0, 40)
    worker = KafkaJumpLoss(live, 5_000)
    worker.set_settlement(2.0)
    worker.start_background()
    publish(live, 40, 60)
    until(lambda: worker.updates.qsize() >= 20)
    answer = worker.request_jumploss(5_000, 2.0)
    worker.stop()
    expected = Estimator(NAME, 5_000, half_life_ms=1_000)
    last = [expected.on_bucket(each) for each in BUCKETS][-1]
    updates = [worker.updates.get_nowait() for _ in range(worker.updates.qsize())]
    assert len(updates) == 20
    assert updates[-1] == last
    assert answer == last
