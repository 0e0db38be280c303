"""The pages on deployment and operation agree with the templates."""

from __future__ import annotations

import json
import re

import pytest

from tests.support.infra import INFRA
from tests.support.services import ROOT

DEPLOY = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_every_variable_is_documented() -> None:
    """The page has each variable that the parameter file for azd reads, and no other, with its default."""
    text = (INFRA / "main.bicepparam").read_text(encoding="utf-8")
    read = dict(re.findall(r"readEnvironmentVariable\('(\w+)'(?:, '(.*?)')?\)", text))
    ours = {name: default for name, default in read.items() if name.startswith("EVERSCORE_")}
    documented = dict(re.findall(r"^\| `(EVERSCORE_\w+)` \| `(.*?)` \|", DEPLOY, re.MULTILINE))
    assert documented == ours


@pytest.mark.parametrize(("page", "text"), [("deploy.md", DEPLOY), ("operations.md", OPERATIONS)])
def test_links_lead_somewhere(page: str, text: str) -> None:
    """Each link to a file or a heading of the project has its target."""
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("https://"):
            continue
        path, _, heading = target.partition("#")
        file = (ROOT / "docs" / path) if path else ROOT / "docs" / page
        assert file.exists(), target
        if heading:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", each).lower().replace(" ", "-") for each in headings}
            assert heading in slugs, target


def test_the_page_counts_the_alerts() -> None:
    """The page says how many alerts are made."""
    snapshot = json.loads((INFRA / "prod.snapshot.json").read_text(encoding="utf-8"))
    kinds = {"microsoft.insights/metricalerts", "microsoft.insights/scheduledqueryrules"}
    alerts = sum(each["type"].lower() in kinds for each in snapshot["predictedResources"])
    assert f"{alerts} alerts with an action group" in DEPLOY
