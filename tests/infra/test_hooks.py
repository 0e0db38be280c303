"""The hooks of azd, with a program in place of the Azure CLI that answers as it is documented to."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.app import worker
from tests.support.infra import INFRA, load
from tests.support.services import ROOT

HOOKS = INFRA / "hooks"
PYTHONS = [{"runtime": "python", "version": version} for version in ("3.11", "3.12", "3.13")]
LOCATIONS = [{"name": "westeurope"}, {"name": "swedencentral"}]

Hook = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def hook(tmp_path: Path) -> Hook:
    """Runs a hook; `answers` are what `az` says, by the first words of its arguments.

    A text is an error; one text in a list is the answer.
    """

    def run(
        program: str, answers: dict[str, Any] | None, variables: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "python3").symlink_to(sys.executable)
        if answers is not None:
            (tmp_path / "answers.json").write_text(json.dumps(answers))
            az = folder / "az"
            az.write_text(
                f"#!{sys.executable}\n"
                "import json, sys\n"
                f"answers = json.load(open({str(tmp_path / 'answers.json')!r}))\n"
                "said = ' '.join(sys.argv[1:])\n"
                "found = [answer for start, answer in answers.items() if said.startswith(start)]\n"
                "if not found or isinstance(found[0], str):\n"
                "    sys.exit('WARNING: something\\nERROR: ' + (found[0] if found else 'no such command'))\n"
                "text = len(found[0]) == 1 and isinstance(found[0], list) and isinstance(found[0][0], str)\n"
                "print(json.dumps(found[0][0] if text else found[0]))\n"
            )
            az.chmod(0o755)
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AZURE_", "EVERSCORE_"))
        }
        return subprocess.run(
            [program] if program.endswith(".sh") else [sys.executable, program],
            cwd=ROOT,
            env={**kept, "PATH": f"{folder}:/usr/bin:/bin", **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


PREPROVISION = str(HOOKS / "preprovision.sh")
OFFER = {
    "functionapp list-flexconsumption-locations": LOCATIONS,
    "functionapp list-flexconsumption-runtimes": PYTHONS,
}


def test_a_region_that_offers_it_passes(hook: Hook) -> None:
    """The region may be written as people write it."""
    done = hook(PREPROVISION, OFFER, {"AZURE_LOCATION": "West Europe"})
    assert (done.returncode, done.stderr) == (0, "westeurope offers Flex Consumption with Python 3.13.\n")


@pytest.mark.parametrize(
    ("answers", "location", "says"),
    [
        (
            OFFER,
            "germanynorth",
            "germanynorth does not offer Flex Consumption; these regions do: swedencentral, w",
        ),
        (
            {**OFFER, "functionapp list-flexconsumption-runtimes": PYTHONS[:2]},
            "westeurope",
            "with Python 3.11, 3.12, not with 3.13",
        ),
        (
            {"functionapp list-flexconsumption-locations": "Please run 'az login' to setup account."},
            "westeurope",
            "failed: ERROR: Please run 'az login' to setup account.",
        ),
        (None, "westeurope", "The Azure CLI (az) is not on the PATH"),
        (OFFER, "", "AZURE_LOCATION is not set"),
    ],
    ids=["region", "python", "login", "no az", "no location"],
)
def test_what_is_missing_is_said_before_anything_is_made(
    hook: Hook, answers: dict[str, Any] | None, location: str, says: str
) -> None:
    """It ends with 1 and one sentence."""
    done = hook(PREPROVISION, answers, {"AZURE_LOCATION": location})
    assert done.returncode == 1
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_the_functions_are_those_of_the_app(tmp_path: Path) -> None:
    """The list that the hook compares with is what the worker library finds in the app, triggers included."""
    async with worker(ROOT, {}) as running:
        found = {name: entry["bindings"][0] for name, entry in running.functions.items()}
    triggers = load(HOOKS / "azure_cli.py") and load_functions()
    assert {
        name: json.loads(each)["type"] if isinstance(each, str) else each["type"]
        for name, each in found.items()
    } == triggers


def load_functions() -> dict[str, str]:
    """The hook's list."""
    sys.path.insert(0, str(HOOKS))
    try:
        return dict(load(HOOKS / "functions.py").TRIGGERS)
    finally:
        sys.path.remove(str(HOOKS))


def listing(**triggers: str) -> list[dict[str, Any]]:
    """Functions as `az functionapp function list` gives them."""
    return [
        {"name": f"func-x/{name}", "config": {"bindings": [{"type": trigger, "direction": "IN"}]}}
        for name, trigger in triggers.items()
    ]


