"""The user's data, and inputs made up where there are none."""
