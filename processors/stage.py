"""A stage: pure code that turns the records of some topics into records of others.

The runtimes make one instance of a stage for each key of a partition and hand it that key's events in log order;
a record with the key ``*`` goes to every instance there is, in the order of their keys. A stage sees no clock but the
records', draws no random numbers, and keeps all that survives between two events in ``state``, a dataclass of plain
values: cut the stream anywhere, snapshot, restore into a fresh instance, and nothing changes.

A stage that must see several topics in one order names a merged log in ``log`` (docs/executors.md); such are the
executors, which live in consumers/.

``on_event`` says what a stage computes. A stage on a full-rate topic adds ``on_batch``, which must give the same
records for the same events however they are cut (tests/conformance holds it to that).
"""

import dataclasses
import importlib
import re
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import Record
from schemas.columns import Keys, Table

In = TypeVar("In", bound=Record, contravariant=True)
Out = TypeVar("Out", bound=Record, covariant=True)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """Options of a stage that has nothing to set."""


class Stage(Generic[In, Out]):
    """Base of every stage; the class line says what is read and what is written.

    ``Options`` is a frozen dataclass of settings (each with a default, checked in its ``__post_init__``), ``State``
    the dataclass of what survives between two events. ``log`` is the topic that holds all that the stage reads in one
    order, whatever topics those records belong to; None where it reads those topics themselves.
    """

    log: ClassVar[str | None] = None
    Options: ClassVar[type] = NoOptions
    State: ClassVar[type]

    def __init__(self, key: str, options: Any = None) -> None:
        self.key = key
        self.options = self.Options() if options is None else options
        self.state = self.State()

    @classmethod
    def warm(cls) -> None:
        """Have compiled what ``on_event`` needs, as long as no event waits for it."""

    def on_event(self, event: In) -> Iterator[Out]:
        """Take one event; yield what follows from it.

        Raises:
            Rejected: the event cannot be used; nothing was yielded and nothing has changed.

        """
        raise NotImplementedError

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, ready for msgpack."""
        # Every key's, once a checkpoint, while records wait: dataclasses.asdict takes twelve times as long.
        return dict(msgspec.to_builtins(self.state, builtin_types=(bytes,)))

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Continue from a snapshot."""
        self.state = self.State(**snapshot)


class Rejection(NamedTuple):
    """An event that a stage refused."""

    cause: int  # index of the event in its batch
    by: str  # the stage's topic
    reason: str


class Events(NamedTuple):
    """The events of a batch for one stage, in log order, all keys together."""

    kind: NDArray[np.int8]  # which of the stage's input types, in the order of its class line
    key: NDArray[np.int32]  # code of the key; ALL for every key
    cause: NDArray[np.int64]  # index of the event in the batch
    columns: dict[str, NDArray[Any]]  # the fields named in BatchStage.columns; 0 where a type lacks one


class BatchStage(Stage[In, Out]):
    """A stage with a columnar path.

    Its ``State`` holds numbers and booleans only, so that the states of all keys are the rows of one structured array.
    """

    columns: ClassVar[tuple[str, ...]]  # input fields that on_batch reads

    @classmethod
    def on_batch(
        cls, options: Any, keys: Keys, states: NDArray[np.void], events: Events
    ) -> tuple[list[Table], list[Rejection]]:
        """Take the events of a batch; update ``states`` in place, one row for each code of ``keys``.

        Rows of the returned tables stand in the order in which ``on_event`` would have yielded them.
        """
        raise NotImplementedError


DTYPES: dict[Any, type] = {int: np.int64, float: np.float64, bool: np.bool_, str: np.object_}


def state_dtype(state: type) -> np.dtype[np.void]:
    """The row type for a dataclass of numbers and booleans; one unused byte where it has no fields."""
    fields = [(item.name, DTYPES[item.type]) for item in dataclasses.fields(state)]
    return np.dtype(fields or [("unused", np.bool_)])


def column_dtypes(stage: type[BatchStage[Any, Any]]) -> dict[str, type]:
    """The type of each input column that a stage works on."""
    types_of = {field: kind for record in reads(stage) for field, kind in record.__annotations__.items()}
    return {field: DTYPES[types_of[field]] for field in stage.columns}


def reads(stage: type[Stage[Any, Any]]) -> tuple[type[Record], ...]:
    """The records a stage takes."""
    return _edges(stage)[0]


def writes(stage: type[Stage[Any, Any]]) -> tuple[type[Record], ...]:
    """The records a stage yields."""
    return _edges(stage)[1]


def _edges(stage: type[Stage[Any, Any]]) -> tuple[tuple[type[Record], ...], ...]:
    bases = stage.__orig_bases__  # type: ignore[attr-defined]
    (base,) = (base for base in bases if typing.get_origin(base) in (Stage, BatchStage))
    return tuple(
        typing.get_args(side) if isinstance(side, types.UnionType) else (side,) for side in typing.get_args(base)
    )


def name(stage: type[Stage[Any, Any]]) -> str:
    """A stage's name: its file's, which in processors/ is its topic's."""
    return stage.__module__.rpartition(".")[2]


ROOT = Path(__file__).resolve().parent.parent
HOMES = ("processors", "consumers")
HOLDS_STAGE = re.compile(r"^class \w+\([^)]*\b(?:Batch)?Stage\[", re.MULTILINE)


def stages() -> list[type[Stage[Any, Any]]]:
    """Every stage in name order: the folders are the registry, and only files that hold a stage are imported."""
    files = [path for home in HOMES for path in (ROOT / home).glob("*.py") if path != Path(__file__).resolve()]
    modules = [
        importlib.import_module(f"{path.parent.name}.{path.stem}")
        for path in sorted(files, key=lambda path: path.stem)
        if HOLDS_STAGE.search(path.read_text())
    ]
    return [
        item
        for module in modules
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, Stage) and item.__module__ == module.__name__
    ]


def initial_states(stage: type[BatchStage[Any, Any]], count: int) -> NDArray[np.void]:
    """Rows of fresh state for ``count`` keys."""
    fresh = stage.State()
    dtype = state_dtype(stage.State)
    row = tuple(getattr(fresh, column, False) for column in dtype.names or ())
    return np.full(count, np.array(row, dtype), dtype)


def snapshots(names: Sequence[str], states: NDArray[np.void], state: type) -> dict[str, dict[str, Any]]:
    """Rows of state as each key's snapshot."""
    fields = [item.name for item in dataclasses.fields(state)]
    return {key: dict(zip(fields, row, strict=False)) for key, row in zip(names, states.tolist(), strict=True)}
