"""What is remembered of past intervals? Verdicts, ledger and requests to retrain."""
