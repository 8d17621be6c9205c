"""The counter of orders: it starts at the second, rises, and repeats nothing whatever kills its process."""

import subprocess
import sys
from pathlib import Path

import pytest

from consumers.gateways.nonces import BLOCK, MOST, Nonces
from infra.errors import UserError
from tests.data import ROOT

DRAW = """
import sys
from pathlib import Path
from consumers.gateways.nonces import Nonces
nonces = Nonces(Path(sys.argv[1]), 1_000)
while True:
    print(nonces.take(), flush=True)
"""


def test_it_starts_at_the_current_second_and_rises_by_one(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path / "nonce", 1_700_000_000)
    assert [nonces.take() for _ in range(3 * BLOCK)] == list(range(1_700_000_000, 1_700_000_000 + 3 * BLOCK))


def test_nothing_repeats_over_kills(tmp_path: Path) -> None:
    drawn: list[int] = []
    for least in (1, 150, 2, 333):
        process = subprocess.Popen(
            [sys.executable, "-c", DRAW, str(tmp_path / "nonce")], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        drawn += [int(process.stdout.readline()) for _ in range(least)]
        process.kill()
        drawn += [int(line) for line in process.stdout.read().split("\n")[:-1]]
        process.wait()
    assert drawn == sorted(set(drawn))
    assert len(drawn) >= 486


def test_a_clock_that_went_back_repeats_nothing(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path / "nonce", 2_000)
    last = [nonces.take() for _ in range(5)][-1]
    nonces.close()
    assert Nonces(tmp_path / "nonce", 1_000).take() > last


def test_two_cannot_hold_one_file(tmp_path: Path) -> None:
    held = Nonces(tmp_path / "nonce", 1)
    with pytest.raises(UserError, match="another gateway is running"):
        Nonces(tmp_path / "nonce", 1)
    held.close()
    assert Nonces(tmp_path / "nonce", 1).take() == 1


def test_a_file_that_holds_no_number_and_an_end_of_numbers_are_told(tmp_path: Path) -> None:
    (tmp_path / "nonce").write_text("twelve")
    with pytest.raises(UserError, match="should hold one whole number, not b'twelve'"):
        Nonces(tmp_path / "nonce")
    nonces = Nonces(tmp_path / "other", MOST)
    assert nonces.take() == MOST
    with pytest.raises(UserError, match="no nonce left"):
        nonces.take()
