"""One side of an order book as two sorted arrays, keys and sizes, of which the best level is the last.

A key is a price of the bids, a negated one of the asks, so that the best level has the largest key on both sides and a
change near it moves little. ``mark`` holds what else is known of a side:

- COUNT: levels there are.
- FLOOR: the side is known from its best level down to this key; of what lies beyond nothing is kept. WHOLE: no floor.
- CUT: levels there were when the floor was set; 0 without a floor.
"""

import numpy as np
from numpy.typing import NDArray

from processors.online.levels import Ints
from processors.online.moving import move
from schemas.jit import kernel

COUNT, FLOOR, CUT = range(3)
LARGEST = 2**63 - 1
WHOLE = -LARGEST
NEAR = 20  # levels from the best on whose change is worth telling
FAR, CLOSE, WRONG = range(3)  # where a level has changed; or its size was not what it must have been
GOOD, MALFORMED, TOO_LARGE, CHANGED = range(4)  # what a message came to


@kernel
def place(keys: Ints, count: int, key: int) -> int:
    """The number of levels worse than ``key``, looked for from the best one in steps that double."""
    high, low, step = count, count - 1, 1
    while low >= 0 and keys[low] >= key:
        high = low
        low -= step
        step *= 2
    low = max(low, -1)
    while high - low > 1:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle
        else:
            high = middle
    return high


@kernel
def put(keys: Ints, sizes: Ints, mark: Ints, key: int, size: int, least: int, most: int, limit: int) -> int:
    """Set the size at a key that is not beyond the floor, if the size before was one from ``least`` to ``most``.

    When there are ``limit`` levels already, the worst makes room and the floor rises above it.
    """
    count = mark[COUNT]
    at = place(keys, count, key)
    found = at < count and keys[at] == key
    before = sizes[at] if found else 0
    if before < least or before > most:
        return WRONG
    if size == before:
        return FAR
    nearness = CLOSE if count - at < NEAR + found else FAR
    if found and size > 0:
        sizes[at] = size
    elif found:
        move(keys, at, at + 1, count - 1 - at)
        move(sizes, at, at + 1, count - 1 - at)
        mark[COUNT] = count - 1
    else:
        if count == limit:
            mark[FLOOR], mark[CUT] = (keys[0] if at > 0 else key) + 1, limit
            if at == 0:
                return FAR
            at -= 1
            move(keys, 0, 1, at)
            move(sizes, 0, 1, at)
        else:
            move(keys, at + 1, at, count - at)
            move(sizes, at + 1, at, count - at)
            mark[COUNT] = count + 1
        keys[at], sizes[at] = key, size
    return nearness


