"""A process that may not connect to anything but this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any

from workbench.errors import OfflineError

__all__ = ["HUB_SWITCHES", "forbid_network"]

# What makes the Hugging Face libraries stay offline; read by them when they are imported.
HUB_SWITCHES = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


_CONNECTIONS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKUPS = frozenset(
    {
        "socket.getaddrinfo",
        "socket.gethostbyaddr",
        "socket.gethostbyname",
        "socket.getnameinfo",
    }
)
_INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})


def forbid_network() -> None:
    """From now on each connection to another machine raises `OfflineError` in this process.

    An audit hook of the interpreter sees the connections of every Python library. It cannot be
    taken away again, which is the point.
    """
    os.environ.update(HUB_SWITCHES)
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTIONS:
        connection, address = arguments[0], arguments[1]
        if connection.family in _INTERNET and address and not _is_local(address[0]):
            raise OfflineError(
                f"A connection to {_name(address[0])} was tried, and this process is offline. "
                "Run it without --offline to allow connections."
            )
    elif event in _LOOKUPS and (host := _host(arguments[0])) and not _is_local(host):
        raise OfflineError(
            f"The address of {_name(host)} was looked up, and this process is offline. "
            "Run it without --offline to allow connections."
        )


def _host(asked: Any) -> str | bytes | None:
    """What is looked up: a host, or the first part of an address."""
    host: str | bytes | None = asked[0] if isinstance(asked, tuple) else asked
    return host


def _name(host: str | bytes) -> str:
    return host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)


def _is_local(host: str | bytes) -> bool:
    name = _name(host).lower()
    if name in {"", "localhost", socket.gethostname().lower()}:
        return True
    try:
        address = ipaddress.ip_address(name.split("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
