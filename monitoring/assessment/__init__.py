"""How did an interval go? Drift, quality and money of a version, and the worst segments."""
