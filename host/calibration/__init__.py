"""The clock beside published measurements of hardware: calibration points and microbenchmarks. Nothing is fitted here."""
