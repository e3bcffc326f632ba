"""The output folder: artifacts, manifest, report."""
