"""Writes the table of docs/reliability.md: of each promise the mechanisms, and of each the tests that hold it.

`python -m tests.promises.page` writes it anew. The promises are those of docs/design.md, the sentences on tests
are the tests' own.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by tests/promises/page.py: begin -->", "<!-- end -->"
FAULTS_BEGIN = "<!-- faults, written by tests/promises/page.py: begin -->"
FAULTS_END = "<!-- end of faults -->"
_NUMBERS = re.compile(r"^Holes? [\d and,]+: ")
_FAULT = re.compile(r"test_hole_(\d\d)_\w+")
TOGETHER = 0  # the number of what holds all promises at once

_P1 = "tests/promises/test_1_nothing_is_lost.py"
_P2 = "tests/promises/test_2_nothing_is_doubled.py"
_P3 = "tests/promises/test_3_one_bad_event_harms_no_neighbour.py"
_P4 = "tests/promises/test_4_batches.py"
_P5 = "tests/promises/test_5_cold_start.py"
_P6 = "tests/promises/test_6_chaos_short.py"
_UNIT = "tests/unit"
_FUZZ = "tests/fuzz"
_CASES = "tests/public_cases"


@dataclass(frozen=True)
class Mechanism:
    """How a promise is kept, and what shows it.

    Attributes:
        promise: its number, or `TOGETHER`.
        how: one sentence or two.
        tests: ``path::name``; at least one of them end to end, in tests/promises.
    """

    promise: int
    how: str
    tests: tuple[str, ...]


MECHANISMS = (
    Mechanism(
        1,
        "`score_events` has an endless retry policy, so the host moves a partition's checkpoint only once every "
        "event of the batch has a place.",
        (
            f"{_P1}::test_the_host_killed_in_mid_stream",
            f"{_P1}::test_the_worker_killed_in_mid_batch",
            f"{_UNIT}/function_app/test_app.py::test_only_score_events_is_retried_by_the_host_and_without_end",
        ),
    ),
    Mechanism(
        1,
        "What cannot be stored now goes to the retry queue, many events to a message, large ones by a claim check.",
        (
            f"{_P1}::test_the_store_down_for_a_while",
            f"{_UNIT}/retry/test_placing.py::test_every_item_is_in_the_queue_once",
            f"{_UNIT}/retry/test_packing.py::test_packing_stays_below_the_limit_and_loses_nothing",
        ),
    ),
    Mechanism(
        1,
        "Where no destination answers, the batch is handed back to the host, which brings it again.",
        (
            f"{_P1}::test_store_queue_and_blobs_down_at_once",
            f"{_UNIT}/flow/test_score_events.py::test_without_a_policy_a_batch_is_held_until_a_place_answers",
        ),
    ),
    Mechanism(
        2,
        "Documents are created, never upserted; where one is there, order decides (event time, enqueued time, "
        "sequence number) and a replace goes out under the ETag.",
        (
            f"{_P2}::test_a_late_retry_never_replaces_what_is_newer",
            f"{_P2}::test_a_newer_version_replaces_an_older_one",
            f"{_P2}::test_hole_01_a_dead_letter_that_is_newer_than_the_document_is_kept",
            f"{_UNIT}/store/test_writer.py::test_whatever_the_store_holds_and_answers",
            f"{_UNIT}/store/test_writer.py::test_two_writers_of_one_id_end_with_the_newer_document",
        ),
    ),
    Mechanism(
        2,
        "Identity is made of the event, or else of its place in the hub, so what comes again finds itself.",
        (
            f"{_P2}::test_a_hub_read_again_from_its_start_writes_nothing",
            f"{_P2}::test_writes_whose_outcome_is_unknown_stay_single",
            f"{_P2}::test_a_message_handled_twice_is_stored_once",
        ),
    ),
    Mechanism(
        2,
        "Of several versions in one batch only the newest is sent; the older have its fate.",
        (
            f"{_P2}::test_of_one_id_twice_in_a_batch_the_newest_is_stored",
            f"{_P2}::test_both_versions_wait_together",
        ),
    ),
    Mechanism(
        3,
        "Each event is decoded, checked and placed on its own; what can never succeed is a dead letter at once.",
        (
            f"{_P3}::test_each_bad_event_is_a_dead_letter_and_each_neighbour_is_stored",
            f"{_FUZZ}/test_ten_thousand.py::test_ten_thousand_inputs_harm_no_neighbour",
            f"{_FUZZ}/test_fuzz.py::test_some_fuzzing_breaks_no_promise",
        ),
    ),
    Mechanism(
        3,
        "What nobody foresaw is narrowed down by halving, tried three times, then dead-lettered.",
        (f"{_P3}::test_an_exception_that_nobody_foresaw_is_narrowed_down",),
    ),
    Mechanism(
        3,
        "A batch or a message that kills the worker goes on unread, one event a message, and suspects are tried "
        "one at a time.",
        (
            f"{_P3}::test_an_event_that_kills_the_worker_ends_alone",
            f"{_P3}::test_a_packed_message_that_kills_the_worker_is_split",
            f"{_UNIT}/flow/test_retry_events.py::test_who_died_beside_the_guilty_is_stored",
        ),
    ),
    Mechanism(
        3,
        "The brake: where most of what comes fails for one reason, it waits in place of becoming dead letters.",
        (f"{_P3}::test_when_most_of_a_batch_fails_for_one_reason_it_waits",),
    ),
    Mechanism(
        4,
        "One ONNX call a batch, one transactional batch a partition key, one query for what is there already.",
        (
            f"{_P4}::test_a_batch_is_scored_in_one_call_and_written_key_by_key",
            f"{_P4}::test_a_key_with_many_events_is_split_by_the_services_limit",
            f"{_P4}::test_a_repeat_costs_one_read_a_key",
        ),
    ),
    Mechanism(
        5,
        "Clients, model and settings are made on first use, once a process, whoever asks first.",
        (
            f"{_P5}::test_the_pipeline_loads_no_azure_sdk",
            f"{_P5}::test_the_app_loads_without_settings_network_or_model",
            f"{_P5}::test_scoring_loads_neither_onnx_nor_protobuf",
            f"{_P5}::test_the_first_batches_make_one_client_and_one_session",
        ),
    ),
    Mechanism(
        TOGETHER,
        "The fault harness ([chaos.md](chaos.md)) sends through the whole stack while faults run, and accounts for "
        "each event by its id; the generated runs do the same in memory.",
        (
            f"{_P6}::test_the_most_telling_fault_of_each_group",
            f"{_UNIT}/flow/test_no_event_lost.py::test_every_event_ends_in_exactly_one_place",
            f"{_FUZZ}/test_ten_thousand.py::test_inputs_while_places_refuse",
        ),
    ),
)


def promises() -> dict[int, str]:
    """The numbered promises of docs/design.md, by number: name and text."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    section = text.partition("## The promises")[2].partition("\n## ")[0]
    return {int(number): said for number, said in re.findall(r"^(\d+)\. (.+)$", section, re.MULTILINE)}


