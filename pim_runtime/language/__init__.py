"""The rules of the kernel language that can be checked on the source, before any engine runs."""
