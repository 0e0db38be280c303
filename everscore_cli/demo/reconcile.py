"""What became of every event that was sent, by id: nothing lost, nothing doubled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from everscore_cli.demo.plan import Planned
from everscore_cli.demo.read_back import Letter, Place, StoredDocument


@dataclass(slots=True)
class Row:
    """Counts of one kind of events.

    Attributes:
        sent: events sent.
        stored: a document was made of this very event.
        superseded: the document of its id was made of the same event again, or of a newer version.
        dead_lettered: there is a dead letter of it.
        lost: none of these.
        doubled: more than one of these, or more than one document.
    """

    sent: int = 0
    stored: int = 0
    superseded: int = 0
    dead_lettered: int = 0
    lost: int = 0
    doubled: int = 0

    def __add__(self, other: Row) -> Row:
        return Row(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    @property
    def adds_up(self) -> bool:
        """Sent = stored + superseded + dead-lettered, nothing lost, nothing doubled."""
        ends = self.stored + self.superseded + self.dead_lettered
        return self.sent == ends and self.lost == 0 and self.doubled == 0


@dataclass(frozen=True, slots=True)
class Account:
    """The whole account.

    Attributes:
        flights: the events that are well-formed.
        malformed: those that can never be scored.
        strangers: documents and dead letters of events that nobody sent.
        sent_again: events that the hub holds twice, since the SDK sent them again.
        retried: of the documents, those that took more than one try.
        waiting: events before the checkpoint, and messages in the retry queue and its poison queue.
    """

    flights: Row
    malformed: Row
    strangers: int
    sent_again: int
    retried: int
    waiting: int

    @property
    def total(self) -> Row:
        """Both kinds together."""
        return self.flights + self.malformed

    @property
    def adds_up(self) -> bool:
        """Nothing waits, and every event has the one end that it should have."""
        return (
            self.waiting == 0
            and self.strangers == 0
            and self.flights.adds_up
            and self.malformed.adds_up
            and self.flights.dead_lettered == 0
            and self.malformed.dead_lettered == self.malformed.sent
        )


def reconcile(
    planned: Sequence[Planned],
    hub: Mapping[Place, int],
    documents: Sequence[StoredDocument],
    letters: Sequence[Letter],
    waiting: int,
) -> Account:
    """Compare what was sent with what is there.

    Args:
        planned: every event sent.
        hub: which of them stands where in the hub.
        documents: all of the store.
        letters: all dead letters.
        waiting: what has not come to an end yet.
    """
    of_id: dict[str, list[StoredDocument]] = {}
    for document in documents:
        of_id.setdefault(document.id, []).append(document)
    documents_at = Counter(document.place for document in documents)
    letters_at = Counter(letter.place for letter in letters)
    places: dict[int, list[Place]] = {}
    for place, number in hub.items():
        places.setdefault(number, []).append(place)

    rows = {False: Row(), True: Row()}
    for event in planned:
        row = rows[event.malformed is not None]
        row.sent += 1
        found = places.get(event.number, [])
        stored = sum(documents_at[place] for place in found)
        dead = sum(letters_at[place] for place in found)
        same_id = of_id.get(event.id, []) if event.id is not None else []
        # An event that stands in the hub twice may have two dead letters; never two documents.
        if stored > 1 or (stored and dead) or len(same_id) > 1:
            row.doubled += 1
        elif stored:
            row.stored += 1
        elif dead:
            row.dead_lettered += 1
        elif same_id:
            row.superseded += 1
        else:
            row.lost += 1
    known = {place for found in places.values() for place in found}
    ids = {event.id for event in planned}
    strangers = sum(document.place not in known or document.id not in ids for document in documents)
    strangers += sum(letter.place not in known for letter in letters)
    return Account(
        flights=rows[False],
        malformed=rows[True],
        strangers=strangers + len(places.get(-1, [])),
        sent_again=sum(len(found) - 1 for number, found in places.items() if number >= 0),
        retried=sum(document.attempts > 1 for document in documents),
        waiting=waiting,
    )
