"""From a snapshot to a sealed bundle with its evaluation."""