@cache
def tests_in(path: str) -> dict[str, str]:
    """The tests of a file: name and docstring."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {
        node.name: " ".join((ast.get_docstring(node) or "").split())
        for node in functions
        if node.name.startswith("test_")
    }


def table() -> str:
    """What stands between the marks of the page."""
    lines: list[str] = []
    titles = {**promises(), TOGETHER: "**All of them at once.**"}
    for number, said in sorted(titles.items(), key=lambda each: (each[0] == TOGETHER, each[0])):
        bold, _, rest = said.removeprefix("**").partition("**")
        name = bold.rstrip(".")
        lines += [f"### {number}. {name}" if number else f"### {name}", ""]
        lines += [f"**{name}**{rest}" if bold == name else rest.strip(), ""] if rest else []
        lines += ["| mechanism | test | what it shows |", "|---|---|---|"]
        for mechanism in (each for each in MECHANISMS if each.promise == number):
            for position, test in enumerate(mechanism.tests):
                path, _, function = test.partition("::")
                how = mechanism.how if position == 0 else ""
                shown = tests_in(path)[function].replace("|", "\\|")
                lines.append(f"| {how} | [{function}](../{path}) | {shown} |")
        lines.append("")
    return "\n".join(lines)


def faults() -> dict[int, list[tuple[str, str, str]]]:
    """Tests of faults that were found and closed, by number: path, name and docstring."""
    found: dict[int, list[tuple[str, str, str]]] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        path = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (
                match := _FAULT.fullmatch(node.name)
            ):
                said = " ".join((ast.get_docstring(node) or "").split())
                found.setdefault(int(match[1]), []).append((path, node.name, said))
    return dict(sorted(found.items()))


def faults_table() -> str:
    """A row for each test of a fault."""
    lines = ["| no. | test | what it shows |", "|---|---|---|"]
    for number, tests in faults().items():
        for position, (path, name, said) in enumerate(tests):
            shown = _NUMBERS.sub("", said).replace("|", "\\|")
            shown = shown[:1].upper() + shown[1:]
            lines.append(f"| {number if position == 0 else ''} | [{name}](../{path}) | {shown} |")
    return "\n".join(lines)


def written(page: str) -> str:
    """The page with its tables as they are to be."""
    for begin, end, content in ((BEGIN, END, table()), (FAULTS_BEGIN, FAULTS_END, faults_table() + "\n")):
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}\n\n{content}\n{end}{after}"
    return page


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
