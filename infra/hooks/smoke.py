"""Sends the model's sample through what was deployed, and reads its documents back.

Settings come from the environment, where azd puts what the deployment gave out; the identity is that of
whoever runs it. Everything is tried for ten minutes: a role takes that long to come into force.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.eventhub.exceptions import EventHubError
from azure_cli import az, fail, variable

from everscore.clock import times
from everscore.config.settings import Settings, load_settings
from everscore.decode.bodies import BodyLimits
from everscore.decode.decoder import Decoder
from everscore.decode.own_decoder import load_hook
from everscore.event.item import Item
from everscore.event.stream import Stream, load_stream
from everscore.score.manifest import load_manifest
from everscore.score.onnx import identity_hash
from everscore_cli.clients.store import documents
from everscore_cli.keys import key_rule
from everscore_cli.producer import Outgoing, sender
from everscore_cli.sentences import sentence
from everscore_cli.sources import read_chunks

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 600.0
PAUSE_SECONDS = 5.0
# How far a score may be from that of the machine which exported the model.
SAME = 1e-6


def reason_to_skip() -> str | None:
    """Why no event is sent from here, or None; EVERSCORE_SMOKE=true sends all the same."""

    def says(name: str, value: str) -> bool:
        return os.environ.get(name, "").lower() == value

    if says("EVERSCORE_SMOKE", "true"):
        return None
    if says("EVERSCORE_PRIVATE_NETWORK", "true"):
        return (
            "the services answer inside of their virtual network alone, and this machine is taken to be "
            "outside of it. From a machine inside: EVERSCORE_SMOKE=true azd hooks run postdeploy"
        )
    if says("EVERSCORE_DEPLOYER_OPERATES", "false"):
        return (
            "whoever deployed is not named as an operator, so may not send events or read documents. As a "
            "member of a group that is one: EVERSCORE_SMOKE=true azd hooks run postdeploy. "
            "EVERSCORE_OPERATORS names operators (docs/deploy.md)"
        )
    return None


def outgoing(stream: Stream) -> list[Outgoing]:
    """The sample's events."""
    key_of = key_rule(ROOT, [])
    sample = ROOT / "models" / stream.models[0].name / "sample.jsonl"
    return [Outgoing(line.body, key_of(line.value)) for chunk in read_chunks(str(sample)) for line in chunk]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The document that an event of the sample becomes; no value where the export wrote no score."""

    pk: str
    id: str
    model: str
    sha256: str
    label: str | None
    value: float | None


def expected(stream: Stream, settings: Settings, events: list[Outgoing]) -> list[Wanted]:
    """The documents that the events become."""
    model = stream.models[0].name
    decoder = Decoder(
        stream,
        limits=BodyLimits.of(settings),
        hook=load_hook(settings.decoder) if settings.decoder else None,
    )
    found = decoder.decode([Item(body=event.body) for event in events])
    broken = [event.failure for event in found if event.failure is not None]
    if broken:
        fail(f"The sample of the model {model} does not fit stream.json: {broken[0]}")
    path = ROOT / "models" / model / "expected.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    scores = [json.loads(line) for line in lines]
    sha256 = identity_hash(load_manifest(path.parent))
    if scores and len(scores) != len(found):
        fail(f"{path} has {len(scores)} lines for {len(found)} of the sample: export the model again.")
    return [
        Wanted(
            event.item.pk or "",
            event.item.id or "",
            model,
            sha256,
            score.get("label"),
            score.get("value"),
        )
        for event, score in zip(found, scores or [{}] * len(found), strict=True)
    ]


async def until[T](deadline: float, what: str, step: Callable[[], Awaitable[T | str]]) -> T:
    """Repeat a step until it gives something other than a text that says what is missing."""
    while True:
        try:
            result = await step()
        except (AzureError, EventHubError, aiohttp.ClientError) as error:
            result = sentence(error) or f"{type(error).__name__}: {error}"
        if not isinstance(result, str):
            return result
        if time.monotonic() > deadline:
            fail(f"{what}: not within {PATIENCE_SECONDS / 60:g} minutes. {result}")
        await asyncio.sleep(PAUSE_SECONDS)


async def send(settings: Settings, events: list[Outgoing]) -> bool:
    """Send all events."""
    async with sender(settings, connections=1) as hub:
        await hub.send(events)
    return True


async def arrived(settings: Settings, wanted: Sequence[Wanted], since: str) -> bool | str:
    """Whether each document is there, of an event that the hub took since then, with the sample's score."""
    late = 0
    async with documents(settings) as container:
        for one in wanted:
            try:
                document = await container.read_item(one.id, one.pk)
            except ResourceNotFoundError:
                late += 1
                continue
            if document["source"]["enqueuedAt"] < since:
                late += 1
            else:
                compare(one, document["scores"])
    return f"{late} of {len(wanted)} documents are not there yet" if late else True


