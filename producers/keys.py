"""The secrets that feeds name: one for the Authorization header, or ``$(name)`` in a frame or header that is sent.

A feed never holds a secret. It is put in just before sending, after which nothing is logged or recorded.
"""

import re
from collections.abc import Iterable, Mapping

from pydantic import SecretStr

from infra.errors import UserError
from producers.feed import Feed

AGENT = {"User-Agent": "Mozilla/5.0 (compatible; tidemill)"}  # some venues refuse what calls itself a program
PLACE = re.compile(r"\$\(([a-z][a-z0-9_]*)\)")


class Keys:
    """Secrets by the name of their setting.

    >>> keys = Keys({"venue_key": SecretStr("abc"), "other_key": None})
    >>> keys.fill('{"op":"auth","key":"$(venue_key)"}')
    '{"op":"auth","key":"abc"}'
    >>> keys.check(Feed, ["$(other_key)"])
    Traceback (most recent call last):
    infra.errors.UserError: setting other_key (TIDEMILL_OTHER_KEY): not set, and the feed needs it
    """

    def __init__(self, secrets: Mapping[str, SecretStr | None]) -> None:
        self._secrets = secrets

    def check(self, make: type[Feed], frames: Iterable[str]) -> None:
        """Raise UserError where a feed, or one of its frames, names a secret that is not set."""
        bearer = [f"$({make.bearer})"] if make.bearer else []
        for text in [*bearer, *make.headers.values(), make.ping, *frames]:
            for name in PLACE.findall(text):
                if not self._value(name):
                    raise UserError(f"setting {name} (TIDEMILL_{name.upper()}): not set, and the feed needs it")

    def fill(self, text: str) -> str:
        """The text with each secret in its place."""
        return PLACE.sub(lambda place: self._value(place[1]), text) if "$(" in text else text

    def headers(self, make: type[Feed]) -> dict[str, str]:
        """What a feed sends with its handshakes and requests."""
        bearer = {"Authorization": f"Bearer $({make.bearer})"} if make.bearer else {}
        return {name: self.fill(value) for name, value in (AGENT | make.headers | bearer).items()}

    def _value(self, name: str) -> str:
        secret = self._secrets.get(name)
        return "" if secret is None else secret.get_secret_value()
