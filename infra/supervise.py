"""Runs one program and lets it outlive nobody: stand-alone, for ``python -P infra/supervise.py OPTIONS -- PROGRAM``.

With ``--tied`` the program ends when the standard input closes, as it does whatever way the parent ends, kill -9
included. Without, it runs until SIGTERM. With ``--restart`` a program that ends by itself is started again after a
pause that doubles up to 30 s. The kernel is asked to end the program with this process where it can be asked (Linux).

``--lock FILE`` holds a lock on the file, with our process id in it; ``--child FILE`` is given the program's process id.
Exits with 3 where the lock is taken.
"""

import argparse
import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

LOCK_TAKEN = 3
PR_SET_PDEATHSIG = 1
GRACE_S = 15.0
LONGEST_PAUSE_S = 30.0
LIBC = ctypes.CDLL(None)


def main() -> int:
    """Run the program named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--child", type=Path, required=True)
    parser.add_argument("--tied", action="store_true")
    parser.add_argument("--restart", action="store_true")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args()
    lock = options.lock.open("a+")
    if not _take(lock):
        return LOCK_TAKEN
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    if options.tied:
        threading.Thread(target=_wait_for_parent, args=(over,), daemon=True).start()
    return _run(options.program, options.child, options.restart, over)


def _take(lock: IO[str]) -> bool:
    for _ in range(20):  # who only looks whether it is taken holds it for a moment
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            time.sleep(0.05)
    return False


def _wait_for_parent(over: threading.Event) -> None:
    while sys.stdin.buffer.read(4_096):
        pass
    over.set()


def _run(program: list[str], child: Path, restart: bool, over: threading.Event) -> int:
    pause_s = 1.0
    while True:
        began = time.monotonic()
        process = subprocess.Popen(program, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509
        child.write_text(str(process.pid))
        while not over.wait(0.1) and process.poll() is None:
            pass
        if over.is_set():
            return _end(process)
        print(f"{time.strftime('%FT%TZ', time.gmtime())} the program ended with {process.returncode}", file=sys.stderr)
        if not restart:
            return process.returncode
        if time.monotonic() - began > 60.0:
            pause_s = 1.0
        over.wait(pause_s)
        pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)


def _end(process: "subprocess.Popen[bytes]") -> int:
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 0


def _die_with_parent() -> None:
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
