"""Pure decisions of executors: inputs in, wanted orders out; no clock, no socket, no randomness."""
