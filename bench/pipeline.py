"""Ticks to buckets to averages to jump losses on Kafka: our worker beside its peers.

Plain Faust, Quix Streams, Bytewax, a bare loop, and the mere fetching of bytes as the limit: on one broker, in one run,
one after the other in turns, every output checked. A figure is ticks per second from the first fetched value in a
contestant's hands to the broker's append of its last output.
"""

import hashlib
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.arena import Arena
from bench.race import PEERS, ROOT, Contestant, Failed, run
from bench.workload import workload
from infra.local import LocalKafka

FAUST = ("worker", "-l", "warn", "--without-web")
OURS = "our Faust worker"
SHARES = {"large": 1.0, "medium": 0.25, "small": 0.05}  # of the ticks asked for; slow contestants get fewer
TARGETS = {
    "plain Faust agent": 30.0,
    "Quix, RocksDB + changelog": 3.0,
    "Bytewax, keyed state": 1.0,
    "bare loop, tuned": 0.6,
}


def contestants() -> list[Contestant]:
    """Everyone, in the order in which they run."""
    return [
        Contestant(OURS, "our_worker"),
        Contestant("plain Faust agent", "plain_faust", FAUST, size="small"),
        Contestant("Quix, RocksDB + changelog", "quix", size="medium", peer=True),
        Contestant("Quix, state in memory", "quix", ("memory",), size="medium", peer=True),
        Contestant("Bytewax, keyed state", "bytewax_flow", size="medium", peer=True),
        Contestant("Bytewax, flat_map_batch", "bytewax_flow", ("batch",), size="medium", peer=True),
        Contestant("bare loop, tuned", "bare_loop"),
        Contestant("bytes only", "bytes_only", outputs=False),
    ]


def main(ticks: int, runs: int, only: Sequence[str] = ()) -> bool:
    """Run and print everything; says whether everyone gave right outputs and our worker met the targets."""
    chosen = [item for item in contestants() if not only or any(word in item.name for word in (OURS, *only))]
    if any(item.peer for item in chosen):
        install_peers()
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        kafka = LocalKafka(Path(folder))
        kafka.start()
        try:
            sizes = [size for size in SHARES if any(item.size == size for item in chosen)]
            arenas = {size: Arena(kafka.address, f"{size}-", workload(int(ticks * SHARES[size]))) for size in sizes}
            _race(chosen, arenas, runs)
        finally:
            kafka.stop()
    return _report(chosen, arenas)


def install_peers() -> None:
    """Put the peers into their venv, unless they are there as the lock has them."""
    lock = ROOT / "bench" / "requirements.txt"
    stamp = PEERS.parent.parent / "installed"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    uv = [sys.executable, "-m", "uv"]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    subprocess.run([*uv, "venv", "-q", "--clear", "--python", version, str(PEERS.parent.parent)], check=True)
    install = [*uv, "pip", "install", "-q", "--compile-bytecode", "--require-hashes", "-r", str(lock)]
    subprocess.run([*install, "--python", str(PEERS)], check=True)
    stamp.write_text(digest)


def _race(chosen: list[Contestant], arenas: dict[str, Arena], runs: int) -> None:
    """Everyone in turn, ``runs`` times, after a round that does not count."""
    for number in range(runs + 1):
        for contestant in chosen:
            if contestant.failure:
                continue
            try:
                rate = run(contestant, arenas[contestant.size])
            except Failed as failed:
                contestant.failure = str(failed)
                print(f"{contestant.name}: {failed}", flush=True)
                continue
            if number:
                contestant.rates.append(rate)
            print(f"{f'run {number}' if number else 'warm-up'}: {contestant.name} {rate:,.0f} ticks/s", flush=True)


def _report(chosen: list[Contestant], arenas: dict[str, Arena]) -> bool:
    medians = {item.name: statistics.median(item.rates) for item in chosen if item.rates and not item.failure}
    ours = medians.get(OURS)
    met = ours is not None
    print(f"\n{'contestant':27}{'ticks/s':>11}  {'min – max':>21}{'ours / it':>11}{'target':>9}  outputs checked")
    for item in chosen:
        if item.name not in medians:
            print(f"{item.name:27}{'failed':>11}")
            met = False
            continue
        ratio = ours / medians[item.name] if ours else float("nan")
        target = TARGETS.get(item.name)
        met &= target is None or ratio >= target
        spread = f"{min(item.rates):,.0f} – {max(item.rates):,.0f}"
        wanted = f"≥ {target:g}" if target else ""
        checked = (
            f"{arenas[item.size].outputs:,} of {arenas[item.size].work.ticks:,} ticks" if item.outputs else "none made"
        )
        print(f"{item.name:27}{medians[item.name]:11,.0f}  {spread:>21}{ratio:11.2f}{wanted:>9}  {checked}")
    return met
