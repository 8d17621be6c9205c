"""The file of a state: whole, or refused by the field that is wrong."""

import hashlib
import os

import msgspec
import numpy as np
import pytest

from consumers.synth import state as states
from consumers.synth.state import Envelope, Unusable, appended, load, place, save
from processors.online.synth_assets import ASSETS
from schemas import Bar
from tests.consumers.synth.kept import NOW_NS, bars, kept, put

BTC = ASSETS["BTC"]
MINUTE_NS = states.MINUTE_NS


def test_what_was_saved_is_loaded(tmp_path):
    put(tmp_path)
    found = load(tmp_path, BTC, NOW_NS)
    assert found == kept()
    assert found.volatility_state.price == 60_000.0
    assert found.seen_ns == NOW_NS
    assert found.bars.tolist() == bars().tolist()


def test_the_same_state_gives_the_same_bytes(tmp_path):
    for name in ("one", "other"):
        put(tmp_path / name)
    assert place(tmp_path / "one", "BTC").read_bytes() == place(tmp_path / "other", "BTC").read_bytes()


def test_file_and_folder_are_forced_to_the_disk_before_and_after_the_renaming(tmp_path, monkeypatch):
    order = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda number: (order.append(os.path.realpath(f"/proc/self/fd/{number}")), fsync(number))
    )
    monkeypatch.setattr(type(tmp_path), "replace", lambda self, to: (order.append("renamed"), replace(self, to)))
    put(tmp_path)
    assert order == [str(tmp_path / "BTC.partial"), "renamed", str(tmp_path)]


def test_seven_days_of_bars_are_kept():
    rows = b""
    for day in range(9):
        start = day * 1_440
        rows = appended(rows, [
            Bar(BTC.source, (minute + 1) * MINUTE_NS, 0, 60_000, 2.0, 3.0, 1.0, 2.0, 1.0, 0.0, 0, 0.0)
            for minute in range(start, start + 1_440)
        ])  # fmt: skip
    found = states.Kept("BTC", BTC.source, "", {}, {}, rows).bars
    assert found[:, 0].tolist() == list(range(2 * 1_440, 9 * 1_440))


def changed(data, **fields):
    envelope = msgspec.structs.replace(msgspec.msgpack.decode(data, type=Envelope), **fields)
    return msgspec.msgpack.encode(envelope)


def with_body(data, **fields):
    body = msgspec.msgpack.decode(msgspec.msgpack.decode(data, type=Envelope).body) | fields
    encoded = msgspec.msgpack.encode(body)
    return changed(data, body=encoded, digest=hashlib.sha256(encoded).digest())


def latest(**fields):
    return lambda data: with_body(data, latest=kept().latest | fields)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda data: b"", "no state of ours"),
        (lambda data: b"PK\x03\x04 something else", "no state of ours"),
        (lambda data: msgspec.msgpack.encode({"a": 1}), "missing required field `tidemill`"),
        (lambda data: changed(data, tidemill="other"), "tidemill: 'other'"),
        (lambda data: changed(data, version=2), "version: 2 where 1"),
        (lambda data: changed(data, body=data), "digest"),
        (lambda data: data[:-40] + bytes(40), "digest"),
        (lambda data: with_body(data, asset="ETH"), "asset: 'ETH' where 'BTC'"),
        (lambda data: with_body(data, instrument="binance:ETHUSDT"), "instrument"),
        (lambda data: with_body(data, latest=7), r"body: .*latest"),
        (latest(price="high"), r"body: .*price"),
        (latest(price=float("nan")), "latest.price: nan"),
        (latest(price=0.0), "latest.price: 0.0"),
        (latest(fast=-1e-9), "latest.fast: -1e-09"),
        (latest(hour_slow=float("nan")), "latest.hour_slow: nan"),
        (latest(anchor=-1e-9), "latest.anchor: -1e-09"),
        (latest(profile=bytes(8)), "latest.profile: 8 bytes"),
        (latest(profile=bytes(7)), "latest.profile: 7 bytes"),
        (latest(profile=np.full(96, np.nan, "<f4").tobytes()), "latest.profile: 384 bytes"),
        (latest(hour_fast_half_life_s=60.0), r"latest.hour_fast_half_life_s: 60.0 where 300.0 was expected"),
        (lambda data: with_body(data, latest=kept().latest | {"event_ns": NOW_NS + 7}), f"event_ns: {NOW_NS + 7} lies"),
        (lambda data: with_body(data, rows=bytes(7)), "body"),
        (lambda data: with_body(data, rows=(-bars()).tobytes()), "rows"),
        (lambda data: with_body(data, rows=bars()[::-1].tobytes()), "rows"),
    ],
)
def test_what_is_no_state_is_refused_by_the_field_that_is_wrong(tmp_path, spoil, named):
    put(tmp_path)
    path = place(tmp_path, "BTC")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(Unusable, match=named) as told:
        load(tmp_path, BTC, NOW_NS)
    assert str(path) in str(told.value)


def test_a_file_cut_anywhere_is_refused(tmp_path):
    put(tmp_path)
    path = place(tmp_path, "BTC")
    data = path.read_bytes()
    for end in [*range(0, 200), *range(200, len(data), 997), len(data) - 1]:
        path.write_bytes(data[:end])
        with pytest.raises(Unusable):
            load(tmp_path, BTC, NOW_NS)


def test_a_state_of_the_future_is_refused(tmp_path):
    put(tmp_path)
    with pytest.raises(Unusable, match=r"event_ns: .* lies in the future"):
        load(tmp_path, BTC, NOW_NS - 1)


def test_a_state_made_with_other_parameters_is_refused(tmp_path):
    put(tmp_path)
    with pytest.raises(Unusable, match="parameters"):
        load(tmp_path, BTC, NOW_NS, "others")


def test_no_state_yet_is_told(tmp_path):
    with pytest.raises(Unusable, match="no state yet"):
        load(tmp_path, BTC, NOW_NS)


def test_a_partial_file_of_a_killed_writer_is_in_nobodys_way(tmp_path):
    put(tmp_path)
    (tmp_path / "BTC.partial").write_bytes(b"half a st")
    assert load(tmp_path, BTC, NOW_NS) == kept()
    save(tmp_path, kept(price=61_000.0))
    assert load(tmp_path, BTC, NOW_NS).volatility_state.price == 61_000.0
