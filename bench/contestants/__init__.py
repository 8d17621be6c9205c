"""Programs that do the same work, one a file; each is run as ``python -m bench.contestants.NAME``."""
