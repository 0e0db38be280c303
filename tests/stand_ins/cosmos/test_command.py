"""The command line: what it prints, and one sentence for each mistake."""

import signal
import socket
import subprocess
import sys

import pytest


def run(*options, **more):
    """Run the command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "everscore_local.cosmos", *map(str, options)],
        capture_output=True,
        text=True,
        timeout=60,
        **more,
    )


def assert_one_sentence(result, *parts):
    """Check for exit code 2 and one line on stderr with the parts."""
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


def test_an_occupied_port_is_named(tmp_path):
    """Either port in use gives its number and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for options in (("--port", port, "--control-port", 0), ("--port", 0, "--control-port", port)):
            assert_one_sentence(run(*options, "--data", tmp_path), str(port), "choose another port")


def test_missing_node_and_packages_are_said(tmp_path):
    """Without Node, or without the npm server, the sentence says what to install."""
    ports = ("--port", 0, "--control-port", 0, "--data", tmp_path)
    assert_one_sentence(run(*ports, "--node", "no-such-node"), "Node 20")
    assert_one_sentence(run(*ports, "--node-modules", tmp_path), "npm ci", str(tmp_path))


def test_wrong_folders_keys_and_names_are_said(tmp_path):
    """A data folder that is a file, a key that is no base64 and a database name that is not allowed."""
    file = tmp_path / "file"
    file.write_text("")
    ports = ("--port", 0, "--control-port", 0)
    assert_one_sentence(run(*ports, "--data", file), str(file))
    assert_one_sentence(run(*ports, "--data", tmp_path / "a", "--key", "no base64!"), "--key")
    assert_one_sentence(run(*ports, "--data", tmp_path / "b", "--database", "a/b"), "a/b")


def test_one_data_folder_serves_one_stand_in(start):
    """A second stand-in on the same folder is refused; after the first one's death it is let in."""
    stand_in = start()
    ports = ("--port", 0, "--control-port", 0)
    assert_one_sentence(run(*ports, "--data", stand_in.data), str(stand_in.data), "in use")
    stand_in.stop(signal.SIGKILL)
    stand_in.start()


def test_another_partition_key_for_a_container_is_refused(start):
    """A container that is there with another key path is not silently served with it."""
    stand_in = start()
    stand_in.stop()
    options = ("--database", "everscore", "--container", "events", "--partition-key", "/other")
    result = run("--port", 0, "--control-port", 0, "--data", stand_in.data, *options)
    assert_one_sentence(result, "/pk", "/other")


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_signals_stop_it_with_exit_code_0(start, alive, sign):
    """SIGTERM and SIGINT end the gateway and its Node child."""
    stand_in = start()
    node = stand_in.control("GET", "/state")["engine"]["pid"]
    assert stand_in.stop(sign) == 0
    assert not alive(node)
