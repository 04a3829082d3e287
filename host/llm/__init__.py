"""Large language models as shapes and arithmetic: parameters, KV caches, operations, and what moves for them."""
