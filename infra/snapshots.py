"""What each parameter file would deploy, written beside it: `python infra/snapshots.py` with Bicep at hand.

The snapshots are committed, so that a review shows what a change of the templates does; the tests compare
them with what the templates say. Bicep is found by the variable BICEP, or on the PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parent
NOBODY = "00000000-0000-0000-0000-000000000000"
DEPLOYER = "22222222-2222-2222-2222-222222222222"

CASES = ("main", "dev", "prod", "options/private-network", "options/existing-services", "options/github")
"""The parameter files, without their ending."""

ENVIRONMENT = {"AZURE_ENV_NAME": "azd", "AZURE_LOCATION": "westeurope", "AZURE_PRINCIPAL_ID": DEPLOYER}
"""What they read. prod is given the principal too, which must have no effect there."""


class BicepError(Exception):
    """The compiler refused a file."""


class Bicep:
    """A running compiler: one process for all files, since its start is most of the work."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is None or process.stdout is None:
            raise BicepError("The compiler was started without pipes.")
        self._in, self._out = process.stdin, process.stdout
        self._number = 0

    def snapshot(self, case: str) -> Any:
        """What a parameter file would deploy.

        Raises:
            BicepError: it has mistakes.
        """
        metadata = {"tenantId": NOBODY, "subscriptionId": NOBODY, "location": "westeurope"}
        path = str(INFRA / f"{case}.bicepparam")
        return json.loads(self._call("bicep/getSnapshot", path=path, metadata=metadata)["snapshot"])

    def diagnostics(self, path: Path) -> list[str]:
        """Everything that compiler and linter say of a file and the files that it uses."""
        method = "bicep/compileParams" if path.suffix == ".bicepparam" else "bicep/compile"
        more: dict[str, Any] = {"parameterOverrides": {}} if path.suffix == ".bicepparam" else {}
        answer = self._call(method, path=str(path), **more)
        return [
            f"{each['source']}:{each['range']['start']['line'] + 1}: {each['code']}: {each['message']}"
            for each in answer["diagnostics"]
        ]

    def compiled(self, path: Path) -> str:
        """The ARM template of a file that has no mistakes."""
        return str(self._call("bicep/compile", path=str(path))["contents"])

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        request = {"jsonrpc": "2.0", "id": self._number, "method": method, "params": parameters}
        body = json.dumps(request).encode()
        self._in.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._in.flush()
        length = 0
        while header := self._out.readline().strip():
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        answer = json.loads(self._out.read(length) or b"{}")
        if "result" not in answer:
            raise BicepError(f"{parameters['path']}: {answer.get('error', 'the compiler ended')}")
        return answer["result"]


def find_bicep() -> str | None:
    """The compiler, or None."""
    return os.environ.get("BICEP") or shutil.which("bicep")


@contextmanager
def running(bicep: str) -> Iterator[Bicep]:
    """The compiler, for as long as the block runs, in an environment with the variables of `ENVIRONMENT`."""
    ours = ("AZURE_", "EVERSCORE_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # The machine may have no ICU library.
    environment |= {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1", **ENVIRONMENT}
    with subprocess.Popen(
        [bicep, "jsonrpc", "--stdio"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield Bicep(process)
        finally:
            process.kill()


def text(snapshot: Any) -> str:
    """As it is committed: the compiler gives outputs in another order each time."""
    snapshot = {**snapshot, "outputs": dict(sorted(snapshot.get("outputs", {}).items()))}
    return json.dumps(snapshot, indent=2, ensure_ascii=False) + "\n"


def path_of(case: str) -> Path:
    """Where it is committed."""
    return INFRA / f"{case}.snapshot.json"


def main() -> int:
    """Write all snapshots."""
    found = find_bicep()
    if found is None:
        print("Bicep is not on the PATH, and BICEP does not say where it is.", file=sys.stderr)
        return 1
    with running(found) as bicep:
        for case in CASES:
            try:
                path_of(case).write_text(text(bicep.snapshot(case)), encoding="utf-8")
            except BicepError as error:
                print(error, file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
