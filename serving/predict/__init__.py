"""From a request's bytes to an answer, with one line in the journal."""
