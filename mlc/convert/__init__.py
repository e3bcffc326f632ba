"""Source → network: one file per kind of source."""
