"""How does a version take over? State, steps, analysis and e-mails of a rollout."""
