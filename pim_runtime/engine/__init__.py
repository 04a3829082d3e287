"""Two ways to run a program on the same memory: compiled (numba) and interpreted (CPython)."""
