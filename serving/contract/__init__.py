"""What may be asked and answered: a version's request schema, input checks, errors, ids."""
