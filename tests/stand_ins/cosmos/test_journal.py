"""The journal file: torn tails, damage, compaction. Real files, no processes."""

import msgspec
import pytest

from everscore_local.cosmos.errors import UserError
from everscore_local.cosmos.journal import Journal, Line
from everscore_local.cosmos.store import Store
from everscore_local.cosmos.transaction import Operation, Transaction

KEY = '["p"]'


class Opened:
    """A store and its journal."""

    def __init__(self, folder):
        self.store, self.journal = Store(), Journal(folder)
        try:
            self.journal.load(self.store)
        except UserError:
            self.journal.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.journal.close()

    def define(self):
        """Make the database `d` and the container `c`."""
        database = self.store.define_database({"id": "d"})
        self.journal.append(Line(database=database))
        self.store.add_database(database)
        definition = self.store.define_container(
            self.store.database("d"), {"id": "c", "partitionKey": {"paths": ["/pk"]}}
        )
        self.journal.append(Line(container=definition, owner=database["_rid"]))
        self.store.add_container(database["_rid"], definition)

    def write(self, kind, *ids, at=1, **fields):
        """Commit operations of one kind as one batch."""
        transaction = Transaction(self.store, self.store.container("d", "c"), KEY)
        for item_id in ids:
            transaction.run(Operation(kind, item_id, {"id": item_id, "pk": "p", **fields}))
        transaction.commit(self.journal, at)

    def contents(self):
        """Return id → document."""
        return {
            item_id: msgspec.json.decode(s.document)
            for _, item_id, s in self.store.container("d", "c").items()
        }


def test_a_torn_tail_is_cut_off(tmp_path):
    """Whatever part of the last line is missing, its batch is gone wholly, the others stay, and writing goes on."""
    with Opened(tmp_path) as opened:
        opened.define()
        opened.write("Create", "a", "b", text="zażółć")
        kept = opened.contents()
        opened.write("Create", "c", "d", text="line\n")
        everything = opened.contents()
    path = tmp_path / "journal.jsonl"
    whole = path.read_bytes()
    last = whole.rstrip(b"\n").rindex(b"\n") + 1
    for end in {*range(last, len(whole), 23), last + 1, len(whole) - 2, len(whole) - 1, len(whole)}:
        path.write_bytes(whole[:end])
        with Opened(tmp_path) as opened:
            assert opened.contents() == (everything if end == len(whole) else kept)
            opened.write("Upsert", "e")
        with Opened(tmp_path) as opened:
            assert "e" in opened.contents()


def test_what_is_past_takes_no_room_after_the_next_start(tmp_path):
    """Old versions and deleted items leave the file, first acceptance times stay."""
    with Opened(tmp_path) as opened:
        opened.define()
        for at in range(1, 200):
            opened.write("Upsert", "a", "b", at=at, text="x" * 1000)
        opened.write("Delete", "b")
    path = tmp_path / "journal.jsonl"
    before = path.stat().st_size
    for _ in range(2):
        with Opened(tmp_path) as opened:
            container = opened.store.container("d", "c")
            assert list(opened.contents()) == ["a"]
            assert container.partitions[KEY]["a"].accepted_ms == 1
            assert container.gone == {(KEY, "b"): 1}
        assert path.stat().st_size < before / 100


def test_dropped_databases_and_containers_stay_dropped(tmp_path):
    """What was dropped is neither there after a start nor in the file, and its names are free again."""
    with Opened(tmp_path) as opened:
        opened.define()
        opened.write("Create", "a")
        rid = opened.store.container("d", "c").rid
        opened.journal.append(Line(drop_container=rid))
        opened.store.drop_container(rid)
        database = opened.store.database("d").definition["_rid"]
        opened.journal.append(Line(drop_database=database))
        opened.store.drop_database(database)
        opened.define()
    with Opened(tmp_path) as opened:
        assert opened.contents() == {}
    assert (tmp_path / "journal.jsonl").read_bytes().count(b"\n") == 3


@pytest.mark.parametrize(
    "damage", [b"{}x\n", b"\xff\n", b'{"c":"none","pk":"[]","delete":["a"]}\n', b'{"journal":2}\n']
)
def test_a_damaged_journal_is_said_and_left_alone(tmp_path, damage):
    """A whole line that makes no sense stops the start with a sentence that names the file."""
    with Opened(tmp_path) as opened:
        opened.define()
    path = tmp_path / "journal.jsonl"
    text = path.read_bytes() + damage
    path.write_bytes(text)
    with pytest.raises(UserError, match=r"journal\.jsonl"):
        Opened(tmp_path)
    assert path.read_bytes() == text


def test_a_full_disk_leaves_no_half_line(tmp_path):
    """A write that fails in the middle is taken back, is not visible, and the next one is whole."""
    import resource
    import signal

    with Opened(tmp_path) as opened:
        opened.define()
        path = tmp_path / "journal.jsonl"
        before = path.read_bytes()
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 100, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                opened.write("Create", "a", text="x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.read_bytes() == before
        assert opened.contents() == {}
        opened.write("Create", "a")
    with Opened(tmp_path) as opened:
        assert list(opened.contents()) == ["a"]
