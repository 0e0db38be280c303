"""The local stack as one: what starts together ends together, whatever happens in between."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from azure.storage.queue import QueueServiceClient

from everscore_local import processes
from everscore_local.azurite import find_node, find_script
from everscore_local.azurite import main as azurite_main
from everscore_local.cosmos.engine import Engine
from everscore_local.cosmos.store import Store
from everscore_local.endpoints import Names, Ports
from everscore_local.processes import Running, StackError
from everscore_local.provision import DEFAULT_TTL, INDEXED, provision_storage
from everscore_local.stack import SERVICES, Stack, StackOptions
from everscore_local.state import locked, read_state

ROOT = Path(__file__).resolve().parents[2]

# Starts the services, says so, and waits; what the interrupt tests do to it is theirs.
FOREGROUND = """
import sys, time
from pathlib import Path
from everscore_local import interrupts
from everscore_local.endpoints import Ports
from everscore_local.stack import SERVICES, Stack, StackOptions
interrupts.end_like_ctrl_c()
options = StackOptions(state=Path(sys.argv[1]), app=Path(sys.argv[2]), ports=Ports.free(), dies_with_parent=True)
with Stack.new(options) as stack:
    print(stack.state.mark, flush=True)
    stack.start(SERVICES, on_step=lambda step: print(step, flush=True))
    print("started", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def state(tmp_path):
    """A state folder; whatever a failed test left running there is ended."""
    folder = tmp_path / "state"
    yield folder
    if (stack := Stack.find(folder)) is not None:
        stack.stop()


def test_the_container_is_indexed_as_in_azure():
    """Its index is that of the template, so that the same queries sort, and its expiry too."""
    template = (ROOT / "infra" / "modules" / "cosmos.bicep").read_text()
    (included,) = re.findall(r"includedPaths: \[(.*)\]", template)
    assert re.findall(r"path: '([^']+)'", included) == list(INDEXED)
    assert "excludedPaths: [{ path: '/*' }]" in template
    assert f"24 * 60 * 60 : {DEFAULT_TTL}\n" in template


def foreground(state: Path) -> subprocess.Popen[str]:
    """A command that runs the services until it is interrupted."""
    return subprocess.Popen(
        [sys.executable, "-c", FOREGROUND, str(state), str(ROOT)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def read_until(process: subprocess.Popen[str], step: str) -> None:
    """Read what it prints up to a step that begins so."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith(step):
            return
    pytest.fail(f"it ended before {step!r}")


def names_of(mark: str) -> list[str]:
    """What still runs of a stack."""
    return [" ".join(process.cmdline()[:4]) for process in processes.marked(mark)]


def test_services_start_are_found_again_and_stop(state):
    """Another command finds the running services by the state folder, and stops all of them."""
    stack = Stack.new(StackOptions(state=state, app=ROOT, ports=Ports.free()))
    stack.start(SERVICES)
    found = Stack.find(state)
    assert found is not None
    assert found.ports == stack.ports
    assert 0 not in {found.ports.eventhubs, found.ports.cosmos, found.ports.blob, found.ports.queue}
    assert all(found.alive(part) for part in SERVICES)
    assert provision_storage(found.settings()["STORAGE"], Names()) == []

    found.stop()

    assert processes.marked(stack.state.mark) == []
    assert Stack.find(state) is None


def test_a_start_mends_a_stack_of_which_a_part_died(state):
    """Starting again starts only the part that was killed, on the port that it had."""
    stack = Stack.new(StackOptions(state=state, app=ROOT, ports=Ports.free()))
    stack.start(SERVICES)
    before = {part: stack.state.running[part].pid for part in SERVICES}
    ports = stack.ports
    stack.kill("eventhubs")
    assert not stack.alive("eventhubs")

    stack.start(SERVICES)

    assert stack.ports == ports
    after = {part: stack.state.running[part].pid for part in SERVICES}
    assert after["eventhubs"] != before["eventhubs"]
    assert (after["cosmos"], after["azurite"]) == (before["cosmos"], before["azurite"])
    stack.stop()


@pytest.mark.parametrize("step", ["starting", "creating", "started"])
def test_ctrl_c_at_any_time_leaves_nothing_running(state, step):
    """Interrupted before, amid and after the start, the foreground command ends all that it started."""
    process = foreground(state)
    try:
        assert process.stdout is not None
        mark = process.stdout.readline().strip()
        read_until(process, step)
        os.kill(process.pid, signal.SIGINT)
        process.wait(60)
        assert names_of(mark) == []
        assert read_state(state) is None
    finally:
        process.kill()
        process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_a_killed_foreground_command_takes_its_parts_along(state):
    """SIGKILL of the command that runs a stack in the foreground ends the parts and what they started."""
    process = foreground(state)
    try:
        assert process.stdout is not None
        mark = process.stdout.readline().strip()
        read_until(process, "started")
        running = processes.marked(mark)
        assert len(running) >= 5  # three parts, and Node below two of them
        process.kill()
        _, alive = processes.wait_gone(running, 60)
        assert alive == []
    finally:
        process.kill()
        process.communicate()


def test_a_taken_port_is_named_and_nothing_is_started(state):
    """Where another program has a port, the sentence names port and part, and no process is left."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ports = Ports(0, port, 0, 0, 0, 0)
        stack = Stack.new(StackOptions(state=state, app=ROOT, ports=ports))
        with pytest.raises(StackError, match=rf"Port {port} \(cosmos\) is in use by another program"):
            stack.start(SERVICES)
    assert processes.marked(stack.state.mark) == []


def test_a_part_that_does_not_start_ends_the_others(state, tmp_path):
    """When the host cannot load the app, its sentence is passed on and the services are stopped."""
    app = tmp_path / "no-app"
    app.mkdir()
    stack = Stack.new(StackOptions(state=state, app=app, ports=Ports.free()))
    with pytest.raises(StackError, match=r"functions.*host\.json"):
        stack.start()
    assert processes.marked(stack.state.mark) == []
    assert read_state(state) is None


def test_a_pid_that_belongs_to_another_process_is_left_alone():
    """A recorded pid whose process was created at another time counts as ended."""
    mine = psutil.Process()
    assert Running("part", mine.pid, mine.create_time(), [], {}).process() == mine
    assert Running("part", mine.pid, mine.create_time() - 60, [], {}).process() is None


def test_two_commands_do_not_start_one_stack_at_once(state):
    """While one command starts or stops the stack, another is refused with a sentence."""
    stack = Stack.new(StackOptions(state=state, app=ROOT, ports=Ports.free()))
    with locked(state), pytest.raises(StackError, match="Another command is starting or stopping"):
        stack.start(SERVICES)


def test_creating_what_exists_changes_nothing(azurite):
    """Provisioning twice creates queue, poison queue and containers once, and keeps a message in the queue."""
    names = Names(queue="twice-retry", dead_letters="twice-letters", claim_checks="twice-checks")
    assert provision_storage(azurite.connection_string, names) == [
        "queue twice-retry",
        "queue twice-retry-poison",
        "blob container twice-letters",
        "blob container twice-checks",
    ]
    with QueueServiceClient.from_connection_string(azurite.connection_string) as service:
        service.get_queue_client("twice-retry").send_message("keep me")
        assert provision_storage(azurite.connection_string, names) == []
        assert service.get_queue_client("twice-retry").get_queue_properties().approximate_message_count == 1


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder that is all of the PATH, and where this Python stands."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one sentence with which Azurite's part ends, with code 2."""
    assert azurite_main(arguments) == 2
    said = capsys.readouterr().err
    assert len(said.strip().splitlines()) == 1
    return said


def test_azurite_says_that_its_package_is_missing(capsys):
    """Without the npm packages the sentence says how to get them."""
    assert "run `npm ci`" in refused(["--node-modules", "nowhere"], capsys)


def test_hole_39_azurite_says_which_node_it_needs(alone, capsys):
    """Hole 39: without Node, and with an old one, the sentence names the version that Azurite's package asks for."""
    assert f"Azurite needs Node 22.0.0 or later; there is no `node` beside {alone}/python" in refused(
        [], capsys
    )
    node = alone / "node"
    node.write_text("#!/bin/sh\necho v20.20.2\n")
    node.chmod(0o755)
    assert f"Azurite needs Node 22.0.0 or later, but {node} is v20.20.2." in refused([], capsys)


def test_hole_39_the_node_of_the_environment_comes_first(alone, monkeypatch, tmp_path_factory):
    """Hole 39: the Node beside the Python that runs is taken, whatever the PATH has."""
    other = tmp_path_factory.mktemp("other")
    for folder, version in ((alone, "v24.1.0"), (other, "v20.20.2")):
        (folder / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (folder / "node").chmod(0o755)
    monkeypatch.setenv("PATH", str(other))
    assert find_node(find_script()) == str(alone / "node")
    assert Engine(alone, Store())._node == str(alone / "node")


def test_azurite_names_the_occupied_port(capsys):
    """Azurite's part names the port that another program has, and the option that chooses another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert azurite_main(["--queue-port", str(port), "--blob-port", "0"]) == 2
    assert capsys.readouterr().err.startswith(f"Port {port} is in use by another program: ")
