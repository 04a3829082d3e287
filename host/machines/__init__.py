"""Machines that language models run on, as data and as costs: DPUs, chips of DRAM banks, GPUs, HBM with PIM."""
