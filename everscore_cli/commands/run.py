"""Real flights through the whole pipeline, on a stack of their own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from everscore_cli import project
from everscore_cli.app_checks import check_app, check_node
from everscore_cli.console import bars, err, escape, out, print_json
from everscore_cli.demo import example, report
from everscore_cli.demo.bars import Bars, tell
from everscore_cli.demo.course import Outcome, run_course
from everscore_cli.demo.plan import Plan, make_plan
from everscore_cli.keys import key_rule
from everscore_local import interrupts
from everscore_local.endpoints import Ports
from everscore_local.stack import PARTS, Stack, StackOptions

EVENTS = 20_000
RATE = 500.0
STEADY_SECONDS = 10


def run(
    events: Annotated[int, typer.Option(min=100, max=100_000, help="How many flights in all.")] = EVENTS,
    rate: Annotated[float, typer.Option(min=1, help="Events a second in the first ten seconds.")] = RATE,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the state and the logs.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document instead of tables.")
    ] = False,
) -> None:
    """Send real flights through the whole pipeline, on a separate stack, and account for each."""
    app = project.app_folder()
    check_node()
    interrupts.end_like_ctrl_c()
    # Half of them at the most at the steady rate, so that a small run has a full-speed phase too.
    steady = min(int(rate * STEADY_SECONDS), events // 2)
    state = Path(tempfile.mkdtemp(prefix="everscore-run-"))
    keep_state = keep
    try:
        source = str(app / example.EVENTS)
        app = _app(app, state)
        plan = make_plan(source, events, steady, key_rule(app, []))
        keep_state = True
        outcome = _run(app, state, plan, rate)
        keep_state = keep or not outcome.account.adds_up
    except KeyboardInterrupt:
        keep_state = keep
        raise
    finally:
        if keep_state:
            err.print(f"State and logs are kept in {state}.", soft_wrap=True)
        else:
            shutil.rmtree(state)
    if as_json:
        print_json(report.as_json(outcome, rate))
    else:
        report.show(out, outcome, rate)
        _next()
    if not outcome.account.adds_up:
        raise typer.Exit(1)


def _app(app: Path, state: Path) -> Path:
    found = example.app_of_example(app, state / "app")
    if found != app:
        err.print(
            "[yellow]note[/] stream.json is about other events: the flights go through a copy of the app "
            f"with {example.STREAM}.",
            soft_wrap=True,
        )
    check_app(found)
    return found


def _run(app: Path, state: Path, plan: Plan, rate: float) -> Outcome:
    # A settings file of its own: what a developer tries out in local.settings.json is not for this.
    settings = state / project.SETTINGS
    settings.write_text(json.dumps({"Values": {"FUNCTIONS_WORKER_RUNTIME": "python"}}), encoding="utf-8")
    options = StackOptions(
        state=state, app=app, ports=Ports.free(), host_settings=settings, dies_with_parent=True
    )
    with bars() as progress, Stack.new(options) as stack:
        task = progress.add_task("set-up", total=len(PARTS) + 1, rate="")

        def step(what: str) -> None:
            done = what.endswith("is ready") or what.startswith("creating")
            progress.update(task, advance=int(done), rate=what)
            tell(progress, what)

        stack.start(on_step=step)
        good = sum(event.malformed is None for event in plan.all)
        outcome = asyncio.run(run_course(stack, plan, rate, Bars(progress, good)))
        stopping = progress.add_task("stopping", total=None, rate="")
        stack.stop()
        progress.update(stopping, total=1, completed=1)
    return outcome


def _next() -> None:
    program = "everscore" if shutil.which("everscore") else _relative(Path(sys.argv[0]))
    out.print("\nTo keep such a stack running, on the usual ports:")
    for command, why in (
        ("up", "start it"),
        ("send --count 5000 --rate 200", "send flights, your own file (FILE) or standard input (-)"),
        ("query", "see the latest scores; also: status, logs -f, down"),
    ):
        out.print(f"  [bold]{escape(f'{program} {command}'):<50}[/] {why}", highlight=False, soft_wrap=True)


def _relative(program: Path) -> str:
    try:
        return str(program.relative_to(Path.cwd()))
    except ValueError:
        return str(program)
