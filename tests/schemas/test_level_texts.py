"""Levels read from text: the kernel and the slow way agree, and what is no level is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Rejected
from schemas.level_texts import Reader, Sides, _slowly
from schemas.levels import unpacked

Pairs = list[tuple[str, str]]
sides = Reader().sides


def text(pairs: Pairs) -> bytes:
    return json.dumps(pairs, separators=(",", ":")).encode()


def values(found: Sides) -> list[list[list[tuple[int, int]]]]:
    """Each number of both sides as a fraction of whole numbers without common zeros."""
    *scales, bids, asks = found
    return [
        [[(number * 10 ** (18 - scale), 18) for number, scale in zip(level, scales, strict=True)] for level in side]
        for side in (unpacked(bids).tolist(), unpacked(asks).tolist())
    ]


def fixed(decimals: int) -> st.SearchStrategy[str]:
    """Numbers written with so many decimals, above zero."""
    return st.integers(1, 10**12).map(lambda number: f"{number / 10**decimals:.{decimals}f}")


@given(st.data(), st.integers(0, 8), st.integers(0, 8))
def test_levels_with_the_same_decimals_are_read_as_the_slow_way_reads_them(
    data: st.DataObject, price_decimals: int, size_decimals: int
) -> None:
    level = st.tuples(fixed(price_decimals), fixed(size_decimals) | st.just(f"{0:.{size_decimals}f}"))
    bids, asks = data.draw(st.lists(level, max_size=8)), data.draw(st.lists(level, max_size=8))
    found = sides(text(bids), text(asks))
    assert values(found) == values(_slowly(text(bids), text(asks)))
    if bids or asks:
        assert found[:2] == (price_decimals, size_decimals)


NUMBER = st.one_of(
    st.decimals(0, 10**9, places=3).map(str),
    st.sampled_from(["0", "0.0", "1", "-1", "1e5", "nan", "", ".5", "5.", "1.2.3", "1_0", " 1", "٣", "00.1"]),
    st.sampled_from(["9" * 18, "9" * 19, "1." + "0" * 30]),
)
TEXT = st.lists(st.tuples(NUMBER, NUMBER), max_size=3).map(text)


@given(TEXT, TEXT)
def test_whatever_stands_there_is_read_as_the_slow_way_reads_it_or_refused_as_there(bids: bytes, asks: bytes) -> None:
    try:
        expected = _slowly(bids, asks)
    except Rejected:
        with pytest.raises(Rejected):
            sides(bids, asks)
    else:
        assert values(sides(bids, asks)) == values(expected)


@given(st.binary(max_size=60) | st.text(alphabet='[]",.0123456789', max_size=60).map(str.encode))
def test_junk_is_refused_or_is_levels(junk: bytes) -> None:
    try:
        found = sides(junk, b"[]")
    except Rejected:
        return
    assert values(found)[0] == values(_slowly(junk, b"[]"))[0]


@pytest.mark.parametrize("junk", [b"", b"[", b"[]]", b'[["1","1"],]', b'[["1","1"]', b'[["1","1"]]]', b'[["1","1"'])
def test_text_that_is_no_whole_list_is_refused(junk: bytes) -> None:
    with pytest.raises(Rejected):
        sides(junk, b"[]")
    with pytest.raises(Rejected):
        sides(b"[]", junk)


def test_a_size_too_large_for_64_bits_with_its_zeros_is_read_without_them() -> None:
    assert sides(b'[["0.00000123","123456789012.00000000"]]', b"[]")[:2] == (8, 0)


def test_a_message_of_any_length_finds_room() -> None:
    reader = Reader()
    for levels in (1, 255, 256, 257, 5_000, 3):
        pairs = [(f"{number}.5", f"{number}") for number in range(1, levels + 1)]
        assert values(reader.sides(text(pairs), text(pairs[:1]))) == values(_slowly(text(pairs), text(pairs[:1])))
