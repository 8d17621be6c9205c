"""Dashboards on the history: one dashboard a file, written in Python, built to JSON."""
