"""Where is a prediction recorded? On local disk first, in PostgreSQL soon after."""
