"""Compiled loops between Avro bodies and columns, driven by a ``Layout``.

A loop flags what is not plainly right and never explains: the flagged rows go to fastavro and ``Checks``, whose
verdict counts. Each row is read within its own bounds, so a broken one cannot shift the next.
Longs are zigzag varints, doubles eight bytes little-endian, text a length as a long and its bytes.
"""

import numpy as np
from numpy.typing import NDArray

from schemas.jit import kernel
from schemas.layout import ANY, BOOLEAN, DOUBLE, LONG, NON_NEGATIVE, POSITIVE, TEXT
from schemas.pieces import Ints

Bytes = NDArray[np.uint8]


@kernel
def schema_ids(buffer: Bytes, starts: Ints, ends: Ints) -> Ints:
    """The schema id at the front of each value, -1 where it has no header."""
    ids = np.full(len(starts), -1, np.int64)
    for row in range(len(starts)):
        start = starts[row]
        if ends[row] - start >= 5 and buffer[start] == 0:
            number = np.int64(0)
            for index in range(1, 5):
                number = number << 8 | np.int64(buffer[start + index])
            ids[row] = number
    return ids


@kernel
def unpack(
    buffer: Bytes, starts: Ints, ends: Ints, kinds: Ints, rules: Ints, slots: Ints, counts: Ints
) -> tuple[Ints, NDArray[np.float64], NDArray[np.bool_], Ints, Ints, NDArray[np.bool_]]:
    """Longs, doubles, booleans, starts and lengths of texts (a line for each field) and which rows are bad."""
    rows = len(starts)
    longs = np.zeros((counts[LONG], rows), np.int64)
    bits = np.zeros((counts[DOUBLE], rows), np.uint64)
    doubles = bits.view(np.float64)
    booleans = np.zeros((counts[BOOLEAN], rows), np.bool_)
    text_starts = np.zeros((counts[TEXT], rows), np.int64)
    text_lengths = np.zeros((counts[TEXT], rows), np.int64)
    bad = np.zeros(rows, np.bool_)
    for row in range(rows):
        place, end, good = starts[row], ends[row], True
        for field in range(len(kinds)):
            kind, rule, slot = kinds[field], rules[field], slots[field]
            if kind == DOUBLE:
                if place + 8 > end:
                    good = False
                    break
                word = np.uint64(0)
                for index in range(8):
                    word |= np.uint64(buffer[place + index]) << np.uint64(8 * index)
                place += 8
                bits[slot, row] = word
                number = doubles[slot, row]
                good = bool(
                    abs(number) < np.inf and (rule == ANY or number > 0.0 or (rule == NON_NEGATIVE and number == 0.0))
                )
            elif kind == BOOLEAN:
                good = bool(place < end and buffer[place] <= 1)
                if good:
                    booleans[slot, row] = buffer[place] == 1
                    place += 1
            else:
                word, shift, more = np.uint64(0), np.uint64(0), True
                while more and place < end and shift < 64:
                    byte = np.uint64(buffer[place])
                    place += 1
                    if shift == 63 and byte > 1:
                        break
                    word |= (byte & np.uint64(127)) << shift
                    shift += np.uint64(7)
                    more = bool(byte >= 128)
                value = np.int64(word >> np.uint64(1)) ^ -np.int64(word & np.uint64(1))
                good = not more
                if kind == LONG:
                    longs[slot, row] = value
                    good = good and bool(rule == ANY or value > 0 or (rule == NON_NEGATIVE and value == 0))
                elif good and 0 <= value <= end - place:
                    text_starts[slot, row] = place
                    text_lengths[slot, row] = value
                    place += value
                else:
                    good = False
            if not good:
                break
        bad[row] = not good or place != end
    return longs, doubles, booleans, text_starts, text_lengths, bad


