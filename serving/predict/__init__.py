"""How does an instance become a prediction? Look up, check, score, decide, explain, record."""
