"""App settings as the real host and Core Tools read them.

``Values`` of local.settings.json become environment variables unless the environment has them already.
Names are case-insensitive, as on the real host.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import ConfigurationError
from .json_file import read_json

_log = logging.getLogger("Host")

LOCAL_SETTINGS = "local.settings.json"
_PLACEHOLDER = re.compile(r"%([^%]+)%")
# Core Tools accepts these words for a disabled function.
_TRUE = {"1", "true"}


class AppSettings(Mapping[str, str]):
    """The settings of one app: environment first, then ``Values`` of its local.settings.json."""

    def __init__(self, values: Mapping[str, str], environment: Mapping[str, str]) -> None:
        self._merged = {**values, **environment}
        self._told: set[str] = set()
        taken = {name.casefold() for name in environment}
        self._by_folded = {name.casefold(): value for name, value in environment.items()}
        for name, value in values.items():
            if name.casefold() not in taken:
                self._by_folded[name.casefold()] = value
            elif name not in environment:
                del self._merged[name]

    @classmethod
    def load(cls, app_dir: Path, file: Path | None, environment: Mapping[str, str]) -> "AppSettings":
        """Read the settings of an app.

        Args:
            app_dir: folder of the app; its local.settings.json may be missing.
            file: another file of that form, which must exist.
            environment: what wins over the file.

        Raises:
            ConfigurationError: the file is missing, not JSON, encrypted, or holds something else than texts.
        """
        path = file or app_dir / LOCAL_SETTINGS
        if not path.exists():
            if file is not None:
                raise ConfigurationError(f"The settings file {path} does not exist.")
            return cls({}, environment)
        return cls(_values_of(path), environment)

    def __getitem__(self, name: str) -> str:
        return self._by_folded[name.casefold()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._merged)

    def __len__(self) -> int:
        return len(self._merged)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.casefold() in self._by_folded

    def as_environment(self) -> dict[str, str]:
        """Return the environment of the worker process."""
        return dict(self._merged)

    def resolve(self, text: str, used_by: str) -> str:
        """Replace each ``%NAME%`` by the setting of that name.

        Raises:
            ConfigurationError: a setting is missing; the sentence names it and who asks for it.
        """

        def value_of(match: re.Match[str]) -> str:
            name = match[1]
            if not self.get(name):
                raise ConfigurationError(
                    f"The setting {name} is missing or empty: {used_by} asks for %{name}%. "
                    f"Add it to Values in {LOCAL_SETTINGS} or to the environment."
                )
            return self[name]

        return _PLACEHOLDER.sub(value_of, text)

    def connection(self, name: str, used_by: str) -> str:
        """Return the connection string that a binding names by its ``connection``.

        The real host looks for the name itself and for the name with AzureWebJobs before it.

        Raises:
            ConfigurationError: there is none, or only one by identity, which has no local meaning.
        """
        prefixed, plain = self.get(f"AzureWebJobs{name}"), self.get(name)
        if prefixed and plain and prefixed != plain and name not in self._told:
            self._told.add(name)
            _log.warning(
                "%s uses the setting AzureWebJobs%s (names ignore case) and not %s, which differs: "
                "so it is in Azure too",
                *(used_by, name, name),
            )
        if value := prefixed or plain:
            return value
        prefix = f"{name}__".casefold()
        found = next((key for key in self._merged if key.casefold().startswith(prefix)), None)
        if found is not None:
            raise ConfigurationError(
                f"The connection {name} of {used_by} is given by identity ({found}), which this local host "
                f"does not support: set {name} to a connection string."
            )
        raise ConfigurationError(
            f"The setting {name} is missing or empty: {used_by} uses it as its connection string. "
            f"Add it to Values in {LOCAL_SETTINGS} or to the environment."
        )

    def is_disabled(self, function: str) -> bool:
        """Tell whether ``AzureWebJobs.<function>.Disabled`` is set (or with ``__`` for the dots)."""
        names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs__{function}__Disabled")
        return any(self.get(name, "").strip().casefold() in _TRUE for name in names)


def _values_of(path: Path) -> dict[str, str]:
    try:
        document: Any = read_json(path)
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{path} must hold a JSON object with Values, found {type(document).__name__}."
        )
    if document.get("IsEncrypted"):
        raise ConfigurationError(f"{path} is encrypted (IsEncrypted): run 'func settings decrypt' first.")
    values = document.get("Values", {})
    if not isinstance(values, dict):
        raise ConfigurationError(
            f"Values in {path} must be an object of texts, found {type(values).__name__}."
        )
    for name, value in values.items():
        if not isinstance(value, str):
            raise ConfigurationError(
                f"The setting {name} in {path} must be a text in quotation marks, found {json.dumps(value)}."
            )
    return values
