"""Pure numerics, one idea a file; plain functions that Python and numba run alike."""
