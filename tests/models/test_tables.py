"""Tables of events: CSV, JSON lines and Parquet, each row as it would be in JSON."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from everscore.event.stream_manifest import StreamManifest
from everscore.score.input_form import Input, InputType
from everscore_models.errors import TableError
from everscore_models.tables.columns import types_of
from everscore_models.tables.reading import is_table, read_batches, read_rows


def table(path: Path, text: str) -> Path:
    """A file with this text."""
    path.write_text(text, encoding="utf-8")
    return path


def test_hole_34_each_cell_is_what_its_column_is(tmp_path: Path) -> None:
    """Hole 34: 00501 stays a text, NA a word, a long integer exact; 5 and 5.0 are one number, blanks are absent."""
    path = table(
        tmp_path / "a.csv", "zip,word,long,n,flag\n00501,NA,9007199254740993,5,true\n10001,,7,5.0,FALSE\n"
    )
    assert read_rows(path) == [
        {"zip": "00501", "word": "NA", "long": 9007199254740993, "n": 5, "flag": True},
        {"zip": "10001", "long": 7, "n": 5, "flag": False},
    ]


def test_hole_34_the_id_is_a_text_and_the_models_inputs_are_of_their_types(tmp_path: Path) -> None:
    """What stream.json and the manifests say goes before what the cells look like."""
    stream = StreamManifest.model_validate(
        {
            "schema": 2,
            "unwrap": "object",
            "id": "/key",
            "partitionKey": ["/key"],
            "time": {"pointer": "/at", "unit": "s"},
            "model": "m",
        }
    )
    inputs = [
        Input(name="code", pointer="/code", type=InputType.TEXT),
        Input(name="on", pointer="/on", type=InputType.BOOLEAN),
        Input(name="x", pointer="/x", type=InputType.NUMBER),
    ]
    path = table(tmp_path / "a.csv", "key,code,on,x,at\n1,7,1,1e3,1767225600\n2,8,0,no,1767225601\n")
    assert read_rows(path, types_of(inputs, stream)) == [
        {"key": "1", "code": "7", "on": True, "x": 1000, "at": 1767225600},
        {"key": "2", "code": "8", "on": False, "x": "no", "at": 1767225601},
    ]


def test_numbers_that_no_double_holds_stay_texts(tmp_path: Path) -> None:
    """The model refuses them by name; read as infinity they would be null in JSON, and nobody would know."""
    digits = "9" * 5_000
    path = table(tmp_path / "a.csv", f"x,y\n1e400,1\n-1e400,{digits}\n2.5,-0\n")
    assert read_rows(path) == [{"x": "1e400", "y": 1}, {"x": "-1e400", "y": digits}, {"x": 2.5, "y": 0}]


def test_the_whole_column_decides_however_long_it_is(tmp_path: Path) -> None:
    """One cell in the last batch that is no number makes texts of all."""
    path = table(tmp_path / "a.csv", "a\n" + "1\n" * 2_500 + "x\n")
    rows = read_rows(path)
    assert (rows[0], rows[-1], len(rows)) == ({"a": "1"}, {"a": "x"}, 2_501)
    assert [len(batch) for batch in read_batches(path, size=1_000)] == [1_000, 1_000, 501]


def test_quoted_cells_tabs_gzip_and_a_byte_order_mark(tmp_path: Path) -> None:
    """The forms in which spreadsheets and other programs write tables."""
    quoted = table(tmp_path / "a.csv", '\ufeffa,b\r\n"x, ""y""\r\nz",1\r\n\r\n')
    assert read_rows(quoted) == [{"a": 'x, "y"\r\nz', "b": 1}]
    tabs = tmp_path / "b.tsv.gz"
    tabs.write_bytes(gzip.compress(b"a\tb\n1\t2\n", mtime=0))
    assert read_rows(tabs) == [{"a": 1, "b": 2}]
    assert is_table(tabs)
    assert not is_table(tmp_path / "c.jsonl.gz")


def test_a_column_named_by_a_pointer_stands_there(tmp_path: Path) -> None:
    """Nested fields are columns as well; a slash within a name is part of it."""
    path = table(tmp_path / "a.csv", "/device/id,/device/at,in/out\na,1,2\nb,,3\n")
    assert read_rows(path) == [
        {"device": {"id": "a", "at": 1}, "in/out": 2},
        {"device": {"id": "b"}, "in/out": 3},
    ]


def test_parquet_is_read_as_json_has_it(tmp_path: Path) -> None:
    """Times are RFC 3339, decimals numbers, NaN null, lists and structures what they are."""
    path = tmp_path / "a.parquet"
    columns = {
        "id": ["00501", "2"],
        "at": pa.array([datetime(2026, 1, 1, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
        "day": [date(2026, 1, 2), None],
        "price": pa.array([Decimal("1.50"), Decimal("2.00")], pa.decimal128(9, 2)),
        "x": [float("nan"), 0.5],
        "n": pa.array([2**53 + 1, None], pa.int64()),
        "list": [[1, 2], []],
        "device": [{"a": 1}, {"a": None}],
    }
    pq.write_table(pa.table(columns), path)
    first = {
        "id": "00501",
        "at": "2026-01-01T00:00:00+00:00",
        "day": "2026-01-02",
        "price": 1.5,
        "x": None,
        "n": 2**53 + 1,
        "list": [1, 2],
        "device": {"a": 1},
    }
    second = dict.fromkeys(first) | {"id": "2", "price": 2, "x": 0.5, "list": [], "device": {"a": None}}
    assert read_rows(path) == [first, second]
    assert [len(batch) for batch in read_batches(path, size=1)] == [1, 1]


@pytest.mark.parametrize(
    ("value", "words"),
    [(b"\x00", "holds bytes"), (float("inf"), "holds an infinity")],
    ids=["bytes", "infinity"],
)
def test_parquet_with_what_json_has_not(tmp_path: Path, value: object, words: str) -> None:
    """The column is named."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [value]}), path)
    with pytest.raises(TableError, match=f"the column 'x' {words}"):
        read_rows(path)
