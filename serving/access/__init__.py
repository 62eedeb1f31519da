"""Who may call, and how often? API keys, scopes, rate limits."""
