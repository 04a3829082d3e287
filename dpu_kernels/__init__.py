"""Kernels that run on DPUs, one family per module. They import `pim_runtime.device` and `pim_runtime.program` only."""
