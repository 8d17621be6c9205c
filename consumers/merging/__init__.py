"""The merger: records of several topics copied into one log, whose order is what executors see."""
