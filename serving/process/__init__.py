"""Processes: the server, its workers, start and end."""