@kernel
def distinct(buffer: Bytes, starts: Ints, lengths: Ints) -> tuple[NDArray[np.int32], Ints]:
    """For each text the number of its first equal, counted over different texts; and the row of each first."""
    rows = len(starts)
    size = 4
    while size < 2 * rows:
        size *= 2
    table = np.full(size, -1, np.int64)
    codes = np.empty(rows, np.int32)
    firsts = np.empty(rows, np.int64)
    count = 0
    for row in range(rows):
        start, length = starts[row], lengths[row]
        mixed = np.uint64(14695981039346656037)
        for index in range(start, start + length):
            mixed = (mixed ^ np.uint64(buffer[index])) * np.uint64(1099511628211)
        slot = np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(size - 1))
        while True:
            code = table[slot]
            if code < 0:
                table[slot] = codes[row] = count
                firsts[count] = row
                count += 1
                break
            other = starts[firsts[code]]
            same = lengths[firsts[code]] == length
            for index in range(length if same else 0):
                if buffer[start + index] != buffer[other + index]:
                    same = False
                    break
            if same:
                codes[row] = code
                break
            slot = (slot + 1) & (size - 1)
    return codes, firsts[:count].copy()


@kernel
def pack(
    header: Bytes,
    longs: Ints,
    doubles: NDArray[np.float64],
    booleans: NDArray[np.bool_],
    text: Bytes,
    text_starts: Ints,
    text_lengths: Ints,
    kinds: Ints,
    rules: Ints,
    slots: Ints,
    counts: Ints,
    rows: int,
) -> tuple[Bytes, Ints, bool]:
    """The framed records end to end, where each ends, and whether every value passed its check."""
    fixed = len(header) + 10 * (counts[LONG] + counts[TEXT]) + 8 * counts[DOUBLE] + counts[BOOLEAN]
    out = np.empty(rows * fixed + text_lengths.sum(), np.uint8)
    ends = np.empty(rows, np.int64)
    bits = doubles.view(np.uint64)
    place = 0
    for row in range(rows):
        for index in range(len(header)):
            out[place] = header[index]
            place += 1
        for field in range(len(kinds)):
            kind, rule, slot = kinds[field], rules[field], slots[field]
            if kind == DOUBLE:
                number = doubles[slot, row]
                if not (abs(number) < np.inf) or (rule == POSITIVE and number <= 0.0):
                    return out, ends, False
                if rule == NON_NEGATIVE and number < 0.0:
                    return out, ends, False
                word = bits[slot, row]
                for _ in range(8):
                    out[place] = np.uint8(word & np.uint64(255))
                    word >>= np.uint64(8)
                    place += 1
                continue
            if kind == BOOLEAN:
                out[place] = 1 if booleans[slot, row] else 0
                place += 1
                continue
            value = longs[slot, row] if kind == LONG else text_lengths[slot, row]
            if (rule == POSITIVE and value <= 0) or (rule == NON_NEGATIVE and value < 0):
                return out, ends, False
            word = np.uint64((value << 1) ^ (value >> 63))
            while word >= 128:
                out[place] = np.uint8((word & np.uint64(127)) | np.uint64(128))
                word >>= np.uint64(7)
                place += 1
            out[place] = np.uint8(word)
            place += 1
            if kind == TEXT:
                start = text_starts[slot, row]
                for index in range(start, start + value):
                    out[place] = text[index]
                    place += 1
        ends[row] = place
    return out, ends, True


@kernel
def decimals(front: Bytes, left: Ints, mark: int, right: Ints) -> tuple[Bytes, Ints, Ints]:
    """For each pair of natural numbers ``front``, their digits and ``mark`` between: end to end, starts and ends."""
    rows = len(left)
    most = len(front) + 2 * 19 + 1
    out = np.empty(rows * most, np.uint8)
    starts = np.empty(rows, np.int64)
    ends = np.empty(rows, np.int64)
    place = 0
    for row in range(rows):
        starts[row] = place
        for index in range(len(front)):
            out[place] = front[index]
            place += 1
        for side in range(2):
            number = left[row] if side == 0 else right[row]
            size, rest = 1, number // 10
            while rest > 0:
                size += 1
                rest //= 10
            for index in range(size):
                out[place + size - 1 - index] = np.uint8(48 + number % 10)
                number //= 10
            place += size
            if side == 0:
                out[place] = mark
                place += 1
        ends[row] = place
    return out[:place], starts, ends
