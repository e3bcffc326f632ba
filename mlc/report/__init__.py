"""Evidence → terminal and files."""
