"""Is a model still good, and what is it worth? One verdict per interval, and one e-mail."""
