"""Kernels that make every mistake on request, each beside its corrected twin: what the hazard suite runs."""
