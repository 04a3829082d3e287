"""The clock beside published measurements of hardware: calibration points, microbenchmarks. Nothing is fitted here."""
