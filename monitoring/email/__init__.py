"""How does the owner hear of it? The report as an e-mail."""
