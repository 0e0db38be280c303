"""Clients of Microsoft's SDKs for what the settings name: by connection string, else by the user's identity.

One module a service, since each SDK takes a while to import. Their own retries are few: a person is waiting,
and the next try is theirs.
"""

from __future__ import annotations

RETRIES = 1
