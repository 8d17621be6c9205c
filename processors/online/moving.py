"""Moving a stretch of an array within that array, for kernels: a loop in numba takes fifty times as long.

numba copies slices that may overlap through a temporary array, and does not see that a loop is one move of memory.
"""

from collections.abc import Callable
from typing import Any, cast

from numba.core import cgutils, types
from numba.extending import intrinsic

from processors.online.levels import Ints

_move_memory: Any = cgutils.raw_memmove


def _move(_context: Any, array: Any, to: Any, start: Any, count: Any) -> Any:
    """Put ``count`` items from ``start`` on where ``to`` is, in a contiguous array."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        data = context.make_array(kind)(context, builder, arguments[0]).data
        places = [builder.gep(data, [index]) for index in arguments[1:3]]
        width = context.get_abi_sizeof(context.get_value_type(kind.dtype))
        _move_memory(builder, *places, arguments[3], width)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, types.intp), generate


move = cast(Callable[[Ints, int, int, int], None], intrinsic(_move))  # for kernels only
