"""The `pim` command: one module per subcommand, and what they share. Nothing else in the package imports `host`."""
