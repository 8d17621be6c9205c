"""The keys of an Extended account, and whether they may be used: named as the vendor's users name them.

They come from the environment, from .env or from a folder of secret files, and from nowhere else; never from a command
line, where others can read them. Trading is off until three things are given: TIDEMILL_TRADING_MODE=live,
TRADING_ENABLED=true, and every key.
"""

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from consumers.gateways.extended_signing import public_key
from infra.errors import UserError
from infra.settings import PREFIX, SECRETS_DIR, Settings

FIELD_PRIME = 2**251 + 17 * 2**192 + 1


class ExtendedKeys(BaseSettings):
    """An account's keys; made by :func:`load_keys`."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    trading_enabled: bool = Field(False, description="Whether orders may be placed with real money.")
    api_key: SecretStr | None = Field(None, description="Key of the account's REST interface.")
    stark_public: str | None = Field(None, description="Public Stark key, hexadecimal.")
    stark_private: SecretStr | None = Field(None, description="Private Stark key, hexadecimal: signs orders.")
    vault_number: int | None = Field(None, ge=0, description="Vault, which is the position's id.")
    extended_env: Literal["mainnet", "testnet"] = Field("mainnet", description="Which Extended.")

    @property
    def complete(self) -> bool:
        """Whether every key is given."""
        return not self.missing()

    def missing(self) -> list[str]:
        """The keys that are not given."""
        needed = ("api_key", "stark_public", "stark_private", "vault_number")
        return [name.upper() for name in needed if getattr(self, name) in (None, "", SecretStr(""))]

    def secrets(self) -> list[str]:
        """What no log may show: the secrets, and the private key in the other ways of writing it."""
        shown = [secret.get_secret_value() for secret in (self.api_key, self.stark_private) if secret is not None]
        if self.stark_private is not None and self.complete:
            number = self.private_key()
            shown += [f"{number:x}", f"{number:X}", str(number)]
        return [value for value in shown if value]

    def private_key(self) -> int:
        """The private key as a number.

        Raises:
            UserError: it is none, or not the one that STARK_PUBLIC belongs to.

        """
        assert self.stark_private is not None
        number = _number("STARK_PRIVATE", self.stark_private.get_secret_value())
        if public_key(number) != _number("STARK_PUBLIC", self.stark_public or ""):
            raise UserError("STARK_PUBLIC is not the public key of STARK_PRIVATE")
        return number


def load_keys(env_file: Path | None = Path(".env")) -> ExtendedKeys:
    """Read the keys.

    Raises:
        UserError: one is not what it should be, or others may read the file that it stands in.

    """
    folder = Path(os.environ.get(f"{PREFIX}SECRETS_DIR", SECRETS_DIR))
    if env_file is not None and env_file.is_file() and env_file.stat().st_mode & 0o077:
        text = env_file.read_text()
        if any(f"{name}=" in text for name in ("API_KEY", "STARK_PRIVATE")):
            raise UserError(f"others can read {env_file}, which holds keys: chmod 600 {env_file}")
    try:
        places: dict[str, Any] = {"_env_file": env_file, "_secrets_dir": folder if folder.is_dir() else None}
        return ExtendedKeys(**places)
    except ValidationError as error:
        wrong = [f"{str(item['loc'][0]).upper()}: {item['msg']}" for item in error.errors()]
        raise UserError("\n".join(wrong)) from None


def check_permitted(settings: Settings, keys: ExtendedKeys) -> None:
    """See that orders may be placed.

    Raises:
        UserError: something is not given; names it all.

    """
    lacking = [] if settings.trading_mode == "live" else ["TIDEMILL_TRADING_MODE=live"]
    lacking += [] if keys.trading_enabled else ["TRADING_ENABLED=true"]
    lacking += keys.missing()
    if lacking:
        raise UserError(f"trading at Extended is off; not given: {', '.join(lacking)} (docs/trading.md)")


def _number(name: str, text: str) -> int:
    try:
        number = int(text, 16)
    except ValueError:
        raise UserError(f"{name} is no hexadecimal number") from None
    if not 0 < number < FIELD_PRIME:
        raise UserError(f"{name} is no Stark key")
    return number
