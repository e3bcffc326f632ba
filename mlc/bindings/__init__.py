"""App code from a bundle's manifest: a folder per language, most files copied, one rendered."""
