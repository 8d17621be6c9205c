"""The codec of a process: with the ids of a schema registry where one is configured, else those of schemas/history.

Each record's schema is registered under ``<topic>-<full name of the record>`` (so that a topic may carry several
kinds), to be changed only in ways that let new readers read old records. An id that is met later is asked for once; one
that the registry does not know is asked for again after a while, since it may have been registered since.
"""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx2
import stamina
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from infra.broker import full_name
from infra.errors import UserError
from infra.settings import Settings
from schemas.codec import Codec
from schemas.generate import definitions

COMPATIBILITY = "BACKWARD"
ASK_AGAIN_S = 30.0
TIMEOUT_S = 10.0
REQUEST_S = 5.0


class RegistryUnreachable(Exception):
    """The registry did not answer in time; what it was asked about is neither good nor bad."""


def codec(settings: Settings) -> Codec:
    """The codec for the settings; registers the current schemas where a registry is configured.

    Raises:
        UserError: the registry does not answer or refuses a schema.

    """
    if settings.schema_registry_url is None:
        return Codec()
    client = _client(settings)
    texts = {schema["table"]: schema_text(schema) for schema in definitions()}
    subjects = {schema["table"]: subject(settings, schema) for schema in definitions()}
    try:
        ids = {table: _register(client, subjects[table], text) for table, text in texts.items()}
    except RegistryUnreachable as error:
        raise UserError(f"schema_registry_url: no schema registry answers: {error}") from None
    return Codec(ids, {ids[table]: text for table, text in texts.items()}, Lookup(client))


def subject(settings: Settings, schema: dict[str, Any]) -> str:
    """The name under which a record's schema is registered."""
    return f"{full_name(settings, schema['topic'])}-{schema['namespace']}.{schema['name']}"


def schema_text(schema: dict[str, Any]) -> str:
    """What a registry is told of a schema: what readers and writers need, without the words and settings in it."""
    fields = [{key: field[key] for key in ("name", "type", "default") if key in field} for field in schema["fields"]]
    return json.dumps({"type": "record", "namespace": schema["namespace"], "name": schema["name"], "fields": fields})


class Lookup:
    """Asks a registry for schemas by id, and remembers for a while which it does not know."""

    def __init__(self, client: SchemaRegistryClient, now: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._now = now
        self._unknown: dict[int, float] = {}

    def __call__(self, number: int) -> str | None:
        """The schema of an id; None where there is none.

        Raises:
            RegistryUnreachable: nobody can say.

        """
        asked = self._unknown.get(number)
        if asked is not None and self._now() - asked < ASK_AGAIN_S:
            return None
        try:
            return str(_ask(lambda: self._client.get_schema(number)).schema_str)
        except SchemaRegistryError:
            if len(self._unknown) > 10_000:  # junk can name any id
                self._unknown.clear()
            self._unknown[number] = self._now()
            return None


def _client(settings: Settings) -> SchemaRegistryClient:
    config: dict[str, Any] = {"url": settings.schema_registry_url, "timeout": REQUEST_S, "max.retries": 1}
    if settings.schema_registry_user and settings.schema_registry_password is not None:
        login = settings.schema_registry_user, settings.schema_registry_password.get_secret_value()
        config["basic.auth.user.info"] = ":".join(login)
    if settings.ssl_ca_location is not None:
        config["ssl.ca.location"] = str(settings.ssl_ca_location)
    return SchemaRegistryClient(config)


def _register(client: SchemaRegistryClient, name: str, text: str) -> int:
    try:
        _ask(lambda: client.set_compatibility(name, COMPATIBILITY))
        return int(_ask(lambda: client.register_schema(name, Schema(text, "AVRO"))))
    except SchemaRegistryError as error:
        raise UserError(f"the schema registry refuses {name}: {error.error_message}") from None


def _ask(question: Callable[[], Any]) -> Any:
    try:
        for attempt in stamina.retry_context(on=_passing, timeout=TIMEOUT_S, attempts=None, wait_max=2.0):
            with attempt:
                return question()
    except httpx2.HTTPError as error:
        raise RegistryUnreachable(str(error)) from error
    except SchemaRegistryError as error:
        if _passing(error):
            raise RegistryUnreachable(str(error)) from error
        raise


def _passing(error: Exception) -> bool:
    """Whether the same question may be answered a little later."""
    if isinstance(error, SchemaRegistryError):
        return bool(error.http_status_code >= 500 or error.http_status_code == 429)
    return isinstance(error, httpx2.HTTPError)
