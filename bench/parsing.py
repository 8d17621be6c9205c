"""What a frame costs from text to typed record, ours and cryptofeed's handlers side by side on recorded frames.

The recordings lie beside the repository and are no part of it; without them there is nothing to measure. Both sides run
in the peers' venv, in one process, in turns of a few hundred frames (bench/contestants/parsing.py). cryptofeed reads
Binance's aggregated trades only, not ``trade``; and its Coinbase handler reads the Advanced Trade feed, so the recorded
frames of the Exchange feed cannot be put before it.
"""

import gzip
import io
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zstandard

from bench.pipeline import install_peers
from bench.race import PEERS, ROOT

TARGET = 3.0  # times as fast as cryptofeed, per message of a recording
FOLDER = Path(os.environ.get("TIDEMILL_TEST_DATA") or ROOT.parent / "shared" / "data") / "binance"
LEAST = 60  # frames of a kind that are worth measuring
KINDS = {"bookTicker": "best quotes", "depth": "book diffs", "aggTrade": "trades", "kline": "bars"}


class Work(NamedTuple):
    """Frames of one kind from one recording, with what the handlers need to know."""

    recording: str
    kind: str
    venue: str
    snapshots: dict[str, bytes]  # by symbol
    frames: list[tuple[int, str]]  # ns of receipt, text


def main(runs: int) -> bool:
    """Print ns a message of both; whether ours reached the target over each recording as a whole."""
    if not FOLDER.is_dir():
        print(f"\nparsing: no recordings in {FOLDER}, nothing to measure")
        return True
    install_peers()
    works = [*_of_cryptofeed("binance"), *_of_cryptofeed("binance_futures")]
    works += [*_of_hftbacktest("binance", "spot_btcusdt"), *_of_hftbacktest("binance_futures", "usdm_ethusdt")]
    with tempfile.TemporaryDirectory(prefix="tidemill-bench-") as folder:
        file = Path(folder, "works")
        file.write_bytes(msgspec.msgpack.encode(works))
        command = [str(PEERS), "-m", "bench.contestants.parsing", str(file), str(runs)]
        lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    print(f"\n{'parsing, ns a message':42}{'frames':>8}{'cryptofeed':>12}{'ours':>8}{'ratio':>8}")
    spent: dict[str, list[tuple[int, float, float]]] = {}
    for work, (theirs, ours, ratio) in zip(works, map(json.loads, lines), strict=True):
        _print(f"{work.recording}: {work.kind}", len(work.frames), theirs, ours, ratio)
        spent.setdefault(work.recording, []).append((len(work.frames), theirs, ours))
    reached = True
    for recording, parts in spent.items():
        frames = sum(count for count, *_ in parts)
        theirs, ours = (sum(part[0] * part[side] for part in parts) / frames for side in (1, 2))
        _print(f"{recording}: all of them", frames, theirs, ours, theirs / ours)
        reached &= theirs / ours >= TARGET
    return reached


def _print(title: str, frames: int, theirs: float, ours: float, ratio: float) -> None:
    print(f"{title:42}{frames:8,}{theirs:12,.0f}{ours:8,.0f}{ratio:8.1f}")


def _of_cryptofeed(venue: str) -> list[Work]:
    replies = gzip.decompress((FOLDER / f"cryptofeed_{venue}_http_0_0.txt.gz").read_bytes()).decode().splitlines()
    snapshots: dict[str, bytes] = {}
    for url, _, rest in (line.partition(" -> ") for line in replies if line):
        snapshots[url.partition("symbol=")[2].partition("&")[0]] = rest.partition(": ")[2].encode()
    lines = [json.loads(line) for line in _lines(f"cryptofeed_{venue}_ws.jsonl.zst")]
    frames = [(int(line["recv"] * 1e9), json.dumps(line["msg"], separators=(",", ":"))) for line in lines]
    return _by_kind(f"{venue}, 4 symbols", venue, snapshots, frames)


def _of_hftbacktest(venue: str, name: str) -> list[Work]:
    lines = [line.decode().rstrip().partition(" ") for line in _lines(f"hftbacktest_{name}_20240808.txt.zst")]
    frames = [(int(received), text.replace("@depth@0ms", "@depth@100ms")) for received, _, text in lines]
    symbol = name.partition("_")[2].upper()
    snapshot = next(text for _, text in frames if text.startswith('{"lastUpdateId"'))
    return _by_kind(f"{venue}, {symbol}", venue, {symbol: snapshot.encode()}, frames)


def _by_kind(recording: str, venue: str, snapshots: dict[str, bytes], frames: list[tuple[int, str]]) -> list[Work]:
    """Works of one kind each; diffs that a snapshot covers are left out."""
    last = {symbol: json.loads(body)["lastUpdateId"] for symbol, body in snapshots.items()}
    found: dict[str, list[tuple[int, str]]] = {kind: [] for kind in KINDS}
    for received_ns, text in frames:
        message: Any = json.loads(text)
        kind = message.get("stream", "").partition("@")[2].partition("@")[0].partition("_")[0]
        covered = kind == "depth" and message["data"]["u"] <= last[message["data"]["s"]]
        if kind in found and not covered:
            found[kind].append((received_ns, text))
    return [
        Work(recording, KINDS[kind], venue, snapshots, chosen) for kind, chosen in found.items() if len(chosen) >= LEAST
    ]


def _lines(name: str) -> list[bytes]:
    with (FOLDER / name).open("rb") as file:
        return io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)).readlines()
