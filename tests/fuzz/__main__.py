"""`python -m tests.fuzz --seconds 60`: look for an input that breaks a promise."""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = HERE.parents[1] / ".fuzz_cache"
# With model and corpus 103 MB, after 50,000 inputs in a minute 107: nearly five times that is an input that
# fills the memory.
_MEMORY_MB = 512


def main() -> int:
    """Fuzz for a while, or judge one input again; 0 if no promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="how long to look (default 60)")
    parser.add_argument("--runs", type=int, help="look at so many inputs at most")
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**31), help="of the draws")
    parser.add_argument("--found", type=Path, default=FOUND, help="where inputs go that reach something new")
    parser.add_argument(
        "--memory", type=int, default=_MEMORY_MB, help="MB that it may take (default %(default)s)"
    )
    parser.add_argument("--input", type=Path, help="judge this input alone, as a run has written it")
    arguments = parser.parse_args()
    try:
        import atheris
    except ImportError:
        print(
            "atheris has releases for Linux on x86-64 alone; `pytest tests/fuzz` judges the generated inputs "
            "and the corpus anywhere.",
            file=sys.stderr,
        )
        return 2
    if (code := _go_on_in_a_child()) is not None:
        return code
    with atheris.instrument_imports(include=["everscore"]):
        from tests.fuzz.target import Target
    logging.disable()
    target = Target()
    if arguments.input:
        target(arguments.input.read_bytes())
        target.close()
        print("No promise is broken.")
        return 0
    arguments.found.mkdir(parents=True, exist_ok=True)
    print(f"seed {arguments.seed}, {arguments.seconds} seconds", flush=True)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-seed={arguments.seed}",
        f"-dict={HERE / 'dictionary.txt'}",
        f"-artifact_prefix={arguments.found}/",
        f"-runs={-1 if arguments.runs is None else arguments.runs}",
        "-max_len=4096",
        "-timeout=30",  # seconds for one input: one that hangs is a finding
        f"-rss_limit_mb={arguments.memory}",  # one that fills the memory, too
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(arguments.found), str(CORPUS)], target)
    atheris.Fuzz()  # ends the process: 0 when the time is up
    return 1


def _go_on_in_a_child() -> int | None:
    """Fork: None in the child; in the parent, which waits for it, its exit code.

    libFuzzer goes by the peak of getrusage. Linux counts into that of a program what the process had that
    started it (exec_mmap in fs/exec.c), so that a large caller, such as pytest, looks like an input that fills
    the memory. A fork begins anew.
    """
    child = os.fork()
    if child == 0:
        return None
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the child as well
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
