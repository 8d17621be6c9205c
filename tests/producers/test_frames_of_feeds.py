"""Each feed's frames under tests/frames give what stands beside them; a new feed is held to its own by discovery."""

import json
import pathlib
from typing import Any

import pytest

from producers import frames
from producers.feed import Feed, Resubscribe, feeds
from schemas import RECORDS, Record, Rejected

FRAMES = pathlib.Path(__file__).parent.parent / "frames"
FEEDS = feeds()
SIMULATED = {"simulator"}  # its frames are Coinbase's, and made by code that has tests of its own
CASES = sorted(path for name in FEEDS for path in (FRAMES / name).glob("*.jsonl"))
TYPES = {record.__name__: record for record in RECORDS.values()}


def outcome(feed: Feed, frame: str | bytes, received_ns: int) -> list[Record] | Rejected | Resubscribe:
    try:
        return list(feed.parse(frame, received_ns))
    except (Rejected, Resubscribe) as refusal:
        return refusal


def agrees(found: list[Record] | Rejected | Resubscribe, gives: list[dict[str, Any]]) -> bool:
    match found, gives:
        case Rejected(), [{"refused": reason}]:
            return reason in str(found)
        case Resubscribe(), [{"resubscribe": cause, "reason": reason}]:
            return found.cause == cause and reason in found.reason
        case list(), _:
            return found == [TYPES[name](**fields) for given in gives for name, fields in given.items()]
    return False


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_each_frame_gives_what_stands_beside_it(path: pathlib.Path) -> None:
    feed = FEEDS[path.parent.name]()
    lines = path.read_text().splitlines()
    assert lines
    for number, ((frame, received_ns), line) in enumerate(zip(frames.read(path, feed), lines, strict=True), 1):
        assert not isinstance(frame, frames.Connected)
        gives = json.loads(line)["gives"]
        found = outcome(feed, frame, received_ns)
        assert agrees(found, gives), f"line {number} gave {found!r}, not {gives}"


@pytest.mark.parametrize("name", sorted(set(FEEDS) - SIMULATED))
def test_a_feed_has_frames_to_hold_it_to(name: str) -> None:
    assert list((FRAMES / name).glob("*.jsonl"))


@pytest.mark.parametrize("name", FEEDS)
def test_a_feed_is_named_as_its_module_and_asks_for_its_symbols(name: str) -> None:
    feed = FEEDS[name]
    assert feed.__module__ == f"producers.{name}"
    assert any("ETH-USD" in request for request in feed().subscribe(["ETH-USD"]))
    assert feed.silence_s > 0
