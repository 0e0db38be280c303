"""What SIGTERM does to the commands that stop things in order."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.support.services import ROOT

_PROGRAM = """
import asyncio, signal, sys
from everscore_local import interrupts

if sys.argv[1] == "ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupts.end_like_ctrl_c()

async def work():
    try:
        print("under way", flush=True)
        await asyncio.sleep(60)
    finally:
        print("in order", flush=True)

try:
    asyncio.run(work())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("ctrl_c", ["heeded", "ignored"])
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_ends_in_order_whether_ctrl_c_is_heeded_or_not(ctrl_c: str, kind: signal.Signals) -> None:
    """As Ctrl-C would, also where a script's `&` has made the program deaf to Ctrl-C itself."""
    command = [sys.executable, "-c", _PROGRAM, ctrl_c]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "under way\n"
        if ctrl_c == "ignored":
            process.send_signal(signal.SIGINT)
        process.send_signal(kind)
        rest, _ = process.communicate()
    assert (process.returncode, rest) == (130, "in order\n")
