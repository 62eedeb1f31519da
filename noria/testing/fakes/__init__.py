"""Fakes of the ports, in memory. Each keeps the contract that the real part keeps; `InMemoryServices` holds them all."""
