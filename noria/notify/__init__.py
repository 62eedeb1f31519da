"""E-mail, delivered once."""
