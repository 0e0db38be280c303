"""What the server does not let in, and how Microsoft's SDK tells its user."""

from __future__ import annotations

import pytest
from azure.eventhub import EventData, EventHubProducerClient, TransportType
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError, EventHubError

from tests.stand_ins.eventhubs.support import KEY, Server, until

# azure-eventhub leaves the socket of a connection that failed to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def test_a_wrong_key_is_refused_by_name(server: Server) -> None:
    """A wrong key gives an authentication error with status 401, and the key is in no log."""
    wrong = server.connection.replace(KEY, "aVeryWrongKey")
    with (
        EventHubProducerClient.from_connection_string(
            wrong, eventhub_name="events", retry_total=0
        ) as producer,
        pytest.raises(AuthenticationError, match="401"),
    ):
        producer.send_event(EventData("x"))
    assert "InvalidSignature" in server.log
    assert "aVeryWrongKey" not in server.log


def test_a_missing_hub_is_named(server: Server) -> None:
    """Properties of, and sends to, a hub that is not there give not-found with the name and what there is."""
    with server.producer("nowhere") as producer:
        with pytest.raises(ConnectError, match=r"'nowhere' could not be found. Hubs here: .*events"):
            producer.get_eventhub_properties()
        with pytest.raises(EventHubError, match="'nowhere' could not be found"):
            producer.send_event(EventData("x"), partition_id="0")


def test_a_missing_group_is_named(server: Server) -> None:
    """Receiving for a consumer group that is not there gives not-found with its name."""
    with pytest.raises(ConnectionLostError, match="ConsumerGroups/nobody' could not be found"):
        server.receive(1, "key", group="nobody", partition_id="0")


def test_a_position_of_another_hub_is_refused(server: Server) -> None:
    """A checkpoint left over from an older hub gives the service's error instead of silently skipping events."""
    with pytest.raises(ConnectError, match=r"The supplied offset '123456789' is invalid. The last offset"):
        server.receive(1, "key", partition_id="0", starting_position="123456789")


def test_a_client_that_speaks_tls_gets_a_hint_in_the_log(server: Server) -> None:
    """Without UseDevelopmentEmulator=true the SDK speaks TLS: it fails, and the server's log says what to add."""
    secure = server.connection.replace("UseDevelopmentEmulator=true;", "")
    with (
        EventHubProducerClient.from_connection_string(
            secure,
            eventhub_name="events",
            retry_total=0,
            transport_type=TransportType.Amqp,
            custom_endpoint_address=f"sb://127.0.0.1:{server.port}",
        ) as producer,
        pytest.raises(EventHubError),
    ):
        producer.get_eventhub_properties()
    until(lambda: "must end in UseDevelopmentEmulator=true" in server.log)
