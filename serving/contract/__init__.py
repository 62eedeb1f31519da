"""What is a valid request, and a valid answer? Schema, input checks, pseudonyms, scores, errors, ids."""