@kernel
def take(  # type: ignore[no-untyped-def]
    sides, marks, bids, asks, bid_changes, ask_changes, price_factor, size_factor, limit
):  # fmt: skip
    """Apply a message's levels; what it came to, whether a level near the best changed, and the best after it.

    A factor brings the message's numbers to the book's decimals. After anything but GOOD the book is worth nothing.
    """
    most_price, most_size = LARGEST // price_factor, LARGEST // size_factor
    close = False
    for side in range(2):
        levels, changes = (bids, bid_changes) if side == 0 else (asks, ask_changes)
        keys, sizes, mark = sides[side, 0], sides[side, 1], marks[side]
        for index in range(len(levels) // 2):
            price, size = levels[2 * index], levels[2 * index + 1]
            if price <= 0 or size < 0:
                return MALFORMED, close, 0, 0, 0, 0
            if price > most_price or size > most_size:
                return TOO_LARGE, close, 0, 0, 0, 0
            size *= size_factor
            key = price * price_factor if side == 0 else -price * price_factor
            if key < mark[FLOOR]:
                continue
            least, most = 0, LARGEST
            if len(changes) > 0:
                if abs(changes[index]) > most_size:
                    return TOO_LARGE, close, 0, 0, 0, 0
                least = most = size - changes[index] * size_factor
            where = put(keys, sizes, mark, key, size, least, most, limit)
            if where == WRONG:
                return CHANGED, close, 0, 0, 0, 0
            close |= where == CLOSE
    return GOOD, close, *best(sides, marks)


@kernel
def best(sides, marks):  # type: ignore[no-untyped-def]
    """Price and size of the best bid and of the best ask; zeros for an empty side."""
    bid_count, ask_count = marks[0, COUNT], marks[1, COUNT]
    bid, bid_size, ask, ask_size = 0, 0, 0, 0
    if bid_count > 0:
        bid, bid_size = sides[0, 0, bid_count - 1], sides[0, 1, bid_count - 1]
    if ask_count > 0:
        ask, ask_size = -sides[1, 0, ask_count - 1], sides[1, 1, ask_count - 1]
    return bid, bid_size, ask, ask_size


@kernel
def listed(sides, marks, side):  # type: ignore[no-untyped-def]
    """The levels near the best of a side, best first, as price, size, price, size and so on; and their summed size."""
    count = marks[side, COUNT]
    found = np.empty(2 * min(count, NEAR), np.int64)
    total = 0.0
    for index in range(len(found) // 2):
        found[2 * index] = abs(sides[side, 0, count - 1 - index])
        found[2 * index + 1] = sides[side, 1, count - 1 - index]
        total += float(found[2 * index + 1])
    return found, total


@kernel
def within(sides, marks, side, twice_mid, bps):  # type: ignore[no-untyped-def]
    """The sum of price times size over a side's levels that are at most ``bps`` basis points from the mid."""
    total, index = 0.0, marks[side, COUNT] - 1
    while index >= 0:
        price = abs(float(sides[side, 0, index]))
        if abs(2.0 * price - twice_mid) * 10_000.0 > bps * twice_mid:
            break
        total += price * float(sides[side, 1, index])
        index -= 1
    return total


@kernel
def view(sides, marks, bps):  # type: ignore[no-untyped-def]
    """What there is to say of a book: its near levels, their imbalance, and the quote currency within some distance."""
    bids, bid_total = listed(sides, marks, 0)
    asks, ask_total = listed(sides, marks, 1)
    imbalance, bid_depth, ask_depth = 0.0, 0.0, 0.0
    if bid_total + ask_total > 0.0:
        imbalance = (bid_total - ask_total) / (bid_total + ask_total)
    if len(bids) > 0 and len(asks) > 0:
        twice_mid = float(bids[0]) + float(asks[0])
        bid_depth = within(sides, marks, 0, twice_mid, bps)
        ask_depth = within(sides, marks, 1, twice_mid, bps)
    return bids, asks, imbalance, bid_depth, ask_depth


@kernel
def squeezed(keys: Ints, sizes: Ints) -> NDArray[np.uint8]:
    """Levels in few bytes: steps between keys and sizes, seven bits a byte, the last one of a number below 128."""
    data, length, before = np.empty(20 * len(keys) + 10, np.uint8), 0, np.uint64(0)
    for index in range(len(keys)):
        key = np.uint64(keys[index])
        step = key - before  # modulo 2^64, so that no step is too large
        before = key
        for number in (step, np.uint64(sizes[index])):
            left = number
            while left >= np.uint64(128):
                data[length] = np.uint8(left & np.uint64(127)) | np.uint8(128)
                left >>= np.uint64(7)
                length += 1
            data[length] = np.uint8(left)
            length += 1
    return data[:length]


@kernel
def stretched(data: NDArray[np.uint8], keys: Ints, sizes: Ints) -> int:
    """Fill arrays with what was squeezed; the number of levels."""
    before, number, shift, read = np.uint64(0), np.uint64(0), np.uint64(0), 0
    for byte in data:
        number |= np.uint64(byte & np.uint8(127)) << shift
        shift += np.uint64(7)
        if byte < 128:
            if read % 2 == 0:
                before += number
                keys[read // 2] = np.int64(before)
            else:
                sizes[read // 2] = np.int64(number)
            read += 1
            number, shift = np.uint64(0), np.uint64(0)
    return read // 2
