"""Frames and answers of every feed, bent in every way that a broken venue, proxy or attacker might.

By discovery: each line of a feed's frames under tests/frames is bent, after those before it, and the feed must refuse
it in a declared way or give records that are whole and its own. A refusal must leave no trace: what comes next gives
the same as if the bent frame had never come.
"""

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers import frames
from producers.feed import Feed, Repeated, Resubscribe, Retire
from schemas import Record, Rejected
from schemas.codec import Codec
from tests.producers.test_frames_of_feeds import CASES, FEEDS, Outcome, outcome

COUNTING = {"coinbase_advanced"}  # the venue numbers a connection's frames, so that a refused one was there as well
CODEC = Codec()
NAMES = sorted({path.parent.name for path in CASES})
RAW = {  # put into the text as they stand, for no JSON writer writes them
    "@deep lists": "[" * 3_000 + "]" * 3_000,
    "@deep objects": '{"a":' * 3_000 + "1" + "}" * 3_000,
    "@open": "[" * 100_000,
    "@infinite": "1e999",
    "@not a number": "NaN",
    "@long": "9" * 5_000,
}
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, -1, 2**31, 2**63, -(2**63), 10**40, 1e308, 5e-324]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(["nan", "inf", "-0", "0", "-1", "1e5", "1e-99", "٣", "1_0", " 1", "9" * 400, "[]", "{}", "\ud800"]),
    st.sampled_from(sorted(RAW)),
    st.recursive(
        st.integers(), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)
    ),
)
Line = tuple[str | bytes | frames.Fetched, int]


@functools.cache
def recorded(name: str) -> list[list[Line]]:
    """The lines of each of a feed's files."""
    feed = FEEDS[name]()
    files = [path for path in CASES if path.parent.name == name]
    return [
        [(line, at) for line, at in frames.read(path, feed) if not isinstance(line, frames.Connected)] for path in files
    ]


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in inner:
        yield (*at, step)
        yield from paths(item, (*at, step))


@st.composite
def bent(draw: st.DrawFn, frame: str | bytes) -> bytes:
    data = frame.encode() if isinstance(frame, str) else frame
    kind = draw(st.sampled_from(["bytes", "cut", "value", "value", "missing", "extra", "twice"]))
    try:
        message = json.loads(data)
    except ValueError:
        kind = "cut" if kind == "cut" else "bytes"
    if kind == "bytes":
        array = bytearray(data or b" ")
        for _ in range(draw(st.integers(1, 4))):
            array[draw(st.integers(0, len(array) - 1))] = draw(st.integers(0, 255))
        return bytes(array)
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    places = list(paths(message))
    if kind == "extra" or not places:
        extra = message | {draw(st.text()): draw(ODD)} if isinstance(message, dict) else [message, draw(ODD)]
        return written(extra)
    *way, last = draw(st.sampled_from(places))
    target = message
    for step in way:
        target = target[step]
    if kind == "missing":
        del target[last]
    elif kind == "twice" and isinstance(target, list):
        target.append(target[last])
    else:
        target[last] = draw(ODD)
    return written(message)


def written(message: Any) -> bytes:
    text = json.dumps(message)
    for name, raw in RAW.items():
        text = text.replace(json.dumps(name), raw)
    return text.encode("utf-8", "surrogatepass")


def told(name: str, lines: list[Line], place: int) -> Feed:
    """A feed that has taken the lines before a place."""
    feed = FEEDS[name]()
    for line, received_ns in lines[:place]:
        outcome(feed, line, received_ns)
    return feed


def same(one: Outcome, other: Outcome) -> bool:
    if isinstance(one, list) or isinstance(other, list):
        return one == other
    return type(one) is type(other) and str(one) == str(other)


def check_whole(name: str, records: list[Record]) -> None:
    for record in records:
        back = CODEC.decode(CODEC.encode(record))
        assert back == record
        assert str(getattr(record, "instrument", f"{name}:")).startswith(f"{name}:")


@pytest.mark.parametrize("name", NAMES)
@settings(suppress_health_check=[HealthCheck.data_too_large, HealthCheck.too_slow])
@given(data=st.data())
def test_bent_frames_are_refused_without_a_trace_or_give_whole_records(name: str, data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(recorded(name)))
    place = data.draw(st.integers(0, len(lines) - 1))
    line, received_ns = lines[place]
    odd: frames.Frame
    if isinstance(line, frames.Fetched):
        tag = data.draw(st.just(line.tag) | st.just(line.tag) | st.text(max_size=10))
        odd = frames.Fetched(tag, data.draw(bent(line.body)))
    else:
        raw = data.draw(bent(line))
        odd = raw if data.draw(st.booleans()) else raw.decode("utf-8", "replace")
    feed = told(name, lines, place)
    found = outcome(feed, odd, received_ns)
    if isinstance(found, list):
        check_whole(name, found)
    if not isinstance(odd, frames.Fetched):
        assert feed.sent_ns(odd) >= 0
    if isinstance(found, Rejected) and not isinstance(found, Repeated) and name not in COUNTING:
        control = told(name, lines, place)
        for line, received_ns in lines[place:]:
            assert same(outcome(feed, line, received_ns), outcome(control, line, received_ns))


@pytest.mark.parametrize("name", NAMES)
@given(frame=st.binary(max_size=200) | st.text(max_size=200))
def test_arbitrary_frames_are_refused_in_a_declared_way(name: str, frame: str | bytes) -> None:
    found = outcome(FEEDS[name](), frame, 1_767_323_045_000_000_000)
    assert isinstance(found, Rejected | Resubscribe | Retire) or found == []
