"""Recordings that are not part of the repository: ../shared/data beside it, or the folder TIDEMILL_TEST_DATA names."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Where recordings would be."""
    return Path(os.environ.get("TIDEMILL_TEST_DATA") or ROOT.parent / "shared" / "data")


def described() -> str:
    """Where recordings are, for people."""
    return str(folder()) if folder().is_dir() else "none; tests on them are skipped"


def recording(path: str) -> Path:
    """A recording or reference by its path in the folder; skips the test where it is absent."""
    found = folder() / path
    if not found.exists():
        pytest.skip(f"recording {path} is absent: put it into ../shared/data or set TIDEMILL_TEST_DATA")
    return found


def reference(path: str) -> Any:
    """The values in a JSON file of ../shared/data, gzipped or not."""
    data = recording(path).read_bytes()
    return json.loads(gzip.decompress(data) if path.endswith(".gz") else data)
