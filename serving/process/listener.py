"""Listening sockets, and a way to close one without losing connections that are made already."""

from __future__ import annotations

import ctypes
import errno
import socket
import struct

from noria.core.base.errors import StackError

_SO_ATTACH_FILTER = 26  # Linux; the socket module has no name for it
_FLAGS_OF_TCP, _SYN = 13, 0x02
_DROP_NEW = b"".join(
    struct.pack("HBBI", *step)
    for step in (
        (0x30, 0, 0, _FLAGS_OF_TCP),  # load the byte that holds the flags of a segment
        (0x45, 0, 1, _SYN),  # does it ask for a connection?
        (0x06, 0, 0, 0),  # yes: drop it
        (0x06, 0, 0, 0xFFFFFFFF),  # no: let it through
    )
)


def listen_on(host: str, port: int, sockets: int = 1) -> list[socket.socket]:
    """Bind an address, with one socket for each process.

    The kernel spreads connections over sockets of one address; one socket for all would be served by the process that wakes
    first.

    Raises:
        StackError: the address is taken, or cannot be bound; names the settings.
    """
    bound: list[socket.socket] = []
    try:
        with _socket(host) as probe:  # sockets that share an address would share it with those of other programs
            probe.bind((host, port))
        for _ in range(sockets):
            bound.append(_socket(host))
            if sockets > 1:
                bound[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound[-1].bind((host, port))
    except OSError as error:
        for listener in bound:
            listener.close()
        cause = "another process listens there" if error.errno == errno.EADDRINUSE else error.strerror
        message = f"cannot listen on {host} port {port} ({cause}): set NORIA_SERVING_HOST or NORIA_SERVING_PORT"
        raise StackError(message) from error
    return bound


def accept_no_more(listener: socket.socket) -> None:
    """Refuse new connections, while those in the queue still wait to be accepted.

    A listening socket that is closed resets the connections in its queue. So first the kernel drops every request for a new
    connection: the client tries again after a second, and finds the next process or none. Without such a filter in the
    kernel nothing happens, and connections of a few microseconds may be reset.
    """
    program = ctypes.create_string_buffer(_DROP_NEW, len(_DROP_NEW))
    argument = struct.pack("HP", len(_DROP_NEW) // 8, ctypes.addressof(program))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)
    except OSError:
        return


def _socket(host: str) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return listener
