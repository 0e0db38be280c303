"""Where the parts of the local stack listen, and the settings that lead an app there."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass, fields

from everscore_local import azurite
from everscore_local.processes import StackError

# The key that every Cosmos DB emulator has, published in Microsoft's documentation. It opens nothing else.
COSMOS_KEY = "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw=="
EVENTHUBS_KEY_NAME = "RootManageSharedAccessKey"
EVENTHUBS_KEY = "SAS_KEY_VALUE"


@dataclass(frozen=True, slots=True)
class Ports:
    """One port a listener, all on 127.0.0.1. 0 = any free one."""

    eventhubs: int = 5672
    cosmos: int = 8081
    cosmos_control: int = 8082
    blob: int = 10000
    queue: int = 10001
    functions: int = 7071

    @classmethod
    def free(cls) -> Ports:
        """Whatever ports are free when the parts start."""
        return cls(0, 0, 0, 0, 0, 0)

    def taken(self, names: set[str]) -> dict[str, int]:
        """Those of the named ports that another program has."""
        wanted = {name: port for name, port in asdict(self).items() if name in names and port}
        return {name: port for name, port in wanted.items() if not _is_free(port)}


def port_names() -> list[str]:
    """The name of each port, in order."""
    return [field.name for field in fields(Ports)]


@dataclass(frozen=True, slots=True)
class Names:
    """What the deployment creates in the services, under which names."""

    hub: str = "events"
    group: str = "everscore"
    partitions: int = 4
    database: str = "everscore"
    container: str = "events"
    queue: str = "events-retry"
    dead_letters: str = "dead-letters"
    claim_checks: str = "claim-checks"

    def settings(self) -> dict[str, str]:
        """The app's settings of these names."""
        return {
            "EVENTHUB_NAME": self.hub,
            "EVENTHUB_CONSUMER_GROUP": self.group,
            "COSMOS_DATABASE": self.database,
            "COSMOS_CONTAINER": self.container,
            "RETRY_QUEUE": self.queue,
            "DEADLETTER_CONTAINER": self.dead_letters,
            "CLAIMCHECK_CONTAINER": self.claim_checks,
        }


def connection_settings(ports: Ports) -> dict[str, str]:
    """The app's settings of its connections, and of the host's own storage."""
    storage = azurite.connection_string(ports.blob, ports.queue)
    return {
        "EVENTHUB": (
            f"Endpoint=sb://127.0.0.1:{ports.eventhubs};SharedAccessKeyName={EVENTHUBS_KEY_NAME};"
            f"SharedAccessKey={EVENTHUBS_KEY};UseDevelopmentEmulator=true;"
        ),
        "COSMOS": f"AccountEndpoint=http://127.0.0.1:{ports.cosmos}/;AccountKey={COSMOS_KEY};",
        "STORAGE": storage,
        "AzureWebJobsStorage": storage,
    }


def check_free(ports: Ports, names: set[str]) -> None:
    """Refuse to start where another program has one of the ports.

    Raises:
        StackError: names each port and what to do.
    """
    taken = ports.taken(names)
    if not taken:
        return
    which = ", ".join(f"{port} ({name.replace('_', ' ')})" for name, port in taken.items())
    subject = "Ports" if len(taken) > 1 else "Port"
    verb = "are" if len(taken) > 1 else "is"
    raise StackError(
        f"{subject} {which} {verb} in use by another program: stop it, or start the stack with --free-ports."
    )


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
