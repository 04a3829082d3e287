"""Plans: every way to serve a model on a machine, priced, ranked by a goal, with what bounds each (P-1)."""
