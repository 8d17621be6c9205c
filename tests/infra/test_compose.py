"""docker-compose.yml: a compose implementation takes it, and it gives nothing away."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from consumers.gateways.extended_keys import ExtendedKeys
from infra.cli import COMMANDS
from infra.settings import Settings
from tests.brokers import REDPANDA
from tests.data import ROOT

PASSWORDS = {
    "TIDEMILL_CLICKHOUSE_PASSWORD": "canary-1",
    "CLICKHOUSE_READER_PASSWORD": "canary-2",
    "GRAFANA_ADMIN_PASSWORD": "canary-3",
}
TRADING = ["merge", "market-maker", "gateway"]
KEYS = {"API_KEY", "STARK_PUBLIC", "STARK_PRIVATE", "VAULT_NUMBER"}
SOURCE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, Any] = yaml.safe_load(SOURCE)["services"]


def resolved(folder: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """What podman-compose makes of the file; it wants to see a podman, though `config` asks nothing of it."""
    podman = folder / "podman"
    podman.write_text("#!/bin/sh\necho podman version 5.0.0\n")
    podman.chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder), **variables}
    command = [
        sys.executable,
        "-m",
        "podman_compose",
        "-f",
        str(ROOT / "docker-compose.yml"),
        "--profile",
        "all",
        "--profile",
        "executor",
        "config",
    ]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_a_compose_implementation_takes_the_file_and_fills_in_the_passwords(tmp_path: Path) -> None:
    done = resolved(tmp_path, **PASSWORDS)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert set(services) == set(SERVICES)
    assert services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"] == "canary-3"


@pytest.mark.parametrize("missing", PASSWORDS)
def test_nothing_starts_without_a_password(missing: str, tmp_path: Path) -> None:
    done = resolved(tmp_path, **{name: value for name, value in PASSWORDS.items() if name != missing})
    assert done.returncode != 0
    assert "set it in .env" in done.stderr + done.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_listens_on_loopback_only_and_says_whether_it_is_healthy(name: str) -> None:
    service = SERVICES[name]
    assert [port for port in service.get("ports", []) if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)] == []
    assert "network_mode" not in service
    assert "healthcheck" in service
    assert {"all", "executor"} & set(service["profiles"])
    if service["healthcheck"] == {"disable": True}:
        assert service["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_is_in_each_of_its_profiles(name: str) -> None:
    service = SERVICES[name]
    for other in service.get("depends_on", {}):
        assert set(service["profiles"]) <= set(SERVICES[other]["profiles"]), other


def test_trading_is_not_part_of_the_whole_and_off_without_keys(tmp_path: Path) -> None:
    assert [name for name, service in SERVICES.items() if "all" not in service["profiles"]] == TRADING
    services = yaml.safe_load(resolved(tmp_path, **PASSWORDS).stdout)["services"]
    given = services["gateway"]["environment"]
    assert (given["TIDEMILL_TRADING_MODE"], given["TRADING_ENABLED"], given["API_KEY"]) == ("paper", "false", "")
    keys = {name: f"canary-{name.lower()}" for name in KEYS}
    services = yaml.safe_load(resolved(tmp_path, **PASSWORDS, **keys).stdout)["services"]
    for name, service in services.items():
        held = {variable for variable, value in service.get("environment", {}).items() if value in keys.values()}
        assert held == (KEYS if name == "gateway" else set()), name


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "gateway"])
def test_a_service_has_no_secret_of_its_own_and_no_trading_key(name: str) -> None:
    for variable, value in SERVICES[name].get("environment", {}).items():
        if re.search("PASS|SECRET|TOKEN|KEY", variable):
            assert re.fullmatch(r"\$\{[A-Z_]+:\?set it in \.env\}", value), variable
        assert not re.search("API_KEY|PRIVATE_KEY|TRADING", variable)


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service["image"] == "tidemill"])
def test_our_services_call_commands_and_settings_that_exist(name: str) -> None:
    commands = {command for group in COMMANDS.values() for command in group}
    assert SERVICES[name]["command"][0] in commands
    known = {f"TIDEMILL_{field.upper()}" for field in Settings.model_fields}
    known |= {field.upper() for field in ExtendedKeys.model_fields}
    assert set(SERVICES[name].get("environment", {})) <= known


def test_images_are_pinned_and_tests_use_the_same_redpanda() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"tidemill"}
    assert [image for image in images if not re.search(r":v?\d+\.\d+", image)] == []
    assert SERVICES["redpanda"]["image"] == REDPANDA


def test_the_example_names_every_variable_and_only_settings() -> None:
    names = set(re.findall(r"^(?:# )?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    assert set(re.findall(r"\$\{([A-Z_]+)", SOURCE)) <= names
    settings = {name.split("__")[0].removeprefix("TIDEMILL_").lower() for name in names if name.startswith("TIDEMILL_")}
    assert settings <= set(Settings.model_fields)


def test_the_image_installs_what_is_locked_by_hash() -> None:
    text = (ROOT / "infra" / "Dockerfile").read_text()
    assert "--require-hashes --requirement requirements.lock" in text
    assert "USER 10001" in text
