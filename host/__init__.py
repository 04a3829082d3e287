"""Host programs: what runs on the CPU beside the DPUs. Nothing in `pim_runtime` imports this package."""
