"""Calls of the Azure CLI: its JSON, or one sentence about what went wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any, NoReturn


def fail(sentence: str) -> NoReturn:
    """End the hook, and azd with it, with one sentence."""
    print(sentence, file=sys.stderr)
    raise SystemExit(1)


def variable(name: str) -> str:
    """A value of azd's environment; without it the hook ends."""
    value = os.environ.get(name, "")
    if not value:
        fail(f"{name} is not set: run this by azd (`azd hooks run postdeploy`), or set it.")
    return value


def az(*arguments: str) -> Any:
    """What an `az` command answers; where it fails, the hook ends with the last line that it said."""
    if shutil.which("az") is None:
        fail(
            "The Azure CLI (az) is not on the PATH, and this check asks it: install it and type `az login`, "
            "or remove the hook from azure.yaml."
        )
    done = subprocess.run(["az", *arguments, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        fail(f"`az {' '.join(arguments)}` failed: {lines[-1]}")
    return json.loads(done.stdout or "null")
