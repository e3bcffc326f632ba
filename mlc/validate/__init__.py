"""Artifact × network × data → evidence."""
