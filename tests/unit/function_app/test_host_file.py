"""What the app's settings and host.json must agree on."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from everscore.config.settings import Settings
from everscore.failures import SettingError
from function_app.host_file import check_checkpoint_frequency, check_time_budget, function_timeout

ROOT = Path(__file__).resolve().parents[3]
OVERRIDE = "AzureFunctionsJobHost__functionTimeout"


def host_json(folder: Path, text: str) -> Path:
    """A host.json with this content."""
    path = folder / "host.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("content", "environment", "expected"),
    [
        ('{"functionTimeout": "00:10:00"}', {}, timedelta(minutes=10)),
        ('{"functionTimeout": "1.02:00:00"}', {}, timedelta(days=1, hours=2)),
        ('{"functionTimeout": "00:10:00"}', {OVERRIDE: "00:05:00"}, timedelta(minutes=5)),
        ('{"FUNCTIONTIMEOUT": "00:10:00"}', {}, timedelta(minutes=10)),
        ('{"functionTimeout": "-1"}', {}, None),
        ("{}", {}, None),
    ],
)
def test_the_time_out_is_read_as_the_host_reads_it(tmp_path, content, environment, expected) -> None:
    """From host.json or the setting in its place; endless or left out is None."""
    assert function_timeout(host_json(tmp_path, content), environment) == expected


@pytest.mark.parametrize("start", ["// ours\n", "/* ours */", "[", "\ufeff// ours\n"])
def test_a_file_that_is_no_strict_json_is_compared_with_nothing(tmp_path, start) -> None:
    """The host takes comments in host.json: they are no fault, and a setting in its place still counts."""
    path = host_json(tmp_path, start + '{"functionTimeout": "00:05:00"}')
    assert function_timeout(path, {}) is None
    check_time_budget(540, 10, path, {})
    check_checkpoint_frequency(path, {})
    assert function_timeout(path, {OVERRIDE: "00:05:00"}) == timedelta(minutes=5)


def test_a_byte_order_mark_hides_nothing(tmp_path) -> None:
    """Some editors put one before the text."""
    path = host_json(tmp_path, '\ufeff{"functionTimeout": "00:05:00"}')
    assert function_timeout(path, {}) == timedelta(minutes=5)


def test_a_budget_that_the_host_cuts_off_is_named(tmp_path) -> None:
    """What an invocation writes after its budget has to fit as well; one that is no duration is named too."""
    path = host_json(tmp_path, '{"functionTimeout": "00:05:00"}')
    check_time_budget(290, 10, path, {})
    for seconds in (291, 300, 540):
        with pytest.raises(SettingError) as caught:
            check_time_budget(seconds, 10, path, {})
        assert str(caught.value) == (
            f"TIME_BUDGET_SECONDS is {seconds}; expected at most 290: functionTimeout in host.json, which is 300 "
            "seconds, less STORAGE_TIMEOUT_SECONDS, which is 10, for what follows after an invocation's last "
            "event."
        )
    with pytest.raises(SettingError, match=r"functionTimeout in host.json is 'soon'; expected hours"):
        check_time_budget(540, 10, path, {OVERRIDE: "soon"})


def test_without_a_host_json_nothing_is_compared(tmp_path) -> None:
    """No host starts without one: whatever runs the app then has no time-out that is known."""
    check_time_budget(540, 10, tmp_path / "host.json", {})


@pytest.mark.parametrize(
    ("content", "environment"),
    [
        ('{"extensions": {"eventHubs": {"batchCheckpointFrequency": 3}}}', {}),
        ('{"Extensions": {"EVENTHUBS": {"BatchCheckpointFrequency": 3}}}', {}),
        ("{}", {"AzureFunctionsJobHost__extensions__eventHubs__batchCheckpointFrequency": "3"}),
    ],
)
def test_hole_51_a_checkpoint_after_several_batches_is_named(tmp_path, content, environment) -> None:
    """Hole 51: whatever says so, a batchCheckpointFrequency above 1 turns health red, with the reason."""
    with pytest.raises(SettingError) as caught:
        check_checkpoint_frequency(host_json(tmp_path, content), environment)
    assert str(caught.value) == (
        "batchCheckpointFrequency in host.json is 3; expected 1: above it the host, whenever it stops, checkpoints "
        "the last batch even where that failed or was cancelled, and its events are lost."
    )


@pytest.mark.parametrize("content", ["{}", '{"extensions": []}', '{"extensions": {"eventHubs": {}}}'])
def test_a_host_json_that_says_nothing_of_checkpoints_has_one_after_each_batch(tmp_path, content) -> None:
    """The host's default is 1."""
    check_checkpoint_frequency(host_json(tmp_path, content), {})


def test_what_is_shipped_fits_this_projects_host_json() -> None:
    """The app as it is shipped ends its invocations itself, and has a checkpoint after each batch."""
    fields = Settings.model_fields
    budget, after = fields["time_budget_seconds"].default, fields["storage_timeout_seconds"].default
    check_time_budget(budget, after, ROOT / "host.json", {})
    check_checkpoint_frequency(ROOT / "host.json", {})
