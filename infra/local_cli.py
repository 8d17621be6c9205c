"""Commands ``up``, ``down`` and ``topics``: the local broker and what it holds."""

from rich.console import Console

from infra.broker import ensure_topics
from infra.errors import UserError
from infra.local import LocalKafka
from infra.settings import Settings, load_settings

LOOPBACK = ("127.0.0.1", "localhost")


def up() -> None:
    """Start a local Kafka that stays up until `tidemill down`, and create the topics."""
    settings = load_settings()
    broker = _local(settings)
    console = Console(stderr=True)
    if broker.running:
        console.print(f"Kafka already runs at {broker.address}")
    with console.status(f"Starting Kafka at {broker.address} (the first time Maven fetches it)"):
        broker.start(detached=True)
        made = ensure_topics(settings)
    console.print(f"Kafka is up at {broker.address}, {_made(made)}; its data and logs are in {broker.folder}")


def down() -> None:
    """Stop the local Kafka; its data stays."""
    broker = _local(load_settings())
    console = Console(stderr=True)
    with console.status("Stopping Kafka"):
        stopped = broker.stop()
    console.print(f"Kafka at {broker.address} is down" if stopped else "no local Kafka was running")


def topics() -> None:
    """Create the topics that are missing at the broker."""
    settings = load_settings()
    Console(stderr=True).print(f"{settings.brokers}: {_made(ensure_topics(settings))}")


def _local(settings: Settings) -> LocalKafka:
    first, _, port = settings.brokers.partition(",")[0].rpartition(":")
    if first not in LOOPBACK:
        raise UserError(f"brokers (TIDEMILL_BROKERS) is {settings.brokers}: a local Kafka runs on 127.0.0.1 only")
    return LocalKafka(settings.data_dir / "kafka", int(port))


def _made(names: list[str]) -> str:
    return f"topics created: {', '.join(names)}" if names else "all topics are there"
