"""Ports for servers of tests: free, in a row, and of one process alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from recap_assets_tests.ports import BLOCK, FIRST, free_port, free_ports

THERE = """
import json
from recap_assets_tests.ports import BLOCK, free_port
print(json.dumps([free_port() for _ in range(BLOCK)]))
"""


def test_no_two_processes_have_a_port_in_common() -> None:
    here = {free_port() for _ in range(BLOCK)}
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    words = [sys.executable, "-c", THERE]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert here.isdisjoint(json.loads(done.stdout))
    assert min(here) >= FIRST


def test_one_that_is_used_is_passed_over() -> None:
    first = free_ports(3)
    with socket.create_server(("127.0.0.1", first + 3)):
        again = free_ports(2)
        assert first + 3 not in (again, again + 1)


def test_those_in_a_row_are_given_to_nobody_else() -> None:
    first = free_ports(3)
    others = {free_port() for _ in range(BLOCK // 2)}
    assert others.isdisjoint(range(first, first + 3))
