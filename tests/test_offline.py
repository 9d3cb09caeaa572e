"""A process that may not connect, tried in processes of their own: the ban cannot be lifted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from workbench import offline

PROGRAM = """
import socket, sys
from workbench.errors import OfflineError
from workbench.offline import forbid_network

forbid_network()
try:
    {code}
except OfflineError as error:
    print("refused:", error)
except OSError as error:
    print("tried:", error)
else:
    print("done")
"""


def run(code: str) -> str:
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(code=code)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    return said.stdout


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("socket.create_connection(('192.0.2.1', 80), 1)", "192.0.2.1"),
        ("socket.create_connection(('hub.example', 80), 1)", "hub.example"),
        ("socket.getaddrinfo(b'hub.example', 80)", "hub.example"),
        ("socket.gethostbyname('hub.example')", "hub.example"),
        ("socket.getnameinfo(('192.0.2.1', 80), 0)", "192.0.2.1"),
        ("socket.socket(socket.AF_INET6).connect(('2001:db8::1', 80))", "2001:db8::1"),
        (
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53))",
            "192.0.2.1",
        ),
        ("__import__('urllib.request').request.urlopen('http://hub.example')", "hub.example"),
        ("__import__('httpx').get('http://hub.example')", "hub.example"),
    ],
)
def test_other_machines_are_refused(code: str, named: str) -> None:
    said = run(code)
    assert said.startswith("refused:")
    assert named in said
    assert "without --offline" in said


@pytest.mark.parametrize(
    "code",
    [
        "socket.getaddrinfo('localhost', 80)",
        "socket.getaddrinfo(None, 80)",
        "socket.getaddrinfo(b'127.0.0.1', 80)",
        "one, other = socket.socketpair(); one.sendall(b'x')",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
    ],
)
def test_this_machine_is_not(code: str) -> None:
    assert run(code) == "done\n"


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('127.0.0.1', 1), 1)",
        "socket.socket(socket.AF_UNIX).connect('/no/such/socket')",
        "socket.gethostbyname(socket.gethostname()) and socket.create_connection(('::1', 1), 1)",
    ],
)
def test_a_closed_door_of_this_machine_is_tried(code: str) -> None:
    assert run(code).startswith("tried:")


def test_the_hub_libraries_are_told() -> None:
    code = "import os; print(all(os.environ[k] == v for k, v in sys.modules["
    assert run(f"{code}'workbench.offline'].HUB_SWITCHES.items()))").startswith("True")


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("fe80::1%eth0", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
        (b"\xff", False),
    ],
)
def test_what_this_machine_is_called(host: str | bytes, local: bool) -> None:  # noqa: FBT001 - an expected answer
    assert offline._is_local(host) == local
