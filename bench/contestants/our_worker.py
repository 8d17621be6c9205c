"""Our Faust worker as ``tidemill worker buckets emas jump_losses`` starts it; what is added notes its first run."""

from bench.task import Task
from bench.warm import warm
from processors.__main__ import worker
from processors.live.partition import Partition

warm()
Partition.work = Task.given().beginning(Partition.work)  # type: ignore[method-assign]


def main() -> None:
    """Run the worker for ever; its settings are in the environment."""
    worker(["buckets", "emas", "jump_losses"])


if __name__ == "__main__":
    main()
