"""Numbers that no two orders share: a counter in a file, kept over every kind of end.

It starts at the current second and rises by one. Numbers are taken in blocks: the end of a block is on the disk before
its first number is given away, so that a process killed at any moment leaves a gap and never a repeat. The file is
locked for as long as the counter lives: two gateways cannot draw from one account's numbers.
"""

import fcntl
import os
import time
from pathlib import Path

from infra.errors import UserError

BLOCK = 100
MOST = 2**31  # what Extended takes
DIGITS = 20  # the file has one length always, so that it is overwritten in one piece


class Nonces:
    """A persistent counter; made anew it goes on above all that was given away before.

    Raises:
        UserError: another process holds it, or the file holds no number.

    """

    def __init__(self, path: Path, now_s: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise UserError(f"another gateway is running with this account ({path} is locked)") from None
        text = os.pread(self._file, 100, 0).strip()
        if text and not text.isdigit():
            raise UserError(f"{path} should hold one whole number, not {text[:50]!r}")
        self._next = self._end = max(int(text or b"0"), int(time.time()) if now_s is None else now_s)

    def take(self) -> int:
        """A number that was never given away before.

        Raises:
            UserError: there are none left.

        """
        if self._next > MOST:
            raise UserError(f"no nonce left: the next would be {self._next}, and the venue takes {MOST} at most")
        if self._next >= self._end:
            self._end = self._next + BLOCK
            os.pwrite(self._file, f"{self._end:0{DIGITS}d}\n".encode(), 0)
            os.fsync(self._file)
        self._next += 1
        return self._next - 1

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._file)
