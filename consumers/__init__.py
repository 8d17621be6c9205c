"""What is done with the records: sinks that keep them, executors and their policies, gateways to venues."""
