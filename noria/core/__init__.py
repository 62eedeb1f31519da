"""Pure rules: what the words of a use case, a model and a rollout mean. No disk, no clock, no network."""
