"""Random venues and random losses: a valid book is what was told, and invalid at the first message that can show it."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.books import BookOptions, Books
from processors.online.ladder import NEAR
from schemas import Book, Depth, Rejected, Resync, Top
from schemas.levels import packed, unpacked
from tests.book_venue import DECIMALS, STYLES, Venue, depths
from tests.streams import MILLISECOND, NOON

Sides = tuple[dict[int, int], dict[int, int]]
STEPS = st.lists(
    st.sampled_from(["fine"] * 12 + ["lose", "repeat", "flip", "snapshot", "connect"]), min_size=1, max_size=60
)


def levels(message: Depth, side: str) -> list[tuple[int, int]]:
    """Levels in the venue's own whole numbers."""
    price_unit, size_unit = 10 ** (DECIMALS - message.price_decimals), 10 ** (DECIMALS - message.size_decimals)
    return [(price * price_unit, size * size_unit) for price, size in unpacked(getattr(message, side)).tolist()]


def flipped(message: Depth, chance: random.Random) -> Depth:
    """The message with one level's size changed."""
    side = chance.choice([side for side in ("bids", "asks") if getattr(message, side)])
    pairs = unpacked(getattr(message, side)).tolist()
    level = chance.choice(pairs)
    level[1] = 0 if level[1] and chance.random() < 0.5 else level[1] + 1
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    return Depth(**fields | {side: packed(map(tuple, pairs))})


class Told:
    """What a book must be if every message that came is believed, and whether the venue's proofs still hold."""

    def __init__(self) -> None:
        self.sides: Sides = ({}, {})
        self.holds = self.lost = self.wrong = False

    def take(self, message: Depth, venue: Venue, flip: bool) -> None:
        if message.kind == "connect":
            self.holds = False
        elif message.kind == "snapshot":
            self.sides = (dict(levels(message, "bids")), dict(levels(message, "asks")))
            self.holds, self.lost, self.wrong = True, False, False
        elif self.holds:
            for side, name in zip(self.sides, ("bids", "asks"), strict=True):
                for price, size in levels(message, name):
                    side[price] = size
                    if not size:
                        del side[price]
            self.wrong |= flip
            self.holds = not self._shown(venue, flip)

    def _shown(self, venue: Venue, flip: bool) -> bool:
        """Whether the message that was just taken shows that something is wrong."""
        bid, ask = max(self.sides[0], default=0), min(self.sides[1], default=0)
        best = venue.best()
        return (
            bid > ask > 0
            or (self.lost and (venue.says.ids or venue.says.counted))
            or (flip and venue.says.changes)
            or (venue.says.echo and (best[0] not in (0, bid) or best[2] not in (0, ask)))
        )


def told(stage: Books) -> Sides:
    """All that the stage holds, in the venue's own whole numbers."""
    book = stage.state.book
    price_unit, size_unit = 10 ** (DECIMALS - book.price_decimals), 10 ** (DECIMALS - book.size_decimals)
    sides = []
    for side, count in zip(book.sides, book.counts(), strict=True):
        keys, sizes = side[:, :count].tolist()
        sides.append({abs(key) * price_unit: size * size_unit for key, size in zip(keys, sizes, strict=True)})
    return sides[0], sides[1]


@pytest.mark.parametrize("style", STYLES)
@settings(max_examples=150)
@given(seed=st.integers(0, 1 << 32), steps=STEPS)
def test_a_valid_book_is_the_venues_and_an_invalid_one_is_never_late(style: str, seed: int, steps: list[str]) -> None:
    chance = random.Random(seed)
    venue, believed = Venue("x:a", chance, style), Told()
    stage = Books("x:a", BookOptions(book_every_ms=1))
    valid, now = False, NOON
    for step in ["connect", "snapshot", *steps]:
        now += 20 * MILLISECOND
        if step in ("connect", "snapshot"):
            messages = [venue.connect(now)] if step == "connect" else [venue.snapshot(now)]
        else:
            message = venue.delta(now)
            messages = [flipped(message, chance)] if step == "flip" else [message] * (2 if step == "repeat" else 1)
        if step == "lose":
            believed.lost = True
            continue
        for message in messages:
            believed.take(message, venue, step == "flip")
            said = list(stage.on_event(message))
            assert stage.state.valid == believed.holds
            assert [record.valid for record in said if isinstance(record, Top)][-1:] in ([], [believed.holds])
            assert any(isinstance(record, Book) for record in said) or valid == believed.holds
            valid = believed.holds
            if valid:
                assert told(stage) == believed.sides
                assert believed.lost or believed.wrong or believed.sides == venue.sides
        if valid and not (believed.lost or believed.wrong):
            view = stage.state.book.view(10.0)
            assert [len(view.bids) // 2, len(view.asks) // 2] == [len(venue.levels(side, NEAR)) for side in (0, 1)]


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1 << 32), cuts=st.sets(st.integers(0, 200), max_size=8), levels=st.sampled_from([100, 10_000])
)
def test_a_restart_anywhere_changes_nothing(seed: int, cuts: set[int], levels: int) -> None:
    options = BookOptions(levels=levels, book_every_ms=50)
    whole, parts = Books("x:a", options), Books("x:a", options)
    for number, event in enumerate(depths(seed, 200, "a")):
        assert outcome(parts, event) == outcome(whole, event)
        if number in cuts:
            snapshot, parts = parts.snapshot(), Books("x:a", options)
            parts.restore(snapshot)


def outcome(stage: Books, event: Depth) -> list[object]:
    try:
        return list(stage.on_event(event))
    except Rejected as refusal:
        return [str(refusal)]


def test_a_snapshot_of_the_state_is_small() -> None:
    stage = Books("x:a")
    sides = [
        [(100_000_00 - sign * (number + 1) * 7, 1 + number * 977 % 100_000) for number in range(5_000)]
        for sign in (1, -1)
    ]
    message = Venue("x:a", random.Random(1), "ids").snapshot(NOON)
    fields = {name: getattr(message, name) for name in message.__struct_fields__}
    list(stage.on_event(Depth(**fields | {"bids": packed(sides[0]), "asks": packed(sides[1]), "size_decimals": 5})))
    size = sum(map(len, stage.snapshot()["book"]["sides"]))
    print(size, "bytes for 10,000 levels")
    assert size < 50_000
    assert not any(isinstance(record, Resync) for record in stage.on_event(message))
