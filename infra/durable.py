"""Folders and what is renamed in them, kept over a loss of power."""

import os
from pathlib import Path


def make(folder: Path) -> None:
    """Make a folder and its parents so that they survive a loss of power."""
    if folder.is_dir():
        return
    make(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Have what was renamed or removed in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
