"""What was answered and what came true: on local disk first, in PostgreSQL soon after."""