def test_the_functions_are_found(hook: Hook) -> None:
    """Where Azure lists them all, the hook passes."""
    answers = {"functionapp function list": listing(**load_functions())}
    variables = {"AZURE_RESOURCE_GROUP": "rg", "EVERSCORE_FUNCTION_APP": "func-x"}
    done = hook(str(HOOKS / "functions.py"), answers, variables)
    assert (done.returncode, done.stderr) == (0, "func-x has its 5 functions.\n")


def test_a_missing_function_ends_the_deployment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package that lists too few is told at the end of the patience, with what is there."""
    load_functions()
    functions = load(HOOKS / "functions.py")
    monkeypatch.setenv("AZURE_RESOURCE_GROUP", "rg")
    monkeypatch.setenv("EVERSCORE_FUNCTION_APP", "func-x")
    monkeypatch.setattr(functions, "az", lambda *_: listing(health="httpTrigger"))
    with pytest.raises(SystemExit):
        functions.main(patience=0, pause=0)
    assert "Azure lists health" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("EVERSCORE_PRIVATE_NETWORK", "true", "the services answer inside of their virtual network alone"),
        ("EVERSCORE_DEPLOYER_OPERATES", "false", "whoever deployed is not named as an operator"),
    ],
)
def test_the_smoke_says_why_it_sends_nothing(hook: Hook, variable: str, value: str, says: str) -> None:
    """Where it cannot reach the services, or may not, it says so and does not fail the deployment."""
    done = hook(str(HOOKS / "smoke.py"), None, {"EVERSCORE_APP_URL": "https://x", variable: value})
    assert done.returncode == 0, done.stderr
    assert says in done.stderr
    assert "EVERSCORE_SMOKE=true azd hooks run postdeploy" in done.stderr


def test_the_smoke_can_be_told_to_send(hook: Hook) -> None:
    """From a machine inside of the network the smoke goes on: here as far as to the settings, which are not there."""
    told = {"EVERSCORE_PRIVATE_NETWORK": "true", "EVERSCORE_SMOKE": "true"}
    done = hook(str(HOOKS / "smoke.py"), None, {"EVERSCORE_APP_URL": "https://x", **told})
    assert done.returncode == 1
    assert "No event was sent" not in done.stderr


@pytest.mark.parametrize("name", ["my_dev", "a", "dev-", "two--hyphens", "x" * 21])
def test_a_name_that_no_resource_takes_is_refused(hook: Hook, name: str) -> None:
    """A name that azd takes for an environment and Azure not for a resource: it is said before anything is made."""
    done = hook(PREPROVISION, OFFER, {"AZURE_LOCATION": "westeurope", "AZURE_ENV_NAME": name})
    assert done.returncode == 1
    assert f"The environment's name, {name}, becomes part of the names of resources" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("state", "code"), [("Registered", 0), ("NotRegistered", 1)])
def test_a_private_network_needs_its_resource_provider(hook: Hook, state: str, code: int) -> None:
    """No template registers Microsoft.App, without which an app cannot join a network."""
    answers = {**OFFER, "provider show --namespace Microsoft.App": [state]}
    variables = {
        "AZURE_LOCATION": "westeurope",
        "AZURE_ENV_NAME": "my-dev",
        "EVERSCORE_PRIVATE_NETWORK": "true",
    }
    done = hook(PREPROVISION, answers, variables)
    assert done.returncode == code, done.stderr
    assert ("az provider register --namespace Microsoft.App --wait" in done.stderr) == bool(code)


@pytest.fixture
def smoke(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The smoke's own functions."""
    monkeypatch.syspath_prepend(str(HOOKS))
    spec = importlib.util.spec_from_file_location("smoke", HOOKS / "smoke.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "smoke", module)
    spec.loader.exec_module(module)
    return module


def test_hole_27_the_smoke_compares_scores(smoke: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """A document whose score is another than the export's ends the smoke; one of another version does not."""
    wanted = smoke.Wanted("pk", "id", "m", "a" * 64, "late", 0.75)
    smoke.compare(wanted, {"m": {"sha256": "a" * 64, "label": "late", "value": 0.75}})
    smoke.compare(wanted, {"m": {"sha256": "b" * 64, "label": "on time", "value": 0.1}})
    for label, value in (("on time", 0.75), ("late", 0.7501)):
        with pytest.raises(SystemExit) as ended:
            smoke.compare(wanted, {"m": {"sha256": "a" * 64, "label": label, "value": value}})
        assert "when the model was exported it was late 0.75" in f"{ended.value}{capsys.readouterr().err}"
