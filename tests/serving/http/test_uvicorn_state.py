"""The private state of uvicorn that `serving.http.fast_protocol` uses: these fail when a new uvicorn has another shape."""

import ast
import asyncio
import inspect
import re
from operator import attrgetter

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from serving.http import fast_protocol

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


def names_used():
    """Attributes of a connection, such as `flow.write_paused`, that are not our own: ours begin with an underscore."""
    chains = set()
    for node in ast.walk(ast.parse(inspect.getsource(fast_protocol))):
        root, _, chain = ast.unparse(node).partition(".") if isinstance(node, ast.Attribute) else ("", "", "")
        if root == "self" and re.fullmatch(r"[a-z][a-z_.]*", chain):
            chains.add(chain)
    return chains


def overridden():
    ours = (fast_protocol.HeaderTimeoutProtocol, fast_protocol.FastProtocol)
    return {name: value for each in ours for name, value in vars(each).items() if not name.startswith("_")}


def missing(protocol):
    """Names that a connection of this class lacks while it answers a request."""

    async def app(scope, receive, send):
        await asyncio.sleep(0)

    app.state = None  # as FastAPI has one

    async def ask():
        connection = protocol(Config(app, log_config=None), ServerState(), {})
        connection.connection_made(Transport())
        connection.data_received(REQUEST)
        return sorted(name for name in names_used() if not has(connection, name))

    return asyncio.run(ask())


def has(connection, name):
    try:
        attrgetter(name)(connection)
    except AttributeError:
        return False
    return True


class Transport(asyncio.Transport):
    def write(self, data):
        pass

    def close(self):
        pass

    def is_closing(self):
        return False


def test_uvicorn_has_the_state_that_is_used():
    assert {"cycle.response_complete", "flow.write_paused", "server_state.default_headers"} <= names_used()
    assert missing(HttpToolsProtocol) == []
    assert STATUS_LINE[200] == b"HTTP/1.1 200 OK\r\n"


def test_uvicorn_has_the_methods_that_are_overridden():
    assert {"on_headers_complete", "timeout_keep_alive_handler"} <= set(overridden())
    for name, ours in overridden().items():
        theirs = getattr(HttpToolsProtocol, name)
        assert len(inspect.signature(ours).parameters) == len(inspect.signature(theirs).parameters), name


def test_planted_change_of_shape_is_named():
    class Changed(HttpToolsProtocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            self.flow = object()

    assert missing(Changed) == ["flow.write_paused"]
