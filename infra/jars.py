"""The jars of the local Kafka broker: resolved by Maven from infra/broker/pom.xml once, kept in the user's cache."""

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.errors import UserError

POM = Path(__file__).parent / "broker" / "pom.xml"
LEAST_JAVA = 17
INSTEAD = "or set TIDEMILL_BROKERS to a broker that runs elsewhere (docker compose up redpanda)"


def java() -> str:
    """The java program.

    Raises:
        UserError: there is none, or it is too old for Kafka.

    """
    home = os.environ.get("JAVA_HOME")
    program = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if program is None:
        raise UserError(f"the local broker needs Java {LEAST_JAVA} or newer: install it, {INSTEAD}")
    told = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(?:1\.)?(\d+)', told)
    if version is None or int(version[1]) < LEAST_JAVA:
        found = version[1] if version else told.strip() or "none that runs"
        raise UserError(f"the local broker needs Java {LEAST_JAVA} or newer, found {found}: install it, {INSTEAD}")
    return program


def jars() -> Path:
    """The folder with the broker's jars; the first call has Maven fetch them.

    Raises:
        UserError: Maven is missing or fails.

    """
    folder = _cache() / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    if not folder.is_dir():
        _fetch(folder)
    return folder


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill"


def _fetch(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise UserError(f"the local broker's jars are fetched by Maven, and mvn is missing: install it, {INSTEAD}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.with_suffix(".log")
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary, log.open("wb") as output:
        fetched = Path(temporary) / "jars"
        command = [maven, "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
        if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
            raise UserError(f"Maven could not fetch the local broker's jars; its output is in {log}")
        try:
            fetched.rename(folder)
        except OSError:  # another process was faster
            if not folder.is_dir():
                raise
