"""The Synth miner (Bittensor netuid 50): forecasts from minute bars, and their scores."""
