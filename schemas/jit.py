"""How functions are compiled: ``kernel`` for numba's loops, ``shared`` for arithmetic that Python and kernels both run.

numba notices a change of a kernel's own file only, not of the shared functions it calls. So compiled code is kept under
a digest of the sources that kernels are made of: other sources, other cache.
"""

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import register_jitable

Function = TypeVar("Function", bound=Callable[..., Any])


def _digest() -> str:
    root = pathlib.Path(__file__).parent.parent
    folders = ("schemas", "processors", "processors/online")
    sources = sorted(path for folder in folders for path in (root / folder).glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


_config: Any = numba.config
_folder = _config.CACHE_DIR or pathlib.Path.home() / ".cache" / "tidemill"  # the former is NUMBA_CACHE_DIR
_config.CACHE_DIR = str(pathlib.Path(_folder) / _digest())


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function to machine code at its first call, or take it from the cache; numba infers its types."""
    return cast(Callable[..., Any], numba.njit(cache=True)(function))


def shared(function: Function) -> Function:
    """Leave a function as it is, and let kernels call it too."""
    return register_jitable(function)
