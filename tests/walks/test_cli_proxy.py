"""The local stack on a machine whose environment names a proxy."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.cli import Cli, cli_in
from tests.support.services import ROOT


@pytest.fixture
def proxies() -> Iterator[dict[str, str]]:
    """The variables of a proxy at a port where nobody listens, with nothing excepted."""
    with socket.socket() as taken:  # bound, so that no other program gets it; it never listens
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        names = ("http_proxy", "https_proxy", "all_proxy")
        yield {name: address for lower in names for name in (lower, lower.upper())}


def with_proxies(environment: dict[str, str], proxies: dict[str, str]) -> dict[str, str]:
    """The environment with these proxies and without any exception from them."""
    return {name: value for name, value in environment.items() if name.lower() != "no_proxy"} | proxies


@pytest.fixture
def cli(tmp_path, proxies) -> Iterator[Cli]:
    """The command in a copy of the app, with these proxies."""
    with cli_in(tmp_path) as cli:
        cli.environment = with_proxies(cli.environment, proxies)
        yield cli


def test_hole_31_the_stack_works_behind_a_dead_proxy(cli: Cli) -> None:
    """Hole 31: up, send, status, query, restart and down reach the stack past the proxy."""
    cli.run("up", "--free-ports")
    cli.run("send", "--count", "20")
    status = cli.settled(documents=20)
    assert [part["healthy"] for part in status["parts"]] == [True] * 4
    assert len(cli.json("query", "-n", "5")) == 5
    cli.run("restart")
    assert len(cli.json("query", "-n", "5")) == 5
    cli.run("down")


def test_hole_31_make_run_works_behind_a_dead_proxy(tmp_path, proxies) -> None:
    """Hole 31: `everscore run`, as `make run` calls it, adds up behind the proxy."""
    done = subprocess.run(
        [sys.executable, "-m", "everscore_cli.main", "run", "--events", "300", "--json"],
        cwd=ROOT,
        env={**with_proxies(dict(os.environ), proxies), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["addsUp"] is True
