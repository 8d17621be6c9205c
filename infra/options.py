"""The options of stages, made from the settings and checked against each stage's ``Options`` dataclass."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from infra.errors import UserError


def stage_options(stages: Iterable[type[Any]], given: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The options of each stage by the stage's name: as given, else its defaults.

    Pass every stage there is: a name in ``given`` that is none of theirs is refused.

    Raises:
        UserError: naming the option, as in ``stages.buckets.width_ms``, and what was expected.

    """
    known = {stage.__module__.rpartition(".")[2]: stage for stage in stages}
    for name in given:
        if name not in known:
            raise UserError(f"stages.{name}: no such stage; expected one of {', '.join(sorted(known))}")
    return {name: _options(name, stage.Options, given.get(name, {})) for name, stage in known.items()}


def _options(stage: str, options: type[Any], given: Mapping[str, Any]) -> Any:
    _refuse_unknown(f"stages.{stage}", options, given)
    try:
        return TypeAdapter(options).validate_python(dict(given))
    except ValidationError as error:
        raise UserError("\n".join(_explain(stage, item) for item in error.errors())) from None


def _refuse_unknown(path: str, options: type[Any], given: Mapping[str, Any]) -> None:
    types = get_type_hints(options)
    fields = [field.name for field in dataclasses.fields(options)]
    for name, value in given.items():
        if name not in fields:
            raise UserError(f"{path}.{name}: no such option; expected one of {', '.join(fields) or 'none'}")
        if dataclasses.is_dataclass(types[name]) and isinstance(value, Mapping):
            _refuse_unknown(f"{path}.{name}", types[name], value)


def _explain(stage: str, error: Any) -> str:
    name = ".".join(("stages", stage, *map(str, error["loc"])))
    return f"{name}: {error['input']!r}: {error['msg'].removeprefix('Value error, ')}"
