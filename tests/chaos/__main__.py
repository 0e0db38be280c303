"""``python -m tests.chaos [--group NAME …] [--seed N] [--events N] [--json]``: exit 0 only if nothing was lost, doubled or stale."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from everscore_local.loopback import without_proxy
from tests.chaos import plan, report
from tests.chaos.mutations import MECHANISMS


def main(arguments: list[str] | None = None) -> int:
    """Run groups and print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"of {', '.join(plan.GROUPS)}; default all but short"
    )
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        dest="more",
        metavar="NAME",
        help="the same as naming it without the option; may be given again",
    )
    parser.add_argument("--seed", type=int, help="of every draw; printed, and drawn when not given")
    parser.add_argument("--events", type=int, help="in each numbered group; default 3,000 (mixed: 50,000)")
    parser.add_argument(
        "--json", action="store_true", help="one JSON document on stdout in place of the table"
    )
    parser.add_argument(
        "--lanes",
        type=int,
        default=plan.LANES,
        help="groups that run side by side, each lane with servers of its own; default %(default)s",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep state and logs in this folder")
    parser.add_argument(
        "--without",
        choices=sorted(MECHANISMS),
        help="take a mechanism out and run the group that needs it: the run must fail",
    )
    options = parser.parse_args(arguments)
    os.environ.update(without_proxy(os.environ))
    # azure-cosmos looks after its regions in a thread, which complains where its client was closed meanwhile.
    logging.getLogger("azure.cosmos").setLevel(logging.CRITICAL)
    groups = list(dict.fromkeys([*options.groups, *options.more]))
    unknown = [group for group in groups if group not in plan.GROUPS]
    if unknown:
        parser.error(f"there is no group {unknown[0]!r}; there are {', '.join(plan.GROUPS)}")
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    report.err.print(f"seed {seed}")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="everscore-chaos-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        outcomes = asyncio.run(
            plan.run_all(
                folder,
                groups,
                seed=seed,
                events=options.events,
                without=options.without,
                lanes=max(1, options.lanes),
            )
        )
    if options.json:
        report.print_json(seed, outcomes, time.monotonic() - began)
    else:
        report.print_table(seed, outcomes, time.monotonic() - began)
    good = all(outcome.good for outcome in outcomes)
    if options.without:
        verdict = "the harness did NOT notice" if good else "the harness noticed, as it must"
        report.err.print(f"without {options.without}: {verdict}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
