"""How does serving start, run and stop? The server, its workers, sockets, memory."""
