"""Host-side mathematics of PIM attention: quantisation, range checks, integer and float references, error bounds.

Everything here is numpy on the host; the kernels that must agree with it live in `dpu_kernels`.
"""
