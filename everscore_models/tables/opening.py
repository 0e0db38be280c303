"""Files of tables: opened by their names, with a sentence for whatever keeps them from being read."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from everscore_models.errors import TableError


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a file of text in UTF-8, with or without a byte order mark; .gz is unpacked.

    Raises:
        TableError: it cannot be read, also while it is.
    """
    try:
        with _open(path) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as error:
        raise TableError(f"{path} is not UTF-8: save the file as UTF-8.") from error
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise TableError(f"{path} is no whole gzip file: {str(error).lower().rstrip('.')}.") from error
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> TableError:
    """The sentence for a file that the system does not let be read."""
    return TableError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.")


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb"))
