"""What the guides in docs/ tell a reader to write works as written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def blocks(guide: str, language: str) -> list[str]:
    """The code blocks of one language in a guide."""
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "docs" / guide).read_text(), re.DOTALL | re.MULTILINE)


def run(*command: str, cwd: Path) -> None:
    done = subprocess.run([sys.executable, *command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_derived_topic_is_one_schema_and_one_file(tmp_path: Path) -> None:
    for folder in ("schemas", "processors"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "tests").mkdir()
    shutil.copytree(ROOT / "tests" / "conformance", tmp_path / "tests" / "conformance")
    for name in ("__init__.py", "book_venue.py", "estimates.py", "minute_bars.py", "raws.py", "streams.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests" / name)
    (tmp_path / "schemas" / "spreads.avsc").write_text(blocks("adding-a-stage.md", "json")[0])
    (tmp_path / "processors" / "spreads.py").write_text(blocks("adding-a-stage.md", "python")[0])

    run("schemas/generate.py", cwd=tmp_path)
    run(
        "-m",
        "pytest",
        "-q",
        "--noconftest",
        "-p",
        "no:cacheprovider",
        "tests/conformance",
        "-k",
        "spreads",
        cwd=tmp_path,
    )


@pytest.mark.parametrize(("place", "name", "lines"), [(0, "okx", "quotes"), (1, "fear_greed", "answers")])
def test_a_feed_is_one_file_and_its_frames(tmp_path: Path, place: int, name: str, lines: str) -> None:
    for folder in ("schemas", "producers", "infra", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "producers" / f"{name}.py").write_text(blocks("adding-a-feed.md", "python")[place])
    (tmp_path / "tests" / "frames" / name).mkdir()
    (tmp_path / "tests" / "frames" / name / f"{lines}.jsonl").write_text(blocks("adding-a-feed.md", "json")[place])

    tests = ["tests/producers/test_frames_of_feeds.py", "tests/producers/test_fuzz.py"]
    run("-m", "pytest", "-q", "--noconftest", "-p", "no:cacheprovider", *tests, "-k", name, cwd=tmp_path)
