"""JSON files that a person wrote."""

import json
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """What a file in UTF-8 says; some editors begin it with a byte order mark.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or not UTF-8; of UTF-16 and UTF-32 the sentence says so.
    """
    raw = path.read_bytes()
    encoding = json.detect_encoding(raw)
    if not encoding.startswith("utf-8"):
        raise ValueError(f"it is {encoding[:6].upper()}; save it as UTF-8")
    return json.loads(raw.decode("utf-8-sig"))
