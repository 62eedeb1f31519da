"""REST predictions by the champion in the registry; no answered prediction is lost."""
