"""Measurements on this computer, and fuzz that takes long. Compare ratios inside one run, not times between runs."""
