"""Keeps what stays on this machine away from proxies."""

from __future__ import annotations

from collections.abc import Mapping

HOSTS = ("localhost", "127.0.0.1", "::1", "[::1]")  # libraries differ in how they write the last
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_EXCEPTIONS = ("no_proxy", "NO_PROXY")


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to set, so that no program asks a proxy for an address of this machine.

    What is excepted from proxies already stays so. Nothing is set where no proxy is: macOS has a setting of
    its own for proxies, which Python's libraries read only while no such variable exists.
    """
    names = {name.lower() for name, value in environment.items() if value}
    if names.isdisjoint(_PROXIES):
        return {}
    # Python's libraries and curl prefer the name in lower case, others the other: each gets what either has.
    given = {name: environment[name] for name in _EXCEPTIONS if environment.get(name)}
    changes: dict[str, str] = {}
    for name in _EXCEPTIONS:
        value = given.get(name) or next(iter(given.values()), "")
        excepted = [host.strip() for host in value.split(",") if host.strip()]
        if "*" in excepted:  # all of them; only alone does it mean that
            changes[name] = "*"
        else:
            changes[name] = ",".join([*excepted, *(host for host in HOSTS if host not in excepted)])
    return changes
