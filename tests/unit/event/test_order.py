"""The order of versions: one rule, total, in which the same event again is never newer."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from everscore.event.item import Source
from everscore.event.order import Version, believed_time, is_repeat, order, supersedes

TIMES = st.sampled_from(["2026-11-25T10:00:00.000000Z", "2026-11-25T10:00:00.000001Z"])
# As the hub keeps it, and as an archive does.
ENQUEUED = st.sampled_from(
    [
        None,
        "",
        "2026-11-25T10:00:00.900Z",
        "2026-11-25T10:00:00.001Z",
        "2026-11-25T10:00:00Z",
        "2026-11-25T10:00:01Z",
    ]
)
SOURCES = st.builds(
    Source,
    namespace=st.sampled_from([None, "ns"]),
    hub=st.sampled_from([None, "events"]),
    partition=st.sampled_from([None, "", "0", "2", "10", "x", "²"]),
    sequence_number=st.none() | st.integers(0, 3),
    enqueued_at=ENQUEUED,
    index=st.integers(0, 2),
)
VERSIONS = st.builds(Version, st.none() | TIMES, SOURCES)
PLACE = Source(
    namespace="ns", hub="events", partition="3", sequence_number=7, enqueued_at="2026-11-25T10:00:00.000Z"
)
EARLY, LATE = "2026-11-25T10:00:00.000000Z", "2026-11-25T10:00:00.000001Z"


@given(st.lists(VERSIONS, max_size=8))
def test_the_order_is_total(versions) -> None:
    """Any two versions compare, whatever is unknown of them, and sorting gives one order."""
    keys = [order(version) for version in versions]
    ordered = sorted(keys)
    assert sorted([*keys[1::2], *keys[::2]]) == ordered
    for one, other in itertools.pairwise(ordered):
        assert one <= other
        assert (one < other) is (one != other)


def test_the_order_is_by_time_then_enqueued_then_place() -> None:
    """Event time, enqueued time, partition (as a number), sequence number, index, in this order."""
    versions = [
        Version(EARLY, Source(enqueued_at="b", partition="9", sequence_number=9, index=9)),
        Version(LATE, Source(enqueued_at="a", partition="9", sequence_number=9, index=9)),
        Version(LATE, Source(enqueued_at="b", partition="2", sequence_number=9, index=9)),
        Version(LATE, Source(enqueued_at="b", partition="10", sequence_number=1, index=9)),
        Version(LATE, Source(enqueued_at="b", partition="10", sequence_number=2, index=0)),
        Version(LATE, Source(enqueued_at="b", partition="10", sequence_number=2, index=1)),
    ]
    for (at, one), (other_at, other) in itertools.product(enumerate(versions), repeat=2):
        assert supersedes(one, other) is (at > other_at)


@given(VERSIONS, VERSIONS, VERSIONS)
@example(Version(LATE, PLACE), Version(EARLY, PLACE), Version(EARLY, PLACE))
def test_hole_01_newer_is_one_order(one, other, third) -> None:
    """Nothing supersedes itself, of two versions at most one supersedes the other, and what supersedes a
    second that supersedes a third supersedes the third too, unless they are one event of one hub.
    """
    assert not supersedes(one, one)
    assert not (supersedes(one, other) and supersedes(other, one))
    if is_repeat(one.source, other.source):
        assert not supersedes(one, other)
        assert not supersedes(other, one)
    else:
        assert supersedes(one, other) is (order(one) > order(other))
    if supersedes(one, other) and supersedes(other, third):
        assert supersedes(one, third) is not is_repeat(one.source, third.source)


def archived(version: Version) -> Version:
    """The version as an archive of the hub keeps it: its time of enqueuing in whole seconds."""
    enqueued = version.source.enqueued_at
    cut = f"{enqueued[:19]}Z" if enqueued else enqueued
    return Version(version.time, structs.replace(version.source, enqueued_at=cut))


@given(VERSIONS, VERSIONS)
@example(Version(LATE, PLACE), Version(LATE, structs.replace(PLACE, enqueued_at="2026-11-25T10:00:00.900Z")))
def test_hole_01_09_a_version_out_of_an_archive_is_the_same_version(one, other) -> None:
    """Whichever of two versions comes out of an archive, which keeps whole seconds, the same one is the newer,
    and an event that the hub has delivered is repeated by its copy.
    """
    for left in (one, archived(one)):
        for right in (other, archived(other)):
            assert supersedes(left, right) is supersedes(one, other)
            assert is_repeat(left.source, right.source) is is_repeat(one.source, other.source)
    assert is_repeat(one.source, archived(one).source) is (one.source.place is not None)


@given(st.sampled_from(["hub", "partition", "sequence_number", "enqueued_at"]))
def test_hole_09_what_has_no_place_is_no_repeat(unknown) -> None:
    """A version of unknown place is never taken for a repeat: a later one with the same numbers is stored."""
    place = structs.replace(PLACE, **{unknown: None})
    assert not is_repeat(place, place)
    assert supersedes(Version(LATE, place), Version(EARLY, place))
    assert is_repeat(PLACE, structs.replace(PLACE, hub="EVENTS", namespace="NS", offset="7"))
    assert not is_repeat(PLACE, structs.replace(PLACE, index=1))
    assert not is_repeat(PLACE, structs.replace(PLACE, namespace="other"))


@pytest.mark.parametrize(
    ("time", "enqueued", "believed"),
    [
        ("2026-11-26T10:00:00.000000Z", "2026-11-25T10:00:00.000Z", "2026-11-26T10:00:00.000000Z"),
        ("2026-11-26T10:00:00.000001Z", "2026-11-25T10:00:00.000Z", "2026-11-25T10:00:00.000000Z"),
        ("2099-01-01T00:00:00.000000Z", "2026-11-25T10:00:00.123Z", "2026-11-25T10:00:00.000000Z"),
        ("2026-11-26T10:00:00.100000Z", "2026-11-25T10:00:00.123Z", "2026-11-25T10:00:00.000000Z"),
        ("1970-01-01T00:00:00.000000Z", "2026-11-25T10:00:00.123Z", "1970-01-01T00:00:00.000000Z"),
        ("2099-01-01T00:00:00.000000Z", None, "2099-01-01T00:00:00.000000Z"),
        ("garbled", "also garbled", "garbled"),
        (None, "2026-11-25T10:00:00.123Z", None),
    ],
)
def test_hole_10_times_ahead_of_their_enqueuing_are_not_believed(time, enqueued, believed) -> None:
    """A time more than the limit beyond the second of enqueuing is replaced by it; one at the limit or before
    stands.
    """
    source = Source(enqueued_at=enqueued)
    assert believed_time(time, source, timedelta(hours=24)) == believed
    assert believed_time(believed, source, timedelta(hours=24)) == believed


def test_a_partition_of_any_length_has_its_order() -> None:
    """A partition of more digits than Python reads as a number, as a hand-made message may have it, is a text."""
    usual, odd = (Version("t", Source(partition=partition)) for partition in ("7", "7" * 5_000))
    assert order(usual) < order(odd)
