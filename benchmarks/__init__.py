"""Wall-clock measurements on this computer. Compare ratios inside one run, not times between runs."""
