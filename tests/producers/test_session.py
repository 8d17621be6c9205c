"""A session takes frames and answers alike, and tells when a connection has ended or will."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from producers.feed import Feed, Resubscribe, Retire
from producers.session import Session
from schemas import Connect, DeadLetter, Record, Rejected
from tests.producers.venue import START_NS


class Told(Feed):
    """A feed that does what a frame says."""

    name: ClassVar[str] = "told"
    silence_s: ClassVar[float] = 1.0
    default_channels: ClassVar[tuple[str, ...]] = ("trades",)

    def subscribe(self, symbols: Sequence[str]) -> list[str]:
        super().subscribe(symbols)
        return [f"{symbol} {' '.join(self.channels)}" for symbol in symbols]

    def parse(self, frame: str | bytes, received_ns: int) -> Iterator[Record]:
        match frame:
            case "retire":
                raise Retire("serverShutdown")
            case "end":
                raise Resubscribe("error", "bye")
            case "junk":
                raise Rejected("unreadable")
        return iter(self.connects(str(frame), received_ns))

    def answer(self, tag: str, body: bytes, received_ns: int) -> Iterator[Record]:
        return self.parse(body.decode(), received_ns)


def letter(reason: str, payload: bytes) -> DeadLetter:
    return DeadLetter("told", START_NS, -1, -1, "told", reason, b"", payload, len(payload), 0)


def test_the_channels_chosen_reach_each_feed() -> None:
    session = Session(Told, ["A"], ["books"])
    assert [session.open(), session.open()] == [["A books"], ["A books"]]
    assert Session(Told, ["A"]).open() == ["A trades"]


def test_answers_give_records_or_dead_letters_as_frames_do() -> None:
    session = Session(Told, ["A"])
    session.open()
    assert session.answer("tag", b"A", START_NS) == [Connect("told:A", START_NS, "told", "start")]
    assert session.answer("tag", b"junk", START_NS) == [letter("unreadable", b"junk")]
    assert session.ended == ""
    assert session.answer("tag", b"end", START_NS) == [letter("bye", b"end")]
    assert session.ended == "error"
    assert (session.counts.answers, session.counts.frames, session.counts.dead_letters) == (3, 0, 2)


def test_a_notice_of_retirement_is_no_dead_letter_and_holds_for_its_connection_only() -> None:
    session = Session(Told, ["A"])
    session.open()
    assert session.receive("retire", START_NS) == []
    assert (session.retiring, session.ended) == ("serverShutdown", "")
    assert session.receive("A", START_NS) == [Connect("told:A", START_NS, "told", "start")]
    assert (session.counts.retirements, session.counts.dead_letters) == (1, 0)
    session.open()
    assert session.retiring == ""
