"""Ports for servers that are given their number before they take it.

A number that the system chose is free again once its socket is closed, and may be the next one that
it gives to anybody, also to the client that asks whether the server is there: that one is then
connected to itself. Those below are given to nobody who asks for any, and no two processes of tests
have the same.
"""

import itertools
import socket
from collections.abc import Iterator
from functools import cache

FIRST, BLOCK, BLOCKS = 20_000, 100, 120
"""Below the ports that Linux gives to who asks for any, which begin at 32,768."""


def free_port() -> int:
    """A port that nobody uses."""
    return free_ports(1)


def free_ports(n: int) -> int:
    """The first of `n` such ports in a row.

    Raises:
        OSError: There are none.
    """
    for _ in range(BLOCK):
        ports = list(itertools.islice(_turns(), n))
        if ports[-1] - ports[0] == n - 1 and all(map(_is_free, ports)):
            return ports[0]
    msg = f"{n} ports in a row from {_block()[0]} on are not free"
    raise OSError(msg)


@cache
def _turns() -> Iterator[int]:
    """The ports of this process, one after the other and again from the first."""
    first, _held = _block()
    return itertools.cycle(range(first, first + BLOCK))


@cache
def _block() -> tuple[int, socket.socket]:
    """The first port of a block that belongs to this process until it ends.

    Raises:
        OSError: All are taken.
    """
    for first in range(FIRST, FIRST + BLOCK * BLOCKS, BLOCK):
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0recap-test-ports-{first}")
        except OSError:
            name.close()
        else:
            return first, name
    msg = f"{BLOCKS} processes of tests have all ports from {FIRST} on"
    raise OSError(msg)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
