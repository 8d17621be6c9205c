"""Where a replay reads from; every source gives the runs of a partition in log order."""
