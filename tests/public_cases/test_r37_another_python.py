"""R37: the remote build uses another Python than the app, or nothing is built at all.

Condition: the plan says 3.13 while the builder or the requirements are for 3.11; a build flag is off.
Right: one version of Python, stated alike wherever one is stated; no setting that turns the build off; after a
deployment the functions are asked for, since a package without its libraries has none; the log says once what
the process runs on.
"""

from __future__ import annotations

import platform
import re
import tomllib
from importlib.metadata import version

import pytest

from devsetup.interpreters import PYTHON
from function_app import versions
from tests.support.infra import DEPLOYMENTS, INFRA, deployment
from tests.support.services import ROOT

VERSION = "{}.{}".format(*PYTHON)
# What other plans have, and Flex Consumption refuses or misreads.
NOT_FOR_FLEX = {
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_VNET_ROUTE_ALL",
}


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_the_plan_has_the_projects_python(case: str) -> None:
    """What is deployed runs on the version that the set-up looks for."""
    site = deployment(case).one("Microsoft.Web/sites")["properties"]
    assert site["functionAppConfig"]["runtime"] == {"name": "python", "version": VERSION}
    assert "linuxFxVersion" not in site["siteConfig"]


def test_the_version_is_stated_alike_everywhere() -> None:
    """Templates, package, type checker, linter, workflows and pages name one version of Python."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["requires-python"] == f">={VERSION},<3.{PYTHON[1] + 1}"
    assert project["tool"]["mypy"]["python_version"] == VERSION
    assert project["tool"]["ruff"]["target-version"] == f"py{PYTHON[0]}{PYTHON[1]}"
    # requirements.txt is resolved for it by dev.py, from this very constant.
    assert '"--python-version", version' in (ROOT / "dev.py").read_text()
    stated = re.findall(r"pythonVersion = '([\d.]+)'", (INFRA / "main.bicep").read_text())
    for workflow in (ROOT / ".github/workflows").glob("*.yml"):
        stated += re.findall(r'python-version: "([\d.]+)"', workflow.read_text())
    assert len(stated) >= 3
    assert set(stated) == {VERSION}


@pytest.mark.parametrize("case", DEPLOYMENTS)
def test_nothing_turns_the_build_off(case: str) -> None:
    """No setting of another plan is there: they break the remote build, or are ignored."""
    assert not NOT_FOR_FLEX & set(deployment(case).settings())


def test_the_functions_are_asked_for_after_a_deployment() -> None:
    """The hook after the deployment asks for every function before it sends an event."""
    hook = (INFRA / "hooks/postdeploy.sh").read_text()
    assert hook.index("functions.py") < hook.index("smoke.py\n")
    assert "postdeploy" in (ROOT / "azure.yaml").read_text()


def test_the_log_says_what_the_app_runs_on(caplog: pytest.LogCaptureFixture) -> None:
    """On first use, and never again, one line has the versions of Python and of the packages that are there."""
    caplog.set_level("INFO", logger=versions.logger.name)
    versions.log_once.cache_clear()
    for _ in range(2):
        versions.log_once()
    (line,) = [record.message for record in caplog.records]
    assert line.startswith(f"Python {platform.python_version()} on ")
    assert f"azure-functions {version('azure-functions')}, " in line
    assert f"onnxruntime {version('onnxruntime')}, " in line
