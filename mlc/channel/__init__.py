"""Over-the-air updates: a folder of signed, immutable files that any static host can serve."""
