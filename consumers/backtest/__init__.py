"""Executors over recorded markets, in process."""
