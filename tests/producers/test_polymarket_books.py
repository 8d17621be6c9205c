"""What the Polymarket feed promises of its books: proven, dropped when wrong, found again without a hole."""

import json

import pytest

from processors.books import Books
from producers.feed import Resubscribe
from producers.polymarket_wire import Level, RestBook, digest
from schemas import Depth, Gap, Record, Rejected, Top
from schemas.levels import unpacked
from tests.producers.polymarket import (
    NOW_NS,
    SECOND_NS,
    START_S,
    TOKENS,
    book,
    change,
    following,
    kinds,
    parse,
    rest_book,
)


def test_a_resync_fetches_the_book_and_gives_again_what_has_changed_since() -> None:
    feed = following()
    feed.fetches(NOW_NS)
    parse(feed, book())
    assert feed.resync(TOKENS[0]) == []
    (fetch,) = feed.fetches(NOW_NS)
    assert fetch.url == f"https://clob.polymarket.com/book?token_id={TOKENS[0]}"
    at_ms = START_S * 1000 + 500
    for number, size in enumerate(("1", "2", "3")):
        assert parse(feed, change(size, at_ms - 1 + number)) == []
    found = list(feed.answer(fetch.tag, rest_book(at_ms), NOW_NS))
    assert kinds(found) == ["snapshot", "delta", "delta"]
    assert [unpacked(record.bids)[0, 1] for record in found[1:] if isinstance(record, Depth)] == [2, 3]
    assert [record.verified for record in found if isinstance(record, Depth)] == [True, False, False]
    assert [fetch.tag for fetch in feed.fetches(NOW_NS + 10 * SECOND_NS)] == []


def test_a_book_of_the_channel_ends_the_search_for_one() -> None:
    feed = following()
    feed.fetches(NOW_NS)
    feed.resync(TOKENS[0])
    parse(feed, change("1", START_S * 1000))
    assert kinds(parse(feed, book(at_ms=START_S * 1000 + 1))) == ["snapshot"]
    assert feed.fetches(NOW_NS) == []
    assert list(feed.answer(f"book:{TOKENS[0]}", rest_book(START_S * 1000), NOW_NS)) == []


def test_a_fetched_book_that_cannot_be_used_is_asked_for_again() -> None:
    feed = following()
    feed.fetches(NOW_NS)
    parse(feed, book())
    feed.resync(TOKENS[0])
    for odd, reason in [
        (rest_book(START_S * 1000 - 1), "older than what was seen before"),
        (rest_book(START_S * 1000, neg_risk=True), "disagrees"),
        (rest_book(START_S * 1000, asset_id="22"), "where that of 11 was wanted"),
        (b"<html>", "unreadable book"),
    ]:
        with pytest.raises(Rejected, match=reason):
            list(feed.answer(f"book:{TOKENS[0]}", odd, NOW_NS))
    assert [fetch.tag for fetch in feed.fetches(NOW_NS + 2 * SECOND_NS)] == [f"book:{TOKENS[0]}"]


def test_a_book_that_never_came_is_fetched_when_something_changes_in_it() -> None:
    feed = following()
    feed.fetches(NOW_NS)
    assert parse(feed, change("1", START_S * 1000)) == parse(feed, change("2", START_S * 1000 + 1)) == []
    (fetch,) = feed.fetches(NOW_NS)
    assert fetch.tag == f"book:{TOKENS[0]}"
    assert kinds(list(feed.answer(fetch.tag, rest_book(START_S * 1000 + 1), NOW_NS))) == ["snapshot", "delta"]


def test_changes_without_a_book_are_not_kept_for_ever() -> None:
    feed = following()
    frame = change("1", START_S * 1000)
    for _ in range(10_000):
        assert parse(feed, frame) == []
    with pytest.raises(Resubscribe, match="10000 changes of polymarket:11 without a book"):
        parse(feed, frame)


@pytest.mark.parametrize("side", ["bids", "asks"])
@pytest.mark.parametrize("field", ["price", "size"])
def test_one_flipped_figure_of_a_book_is_noticed_in_its_own_message(side: str, field: str) -> None:
    whole = RestBook(
        "0x1", TOKENS[0], str(START_S * 1000), "", [Level("0.4", "10")], [Level("0.6", "5")], "5", "0.01", False, "0.5"
    )
    good = json.loads(book(hash=digest(whole), tick_size="0.01", last_trade_price="0.5"))
    (snapshot,) = parse(following(), json.dumps(good))
    assert isinstance(snapshot, Depth)
    assert snapshot.verified
    good[side][0][field] = "0.5"
    feed = following()
    (lost,) = parse(feed, json.dumps(good))
    assert isinstance(lost, Depth)
    assert lost.kind == "connect"
    assert f"book:{TOKENS[0]}" in [fetch.tag for fetch in feed.fetches(NOW_NS)]


def test_a_frame_with_one_bad_message_changes_nothing() -> None:
    feed = following()
    messages = [json.loads(book()), json.loads(book(at_ms=START_S * 1000, bids=[{"price": "2", "size": "1"}]))]
    with pytest.raises(Resubscribe, match="not between 0 and 1"):
        parse(feed, json.dumps(messages))
    assert parse(feed, change("1", START_S * 1000)) == []  # there is still no book


def test_a_wrong_book_is_invalid_and_in_the_ledger_until_the_fetched_one_has_come() -> None:
    feed, stage = following(), Books(f"polymarket:{TOKENS[0]}")

    def told(records: list[Record]) -> list[tuple[str, object]]:
        found = [each for record in records if isinstance(record, Depth) for each in stage.on_event(record)]
        return [
            ("best bid", each.bid) if isinstance(each, Top) else ("closed", each.to_ns > 0)
            for each in found
            if isinstance(each, Top | Gap)
        ]

    at_ms = START_S * 1000
    whole = RestBook(
        "0x1", TOKENS[0], str(at_ms), "", [Level("0.4", "10")], [Level("0.6", "5")], "5", "0.01", False, "0.5"
    )
    good = json.loads(book(hash=digest(whole), tick_size="0.01", last_trade_price="0.5"))
    assert told(parse(feed, json.dumps(good))) == [("best bid", 0.4)]
    good["bids"][0]["size"] = "11"
    assert told(parse(feed, json.dumps(good))) == [("best bid", 0.0), ("closed", False)]
    assert told(parse(feed, change("7", at_ms + 1000))) == []
    answered = list(feed.answer(f"book:{TOKENS[0]}", rest_book(at_ms), NOW_NS))
    assert told(answered) == [("closed", True), ("best bid", 0.4), ("best bid", 0.45)]