def compare(one: Wanted, scores: Mapping[str, Any]) -> None:
    """End the program where a stored score is another than that of the export.

    A document of an earlier smoke keeps the scores that it has, since its event is the same; those of another
    version of the model are none to compare with.
    """
    found = scores.get(one.model)
    if found is None:
        fail(f"The document {one.id} has no score of the model {one.model}, only of {', '.join(scores)}.")
    if one.value is None or found["sha256"] != one.sha256:
        return
    different = not abs(found["value"] - one.value) <= SAME * max(1.0, abs(one.value))
    if found["label"] != one.label or different:
        fail(
            f"The document {one.id} has the score {found['label']} {found['value']:.9g}; when the model was "
            f"exported it was {one.label} {one.value:.9g}."
        )


async def healthy(url: str, key: str | None) -> bool | str:
    """Whether the app finds everything well, the endless retry policy of score_events included."""
    headers = {"x-functions-key": key} if key else {}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        session.get(f"{url}/api/health/details", headers=headers) as answer,
    ):
        if answer.status == 200:
            return True
        if answer.status != 503:
            return f"{url}/api/health/details answers {answer.status}"
        report = await answer.json(content_type=None)
    wrong = {name: check.get("detail") for name, check in report["checks"].items() if not check["ok"]}
    return "; ".join(f"{name}: {detail}" for name, detail in wrong.items())


def function_key() -> str | None:
    """The app's own key, never shown; None where the app is not in Azure."""
    app = os.environ.get("EVERSCORE_FUNCTION_APP")
    if not app:
        return None
    group = variable("AZURE_RESOURCE_GROUP")
    answer = az("functionapp", "keys", "list", "--resource-group", group, "--name", app)
    return str(answer["functionKeys"]["default"])


async def main() -> None:
    """Send, wait for the documents, then ask the app how it is."""
    url = variable("EVERSCORE_APP_URL")
    skip = reason_to_skip()
    if skip:
        print(f"No event was sent: {skip}.", file=sys.stderr)
        return
    settings = load_settings()
    stream = load_stream(ROOT / "stream.json")
    events = outgoing(stream)
    deadline = time.monotonic() + PATIENCE_SECONDS
    if stream.manifest.id is None:
        fail("stream.json names no id, so the sample's documents cannot be told from others: send by hand.")
    wanted = expected(stream, settings, events)
    # A minute: clocks differ. An event of an earlier run is stored again under its new time.
    since = times.milliseconds_text(times.now() - timedelta(minutes=1))
    await until(deadline, "The sample could not be sent", lambda: send(settings, events))
    await until(deadline, "The sample did not come through", lambda: arrived(settings, wanted, since))
    key = function_key()
    await until(deadline, "The app is not well", lambda: healthy(url, key))
    print(f"{len(events)} events came through; the app is well.", file=sys.stderr)


if __name__ == "__main__":
    asyncio.run(main())
