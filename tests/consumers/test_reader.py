import pytest

from consumers.reader import Reader, read
from infra.errors import UserError
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Bucket, Clock, DeadLetter, Tick
from schemas.position import Position

NAME = "coinbase:ETH-USD"


def bucket(number: int) -> Bucket:
    return Bucket(
        instrument=NAME, event_ns=(number + 1) * 160_000_000, width_ms=160, start=1.0, last=1.0, return_percent=0.0,
        ticks=1, missed=0, stale=False, feed_age_ms=0,
    )  # fmt: skip


def publish(settings: Settings, numbers: range | list[int]) -> None:
    with Publisher(settings, codec(settings)) as publisher:
        for number in numbers:
            publisher.publish(bucket(number), partition=0, position=Position("ticks", 0, number))


def numbers(records: list[object]) -> list[int]:
    return [record.event_ns // 160_000_000 - 1 for record in records if isinstance(record, Bucket)]


def everything(settings: Settings, group: str | None = None) -> list[int]:
    with Reader(settings, codec(settings), Bucket, group=group, start="earliest", to_end=True) as reader:
        found: list[object] = []
        while not reader.finished:
            found += [received.record for received in reader.poll()]
        reader.commit()
    return numbers(found)


def test_each_record_comes_once_though_its_writer_repeated_it(live: Settings) -> None:
    publish(live, [0, 1, 2, 1, 2, 3])
    received = list(read(live, codec(live), Bucket, start="earliest", to_end=True))
    assert numbers([item.record for item in received]) == [0, 1, 2, 3]
    assert received[3].position == Position("ticks", 0, 3)
    assert received[3].log == ("buckets", 0)
    assert received[3].offset == 5
    times = received[3].times
    assert times is not None
    assert times.exchange_ns == 4 * 160_000_000


def test_a_group_goes_on_where_it_was_and_still_knows_what_it_saw(live: Settings) -> None:
    publish(live, range(5))
    assert everything(live, "mine") == [0, 1, 2, 3, 4]
    publish(live, [3, 4, 5, 6])
    assert everything(live, "mine") == [5, 6]


def test_what_was_not_asked_past_comes_again(live: Settings) -> None:
    publish(live, range(5))
    reading = read(live, codec(live), Bucket, group="mine", start="earliest")
    assert numbers([next(reading).record for _ in range(3)]) == [0, 1, 2]
    reading.close()  # type: ignore[attr-defined]
    assert everything(live, "mine") == [2, 3, 4]


def test_a_start_in_time_skips_what_was_written_before(live: Settings) -> None:
    publish(live, range(3))
    with Publisher(live, codec(live)) as publisher:
        publisher.publish(bucket(3), partition=0, position=Position("ticks", 0, 3))
    written = [item.times for item in read(live, codec(live), Bucket, start="earliest", to_end=True)]
    assert written[0] is not None
    found = read(live, codec(live), Bucket, start=written[0].produced_ns - 10_000_000, to_end=True)
    assert numbers([item.record for item in found]) == [0, 1, 2, 3]
    late = read(live, codec(live), Bucket, start=written[0].produced_ns + 3_600_000_000_000, to_end=True)
    assert list(late) == []


def test_only_the_wanted_types_of_a_topic_come(live: Settings) -> None:
    with Publisher(live, codec(live)) as publisher:
        publisher.publish(Clock(event_ns=1))
    assert list(read(live, codec(live), Tick, start="earliest", to_end=True)) == []
    assert len(list(read(live, codec(live), Clock, start="earliest", to_end=True))) == 4


def test_what_is_not_readable_goes_to_the_dead_letters_once(live: Settings) -> None:
    with Publisher(live, codec(live)) as publisher:
        publisher.publish_raw("buckets", b"junk", b"key", 0)
    publish(live, [1])
    assert everything(live, "mine") == [1]
    assert everything(live, "other") == [1]
    (letter,) = [item.record for item in read(live, codec(live), DeadLetter, start="earliest", to_end=True)]
    assert isinstance(letter, DeadLetter)
    assert (letter.source, letter.partition, letter.offset, letter.by) == ("buckets", 0, 0, "codec")
    assert (letter.payload, letter.record_key, letter.size) == (b"junk", b"key", 4)


def test_a_missing_topic_is_a_users_mistake(settings: Settings) -> None:
    with pytest.raises(UserError, match="tidemill topics"):
        Reader(settings, codec(settings), Bucket)
