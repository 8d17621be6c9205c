"""Derived topics, one a file: records in, records out."""
