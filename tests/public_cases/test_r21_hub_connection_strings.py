"""R21: connection refused, or 'Invalid Endpoint', with the Event Hubs emulator.

Condition: the Kafka port 9092 in an AMQP string; 'Endpoint=localhost:6765' without sb://; the emulator's flag
left in a string for Azure, which switches encryption off.
Right: the string is checked before it is used, in one sentence that names the setting, what was found and
what is expected, and shows no key.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from everscore.config.settings import load_settings
from everscore.failures import SettingError
from tests.support.app import copy_app, worker
from tests.support.services import Services

KEY = "c2VjcmV0LWtleQ=="
WITH_KEY = f"SharedAccessKeyName=Root;SharedAccessKey={KEY}"

WRONG = {
    f"Endpoint=sb://localhost:9092;{WITH_KEY};UseDevelopmentEmulator=true;": "AMQP port",
    f"Endpoint=localhost:6765;{WITH_KEY};UseDevelopmentEmulator=true;": "sb://",
    f"Endpoint=sb://x.servicebus.windows.net/;{WITH_KEY};UseDevelopmentEmulator=true": "encryption off",
    "Endpoint=sb://x.servicebus.windows.net/": "SharedAccessKey",
    f"Endpoint=sb://;{WITH_KEY}": "host",
    f"Endpoint=sb://localhost:99999;{WITH_KEY}": "port",
    WITH_KEY: "sb://",
}
RIGHT = [
    f"Endpoint=sb://127.0.0.1:5672;{WITH_KEY};UseDevelopmentEmulator=true;",
    f"Endpoint=sb://localhost;{WITH_KEY};UseDevelopmentEmulator=true;",
    f"Endpoint=sb://x.servicebus.windows.net/;{WITH_KEY};EntityPath=events",
]


@pytest.mark.parametrize(("text", "expected"), WRONG.items(), ids=WRONG.values())
def test_a_wrong_string_is_one_sentence(services: Services, text: str, expected: str) -> None:
    """Each mistake names EVENTHUB and what is expected, in one line without the key."""
    with pytest.raises(SettingError) as caught:
        load_settings(services.settings(EVENTHUB=text))
    message = str(caught.value)
    assert message.startswith("EVENTHUB is ")
    assert expected in message
    assert KEY not in message
    assert "\n" not in message


@pytest.mark.parametrize("text", RIGHT, ids=["emulator", "no port", "Azure"])
def test_a_right_string_is_taken(services: Services, text: str) -> None:
    """Strings of the emulator and of Azure pass."""
    connection = load_settings(services.settings(EVENTHUB=text)).eventhub_connection()
    assert connection.connection_string == text


async def test_the_app_says_so_in_its_health(tmp_path: Path, services: Services) -> None:
    """The running app's health check shows the sentence."""
    wrong = next(iter(WRONG))
    async with worker(copy_app(tmp_path / "app"), services.settings(EVENTHUB=wrong)) as running:
        status, report = await running.details()
    assert status == 503
    assert "9092" in report["checks"]["settings"]["detail"]
