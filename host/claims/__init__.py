"""Claims of the design documents: a registry of what they state, and checks that compute each statement anew."""
