"""A PIM chip that decodes LLaMA-7B alone: the demands of document 2, and the chip on emulated banks."""
