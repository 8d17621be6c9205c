"""Our Faust worker as ``tidemill worker buckets emas jump_losses`` starts it; what is added notes its first decode."""

from bench.task import Task
from bench.warm import warm
from processors.__main__ import worker
from schemas.codec import Codec

warm()
TASK = Task.given()
Codec.decode_tables = TASK.beginning(Codec.decode_tables)  # type: ignore[method-assign]


def main() -> None:
    """Run the worker for ever; its settings are in the environment."""
    worker(["buckets", "emas", "jump_losses"])


if __name__ == "__main__":
    main()
