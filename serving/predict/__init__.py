"""From instances to predictions, with one line in the journal."""
