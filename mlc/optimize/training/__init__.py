"""Training-time compression: the network is thawed, taught by the original, and frozen again."""
