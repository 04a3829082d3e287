"""Random programs and random use: what the fuzz tests and the fuzz benchmarks share."""
