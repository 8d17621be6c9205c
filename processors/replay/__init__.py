"""The replay runtime: the same chains over recorded logs, in process."""
