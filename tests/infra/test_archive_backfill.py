"""Back-filled records lie in the archive's format, an instrument apart, and come out the same when done again."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from infra.archive_backfill import batch, keep, kept, kinds, root_of
from schemas import Trade
from schemas.batch import Batch
from schemas.columns import Column


def trades(first: int, count: int, instrument: str = "binance:ETH/USDT") -> Batch:
    ids = np.arange(first, first + count)
    text = {"side": pl.Series(["buy"] * count)}
    columns: dict[str, Column] = {
        name: text.get(name, ids * 10**6 if name.endswith("_ns") else ids)
        for name in Trade.__struct_fields__
        if name != "instrument"
    }
    return batch(Trade, instrument, "trades", ids, columns)


def test_a_backfill_that_goes_on_sees_what_is_done(tmp_path: Path) -> None:
    root = root_of(tmp_path, "binance:ETH/USDT", "trades")
    assert kept(root, Trade) == []
    for first in (10, 0):
        keep(root, trades(first, 10), "1970-01-01")
    assert [(piece.first, piece.last) for piece in kept(root, Trade)] == [(0, 9), (10, 19)]
    assert list(kinds(tmp_path)) == [("binance:ETH/USDT", "trades")]


def test_done_again_it_gives_the_same_bytes(tmp_path: Path) -> None:
    path = keep(tmp_path, trades(5, 1_000), "1970-01-01")
    before = path.read_bytes()
    assert keep(tmp_path, trades(5, 1_000), "1970-01-01").read_bytes() == before


@pytest.mark.parametrize("symbol", ["../../../x", "..", ".", "/etc"])
def test_no_symbol_leaves_its_folder(tmp_path: Path, symbol: str) -> None:
    root = root_of(tmp_path, f"binance:{symbol}", "trades")
    assert root.resolve().parent.parent == (tmp_path / "backfill" / "binance").resolve()
