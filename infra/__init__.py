"""Plumbing: settings, brokers, logs, metrics. Knows libraries and nothing of trading."""
