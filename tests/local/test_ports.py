import dataclasses
import os
import re
import socket
import subprocess
import sys

import pytest

from noria.core.base.errors import StackError
from noria.local.ports import Ports, refuse_taken
from noria.local.sessions import MARK
from noria.settings import Settings


def test_free_ports_are_accepted(ports):
    refuse_taken(ports)


def test_a_taken_port_is_named_with_its_holder_and_its_setting(ports):
    with socket.create_server(("127.0.0.1", ports.mlflow)), pytest.raises(StackError) as caught:
        refuse_taken(ports)
    message = str(caught.value)
    assert f"port {ports.mlflow} (mlflow) is taken by process {os.getpid()}" in message
    free = int(re.search(r"NORIA_MLFLOW_PORT=(\d+)", message)[1])
    assert free not in ports.by_role().values()
    refuse_taken(dataclasses.replace(ports, mlflow=free))
    offset = int(re.search(r"--port-offset (\d+)", message)[1])
    refuse_taken(Ports.defaults(offset))
    assert "(airflow)" not in message


def test_a_listener_on_every_address_counts_too(ports):
    with socket.create_server(("0.0.0.0", ports.serving)), pytest.raises(StackError, match="NORIA_SERVING_PORT"):  # noqa: S104
        refuse_taken(ports)


LISTENER = """
import socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
sys.stdin.read()
"""


def test_a_port_of_another_stack_is_named_with_its_home(ports):
    command = [sys.executable, "-c", LISTENER, str(ports.postgres)]
    environment = {**os.environ, MARK: "/home/ana/noria/.noria"}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(StackError, match=r"of the Noria stack in /home/ana/noria/\.noria: stop it"):
            refuse_taken(ports)
        other.stdin.close()


def test_two_roles_cannot_share_a_port(ports):
    with pytest.raises(StackError, match="given to both"):
        refuse_taken(dataclasses.replace(ports, mail=ports.smtp))


def test_an_offset_moves_the_defaults_but_not_what_the_environment_names(monkeypatch):
    monkeypatch.setenv("NORIA_MAIL_PORT", "12345")
    moved = Ports.defaults(100)
    assert moved.airflow == Settings.model_fields["airflow_port"].default + 100
    assert moved.mail == 12345


def test_an_offset_out_of_range_is_refused():
    with pytest.raises(StackError, match="choose a smaller one"):
        Ports.defaults(20_000)


def test_every_port_is_a_setting(ports):
    fields = {name.removeprefix("NORIA_").lower() for name in ports.variables()}
    assert len(fields) == 6
    assert fields <= set(Settings.model_fields)
