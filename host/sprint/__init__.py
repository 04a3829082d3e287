"""SPRINT, document 4: attention pruned by thresholds in memory, with exact scores on the chip for what is left."""
