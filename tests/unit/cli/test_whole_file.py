"""Files that commands write are there whole, or as they were."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from everscore_cli.whole_file import whole_file


def test_what_is_cut_off_leaves_the_old_file(tmp_path) -> None:
    """An export that is interrupted neither harms an earlier one of that name nor leaves a part behind."""
    file = tmp_path / "letters.jsonl"
    file.write_bytes(b"old\n")
    with pytest.raises(KeyboardInterrupt):
        _interrupted(file)
    assert file.read_bytes() == b"old\n"
    assert list(tmp_path.iterdir()) == [file]
    with whole_file(file) as target:
        target.write(b"new\n")
    assert file.read_bytes() == b"new\n"
    assert list(tmp_path.iterdir()) == [file]


def _interrupted(file: Path) -> None:
    with whole_file(file) as target:
        target.write(b"new, in part")
        raise KeyboardInterrupt


def test_links_and_pipes_stay_what_they_are(tmp_path) -> None:
    """A link's target is replaced and not the link; a pipe is written to."""
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with whole_file(tmp_path / "link") as target:
        target.write(b"1")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"1"
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    with whole_file(pipe) as target:
        target.write(b"2")
    reader.join()
    assert read == [b"2"]
    with pytest.raises(IsADirectoryError), whole_file(tmp_path):
        pass
