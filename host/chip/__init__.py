"""Document 2: a chip of DRAM banks that decodes a language model, as formulas and on emulated banks."""
