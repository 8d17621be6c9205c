import msgspec
import pytest
from typer.testing import CliRunner

from consumers import dead_letters
from consumers.dead_letters import Outcome, retry
from consumers.reader import read
from infra.errors import UserError
from infra.moments import parse_since
from infra.publisher import Publisher
from infra.registry import codec
from infra.settings import Settings
from schemas import Clock, DeadLetter, Tick
from schemas.codec import Codec

FRAME = (
    '{"type":"ticker","sequence":7,"product_id":"ETH-USD","price":"3000","best_bid":"2999","best_bid_size":"1",'
    '"best_ask":"3001","best_ask_size":"1","side":"buy","time":"1970-01-01T00:00:01Z","trade_id":1,"last_size":"1"}'
)


def letter(source: str, by: str, payload: bytes, partition: int = -1, **more: object) -> DeadLetter:
    given: dict[str, object] = {
        "source": source, "event_ns": 1_000_000_000, "partition": partition, "offset": partition, "by": by,
        "reason": "was not understood", "record_key": b"*" if partition >= 0 else b"", "payload": payload,
        "size": len(payload), "attempts": 0,
    }  # fmt: skip
    return DeadLetter(**given | more)  # type: ignore[arg-type]


def publish(settings: Settings, *letters: DeadLetter) -> None:
    with Publisher(settings, codec(settings)) as publisher:
        for each in letters:
            publisher.publish(each)


def kept(settings: Settings) -> list[DeadLetter]:
    found = read(settings, codec(settings), DeadLetter, start="earliest", to_end=True)
    return [item.record for item in found if isinstance(item.record, DeadLetter)]


def ticks(settings: Settings) -> list[Tick | Clock]:
    found = read(settings, codec(settings), (Tick, Clock), start="earliest", to_end=True)
    return [item.record for item in found if isinstance(item.record, Tick | Clock)]


def test_what_can_be_read_now_is_published_once(live: Settings) -> None:
    clock = Clock(event_ns=5)
    publish(live, letter("coinbase", "coinbase", FRAME.encode()), letter("ticks", "codec", Codec().encode(clock), 2))
    assert retry(live, codec(live)) == Outcome(recovered=2)
    found = ticks(live)
    assert clock in found
    assert [record.trade_id for record in found if isinstance(record, Tick)] == [1]
    assert len(found) == 2
    assert retry(live, codec(live)) == Outcome()
    assert len(ticks(live)) == 2


def test_what_is_refused_again_goes_back_with_one_attempt_more(live: Settings) -> None:
    publish(live, letter("coinbase", "coinbase", b"junk"))
    assert retry(live, codec(live)) == Outcome(refused=1)
    assert retry(live, codec(live)) == Outcome(refused=1)
    assert [item.attempts for item in kept(live)] == [0, 1, 2]
    assert "unreadable" in kept(live)[-1].reason


def test_a_crash_before_the_commit_repeats_and_readers_drop_the_repeat(
    live: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(live, letter("coinbase", "coinbase", FRAME.encode()), letter("coinbase", "coinbase", b"junk"))

    def crash(self: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("consumers.dead_letters.Reader.commit", crash)
        with pytest.raises(KeyboardInterrupt):
            retry(live, codec(live))
    assert retry(live, codec(live)) == Outcome(recovered=1, refused=2)  # the letter that came back is tried as well
    assert len(ticks(live)) == 1
    assert [item.attempts for item in kept(live)] == [0, 0, 1, 2]


def test_letters_of_another_source_keep_their_turn(live: Settings) -> None:
    publish(live, letter("coinbase", "coinbase", FRAME.encode()), letter("ticks", "codec", b"junk", 0))
    assert retry(live, codec(live), source="ticks") == Outcome(refused=1, postponed=1)
    assert ticks(live) == []
    assert retry(live, codec(live), source="coinbase") == Outcome(recovered=1, postponed=1)
    assert len(ticks(live)) == 1


@pytest.mark.parametrize(
    "hopeless",
    [
        letter("ticks", "buckets", b"late", 0),
        letter("coinbase", "coinbase", FRAME.encode(), reason="repeated: ETH-USD sequence 7 trade_id 1"),
        letter("coinbase", "coinbase", FRAME.encode()[:50], size=400),
    ],
)
def test_what_cannot_come_out_otherwise_is_left(live: Settings, hopeless: DeadLetter) -> None:
    publish(live, hopeless)
    assert retry(live, codec(live)) == Outcome(left=1)
    assert kept(live) == [hopeless]


def test_a_dry_run_changes_nothing(live: Settings) -> None:
    publish(live, letter("coinbase", "coinbase", FRAME.encode()), letter("coinbase", "coinbase", b"junk"))
    assert retry(live, codec(live), dry_run=True) == Outcome(recovered=1, refused=1)
    assert len(kept(live)) == 2
    assert retry(live, codec(live)) == Outcome(recovered=1, refused=1)


def test_letters_are_listed_and_shown(live: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(
        live, letter("coinbase", "coinbase", b'{"a":1}'), letter("ticks", "codec", b"\x00\xff", 0, event_ns=2 * 10**9)
    )
    monkeypatch.setattr(dead_letters, "load_settings", lambda: live)
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> str:
        return CliRunner().invoke(dead_letters.app, [*arguments], catch_exceptions=False).output

    listed = run("ls").splitlines()
    assert listed[1].split()[:6] == ["1", "1970-01-01", "00:00:02", "ticks", "0:0", "codec"]
    assert listed[2].split()[:6] == ["2", "1970-01-01", "00:00:01", "coinbase", "frame", "coinbase"]
    assert listed[-1] == "2 dead letters"
    assert run("ls", "--source", "ticks").splitlines()[-1] == "1 dead letters"
    assert '{"a":1}' in run("ls", "--show", "2")
    assert "00 ff" in run("ls", "--show", "1")
    retry(live, codec(live))
    assert run("ls").splitlines()[-1] == "2 dead letters"


def test_a_span_that_is_none_is_a_users_mistake() -> None:
    with pytest.raises(UserError, match="--since"):
        parse_since("yesterday")


def test_a_letter_keeps_its_bytes_through_a_retry(live: Settings) -> None:
    junk = letter("coinbase", "coinbase", bytes(range(256)))
    publish(live, junk)
    retry(live, codec(live))
    assert kept(live)[-1] == msgspec.structs.replace(junk, attempts=1, reason=kept(live)[-1].reason)
