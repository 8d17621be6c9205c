"""Each feed's frames under tests/frames give what stands beside them; a new feed is held to its own by discovery.

A line is a frame or the answer to a fetch, as a recording holds it (see producers/frames.py), with what it ``gives``: a
list of records as ``{"Tick": {…}}``, or ``{"refused": reason}``, ``{"resubscribe": cause, "reason": …}`` or
``{"retire": reason}``, where a part of the reason is enough. Levels of a book are lists of pairs of whole numbers.
"""

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from producers import frames
from producers.feed import Feed, Resubscribe, Retire, feeds
from schemas import RECORDS, Connect, Heartbeat, Record, Rejected
from schemas.levels import packed, packed_changes

FRAMES = pathlib.Path(__file__).parent.parent / "frames"
FEEDS = feeds()
TIMED = {"esof"}  # its records come with time, none with a frame
SIMULATED = {"simulator"}  # its frames are Coinbase's, and made by code that has tests of its own
# One venue refuses filters and sends every symbol, the other wants to know us first.
UNFILTERED = {"polymarket_prices", "polymarket_bolt"}
CASES = sorted(path for name in FEEDS for path in (FRAMES / name).glob("*.jsonl"))
TYPES = {record.__name__: record for record in RECORDS.values()}
PACKED: dict[str, Callable[[Any], bytes]] = {
    **dict.fromkeys(("bids", "asks"), packed),
    **dict.fromkeys(("bid_changes", "ask_changes"), packed_changes),
}
NOW_NS = 1_767_323_045_000_000_000
Outcome = list[Record] | Rejected | Resubscribe | Retire


def outcome(feed: Feed, frame: frames.Frame, received_ns: int) -> Outcome:
    assert not isinstance(frame, frames.Connected)
    try:
        if isinstance(frame, frames.Fetched):
            return list(feed.answer(frame.tag, frame.body, received_ns))
        return list(feed.parse(frame, received_ns))
    except (Rejected, Resubscribe, Retire) as refusal:
        return refusal


def agrees(found: Outcome, gives: list[dict[str, Any]]) -> bool:
    match found, gives:
        case Rejected(), [{"refused": reason}]:
            return reason in str(found)
        case Resubscribe(), [{"resubscribe": cause, "reason": reason}]:
            return found.cause == cause and reason in found.reason
        case Retire(), [{"retire": reason}]:
            return reason in str(found)
        case list(), _:
            return found == [record(name, fields) for given in gives for name, fields in given.items()]
    return False


def record(name: str, fields: dict[str, Any]) -> Record:
    packed_fields = {field: PACKED[field](value) for field, value in fields.items() if isinstance(value, list)}
    return TYPES[name](**fields | packed_fields)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_frame_gives_what_stands_beside_it(path: pathlib.Path) -> None:
    feed = FEEDS[path.parent.name]()
    lines = path.read_text().splitlines()
    assert lines
    for number, ((frame, received_ns), line) in enumerate(zip(frames.read(path, feed), lines, strict=True), 1):
        gives = json.loads(line)["gives"]
        found = outcome(feed, frame, received_ns)
        assert agrees(found, gives), f"line {number} gave {found!r}, not {gives}"


@pytest.mark.parametrize("name", sorted(set(FEEDS) - SIMULATED))
def test_a_feed_has_frames_to_hold_it_to(name: str) -> None:
    assert list((FRAMES / name).glob("*.jsonl"))


@pytest.mark.parametrize("name", sorted({path.parent.name for path in CASES} - TIMED))
def test_a_feed_gives_what_it_says_it_writes(name: str) -> None:
    lines = [line for path in CASES if path.parent.name == name for line in path.read_text().splitlines()]
    given = {TYPES[kind] for line in lines for item in json.loads(line)["gives"] for kind in item if kind in TYPES}
    assert given - {Connect, Heartbeat} == set(FEEDS[name].writes)


def symbols(name: str) -> list[str]:
    """A symbol of the feed's frames."""
    for path in sorted((FRAMES / name).glob("*.jsonl")):
        for gives in (given for line in path.read_text().splitlines() for given in json.loads(line)["gives"]):
            for fields in gives.values():
                if isinstance(fields, dict) and "instrument" in fields:
                    return [fields["instrument"].partition(":")[2]]
    return ["ETH-USD"]


@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_is_named_as_its_module_and_asks_for_its_symbols(name: str) -> None:
    make = FEEDS[name]
    assert make.__module__ == f"producers.{name}"
    assert make.silence_s > 0
    for shard in make.shards(symbols(name), make.default_channels):
        feed = make(channels=shard.channels)
        requests = [*feed.subscribe(shard.symbols), *feed.outgoing()]
        fetches = list(feed.fetches(NOW_NS))
        reached = [shard.symbols[0].lower() in text.lower() for text in [*requests, make.address(shard)]]
        assert any(reached) or fetches or next(feed.tick(NOW_NS), None) or (requests and name in UNFILTERED)
