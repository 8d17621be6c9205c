"""Benchmarks: ``python -m bench`` runs them all, side by side, on this machine."""
