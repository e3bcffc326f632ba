"""Network → network: recipes, plans, passes."""
