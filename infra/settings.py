"""Every setting of Tidemill, from TIDEMILL_* in the environment, from .env, or from a folder of secret files.

An argument wins over the environment, that over .env, that over a secret file (``TIDEMILL_SECRETS_DIR``, by default
/run/secrets where it exists: one file for each secret, named as the variable is). ``__`` goes into a group:
``TIDEMILL_STAGES__BUCKETS__WIDTH_MS=200``. A name with the prefix that is no setting is refused;
``TIDEMILL_TEST_*`` belongs to the tests.
"""

import os
import re
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from infra.errors import UserError

__all__ = ["Settings", "UserError", "load_settings"]

PREFIX = "TIDEMILL_"
NOT_SETTINGS = (f"{PREFIX}TEST_", f"{PREFIX}SECRETS_DIR", f"{PREFIX}DEBUG")
SECRETS_DIR = Path("/run/secrets")


class Settings(BaseSettings):
    """Settings of every process; made by :func:`load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=".env",
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        validate_default=True,
    )

    brokers: str = Field("127.0.0.1:9092", description="Kafka brokers to start from: host:port, comma between them.")
    topic_prefix: str = Field("", description="Put before every topic name, so that set-ups can share a broker.")
    partitions: int | None = Field(None, ge=1, description="Partitions of every topic; unset: as the catalogue says.")
    replication_factor: int = Field(1, ge=1, description="Copies of every topic that a broker cluster keeps.")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How brokers are spoken to."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-256", description="How we say who we are; used with the SASL protocols."
    )
    sasl_username: str = Field("", description="Kafka user; needed with the SASL protocols.")
    sasl_password: SecretStr | None = Field(None, description="Kafka password; needed with the SASL protocols.")
    ssl_ca_location: Path | None = Field(None, description="Certificate authorities for SSL; unset: the system's.")

    group: str = Field("tidemill", min_length=1, description="Consumer group of the workers; others add to its name.")
    worker_id: str = Field(
        "", description="Name of this worker among its group's, kept over restarts, so that it resumes without delay."
    )
    session_timeout_ms: int = Field(
        6_000, ge=1_000, description="Silence after which a member of a group is taken for dead, in ms."
    )

    schema_registry_url: str | None = Field(None, description="Schema registry; unset: the ids of schemas/history.")
    schema_registry_user: str = Field("", description="User at the schema registry, where it asks for one.")
    schema_registry_password: SecretStr | None = Field(None, description="Password at the schema registry.")

    clickhouse_dsn: str | None = Field(
        None, description="http(s):// or clickhouse(s):// of a server; unset: embedded, in history under data_dir."
    )
    clickhouse_user: str = Field("default", description="User at the ClickHouse server.")
    clickhouse_password: SecretStr | None = Field(None, description="Password at the ClickHouse server.")

    pyth_key: SecretStr | None = Field(None, description="Key of Pyth, for its prices and their history.")
    polymarket_api_key: SecretStr | None = Field(None, description="Key of Polymarket's CLOB, for its price stream.")
    polymarket_api_secret: SecretStr | None = Field(None, description="Secret that belongs to the key.")
    polymarket_api_passphrase: SecretStr | None = Field(None, description="Passphrase that belongs to the key.")

    clock_interval_ms: int = Field(100, ge=1, description="Time between two clock records, in ms.")
    checkpoint_interval_ms: int = Field(1_000, ge=1, description="Time between two checkpoints of a worker, in ms.")
    max_batch: int = Field(10_000, ge=1, description="Records of a partition that a worker takes at once, at most.")
    watchdog_s: float = Field(
        60.0,
        gt=0,
        description="Time without progress, though there are records to read, after which a worker ends, in s.",
    )
    accept_loss: bool = Field(
        False, description="Go on where a log no longer holds what comes after a checkpoint, leaving out what it lacks."
    )
    stages: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Options of stages by stage and option, e.g. STAGES__BUCKETS__WIDTH_MS."
    )

    synth_state_dir: Path = Field(
        Path("state"), description="Folder of the states that forecasts for Synth start from."
    )
    synth_stale_after_s: float = Field(
        300.0, gt=0, description="Age of such a state's last bar from which on it is stale, in s."
    )
    synth_stale: Literal["refuse", "widen"] = Field(
        "refuse", description="Refuse to forecast from a stale state, or widen the forecast by the time that passed."
    )

    trading_mode: Literal["paper", "live"] = Field(
        "paper", description="Whether a gateway may reach a venue; live also needs TRADING_ENABLED and keys."
    )

    data_dir: Path = Field(Path(".tidemill"), description="Folder of the embedded history and of the local broker.")
    compact_after_h: int = Field(
        2, ge=0, description="Hours after a day's end (UTC) at which the archive puts its files together; 0: never."
    )
    metrics_port: int = Field(0, ge=0, le=65_535, description="Port of the Prometheus metrics; 0: none.")
    metrics_host: str = Field("127.0.0.1", description="Address that the metrics listen on.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level that is logged.")
    log_format: Literal["console", "json"] = Field("console", description="Logs for people or for machines.")

    @property
    def history_dsn(self) -> str:
        """Where the history is: the server's DSN, else the embedded database's."""
        return self.clickhouse_dsn or f"chdb:///{(self.data_dir / 'history').resolve()}"

    def secrets(self) -> list[str]:
        """The value of every secret that is set: what a log must never show."""
        values: list[SecretStr | None] = [getattr(self, name) for name in sorted(SECRETS)]
        return [value.get_secret_value() for value in values if value is not None and value.get_secret_value()]

    @field_validator("brokers")
    @classmethod
    def _check_brokers(cls, value: str) -> str:
        for broker in value.split(","):
            port = re.fullmatch(r"[^\s:/]+:(\d{1,5})|\[[0-9a-fA-F:]+\]:(\d{1,5})", broker.strip())
            if port is None or not 0 < int(port[1] or port[2]) < 65_536:
                raise ValueError("expected host:port, comma between several")
        return value

    @field_validator("topic_prefix")
    @classmethod
    def _check_prefix(cls, value: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,150}", value):
            raise ValueError("expected at most 150 letters, digits, dots, dashes and underscores")
        return value

    @field_validator("clickhouse_dsn", "schema_registry_url")
    @classmethod
    def _check_url(cls, value: str | None) -> str | None:
        if value is None or value == "":
            return None
        if "://" not in value:
            raise ValueError("expected an address like http://host:port")
        if re.match(r"[^/]*//[^/@]*:[^/@]*@", value):
            raise ValueError("expected no password in the address: it has a setting of its own")
        return value

    @model_validator(mode="after")
    def _check_login(self) -> "Settings":
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(f"security_protocol {self.security_protocol} needs sasl_username and sasl_password")
        return self


SECRETS = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
NEVER_SHOWN = SECRETS | {"clickhouse_dsn", "schema_registry_url"}  # a user may have put a password into an address


def load_settings(*, env_file: str | Path | None = ".env", **overrides: Any) -> Settings:
    """Read the settings; ``overrides`` win over all else.

    Raises:
        UserError: a value is wrong or a name is no setting; tells the field, the value (never a secret's) and what was
            expected.

    """
    _refuse_unknown(overrides, env_file)
    folder = Path(os.environ.get(f"{PREFIX}SECRETS_DIR", SECRETS_DIR))
    try:
        places: dict[str, Any] = {"_env_file": env_file, "_secrets_dir": folder if folder.is_dir() else None}
        return Settings(**places, **overrides)
    except ValidationError as error:
        raise UserError("\n".join(map(_explain, error.errors()))) from None
    except ValueError as error:  # a group given as something that is not JSON
        raise UserError(f"settings: {error}") from None


def _refuse_unknown(overrides: dict[str, Any], env_file: str | Path | None) -> None:
    places: list[tuple[str, list[str]]] = [("the environment", list(os.environ))]
    if env_file is not None and Path(env_file).is_file():
        places.append((str(env_file), list(dotenv_values(env_file))))
    for place, names in places:
        for name in names:
            upper = name.upper()
            if not upper.startswith(PREFIX) or upper.startswith(NOT_SETTINGS):
                continue
            if upper.removeprefix(PREFIX).lower().split("__")[0] not in Settings.model_fields:
                raise UserError(f"{name} in {place} is not a setting")
    for name in overrides:
        if name not in Settings.model_fields:
            raise UserError(f"{name} is not a setting")


def _explain(error: Any) -> str:
    name = ".".join(map(str, error["loc"]))
    expected = error["msg"].removeprefix("Value error, ")
    if not name:
        return f"settings: {expected}"
    value = "a value that is not shown" if error["loc"][0] in NEVER_SHOWN else repr(error["input"])
    return f"{name} ({PREFIX}{name.replace('.', '__').upper()}): {value}: {expected}"
