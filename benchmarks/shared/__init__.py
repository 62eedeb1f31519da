"""What several benchmarks use: servers to be killed, environments of peers, folders."""
