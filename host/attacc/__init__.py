"""Document 1: GPUs beside HBM stacks that compute attention (AttAcc), and the systems that it is compared with."""
