"""From evaluation to retirement: gates, verdicts, rollouts, and when to train again."""
