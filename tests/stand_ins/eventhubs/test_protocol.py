"""What the Python SDK never does: other clients' habits, expiring tokens, heartbeats, broken frames."""

from __future__ import annotations

import pytest

from everscore_local.eventhubs import codec, messages
from everscore_local.eventhubs.hub import MAX_READERS
from everscore_local.eventhubs.performatives import PROTOCOL_HEADER, Performative, frame
from tests.stand_ins.eventhubs.raw_client import RawClient, application_properties, sections
from tests.stand_ins.eventhubs.support import Server

BODY = codec.described(messages.Section.DATA, codec.binary(b"hello"))
ACCEPTED = 0x24
REJECTED = 0x25


def test_lists_cut_short_and_answers_by_link_name_as_the_javascript_sdk_does(server: Server) -> None:
    """Lists that end after their last value are read; $cbs and $management answer on the link that reply-to names."""
    with RawClient(server.port) as client:
        client.open()
        assert client.sign_in("raw") == 202
        client.attach_sender(1, "raw/$management")
        client.attach_receiver(2, "raw/$management", name="other")
        client.attach_receiver(3, "raw/$management", name="mine")
        client.attach_receiver(4, "raw/$management", name="another")
        properties = {"operation": "READ", "type": "com.microsoft:eventhub", "name": "RAW"}
        client.request(1, 1, "mine", properties, codec.NULL)
        answer = client.expect(Performative.TRANSFER)
        assert answer.fields[0] == 3
        found = sections(answer.payload)
        assert found[messages.Section.PROPERTIES][5] == 1001
        assert application_properties(answer.payload)["statusDescription"] == "OK"
        body = found[messages.Section.VALUE]
        assert (body["name"], body["partition_count"], body["partition_ids"]) == ("raw", 1, ["0"])
        client.attach_sender(5, f"amqps://127.0.0.1:{server.port}/RAW/Partitions/0")
        client.transfer(5, 2, BODY)
        assert client.expect(Performative.DISPOSITION).fields[1:5] == [
            2,
            2,
            True,
            codec.Described(ACCEPTED, []),
        ]
        client.attach_receiver(6, "raw/ConsumerGroups/$default/Partitions/0")
        received = client.expect(Performative.TRANSFER)
        assert received.fields[4] is True
        assert received.payload.endswith(BODY)


@pytest.mark.parametrize(
    ("message", "message_format"),
    [
        (b"no message", 0),
        (BODY, messages.BATCH_FORMAT),
        (BODY[:-1], 0),
        (codec.described(messages.Section.MESSAGE_ANNOTATIONS, codec.mapping(())), messages.BATCH_FORMAT),
    ],
)
def test_what_no_receiver_could_read_is_rejected(server: Server, message: bytes, message_format: int) -> None:
    """A send that is no message, or no batch of messages, is rejected; the link and the hub go on."""
    with RawClient(server.port) as client:
        client.open()
        client.sign_in("raw")
        client.attach_sender(1, "raw")
        client.transfer(1, 1, message, message_format=message_format)
        outcome = client.expect(Performative.DISPOSITION).fields[4]
        assert outcome.descriptor == REJECTED
        assert outcome.value[0].value[0] == "amqp:decode-error"
        client.transfer(1, 2, BODY[:3], more=True)
        client.transfer(1, 2, BODY[3:])
        assert client.expect(Performative.DISPOSITION).fields[4].descriptor == ACCEPTED


def test_without_a_token_nothing_is_let_in(server: Server) -> None:
    """Neither sending nor receiving nor properties work before a token was put, nor with a token for another hub."""
    with RawClient(server.port) as client:
        client.open(sasl=False)
        assert client.sign_in("other") == 202
        for attach, address in (
            (client.attach_sender, "raw"),
            (client.attach_receiver, "raw/ConsumerGroups/$default/Partitions/0"),
        ):
            attach(1, address)
            error = client.expect(Performative.DETACH).fields[2]
            assert error.value[0] == "amqp:unauthorized-access"
            assert len(error.value) == 3
        client.attach_sender(1, "$management")
        client.attach_receiver(2, "$management")
        client.request(
            1, 5, "", {"operation": "READ", "type": "com.microsoft:eventhub", "name": "raw"}, codec.NULL
        )
        answer = application_properties(client.expect(Performative.TRANSFER).payload)
        assert answer["status-code"] == 401


def test_a_link_ends_with_its_token(server: Server) -> None:
    """A link whose token expires is closed as unauthorised; an expired token is refused with 401."""
    with RawClient(server.port) as client:
        client.open()
        assert client.sign_in("expiry", seconds=2) == 202
        client.attach_sender(1, "expiry")
        error = client.expect(Performative.DETACH).fields[2]
        assert error.value[0] == "amqp:unauthorized-access"
        assert client.sign_in("expiry", seconds=-1, first_handle=50) == 401


def test_a_sixth_receiver_is_refused_until_one_leaves(server: Server) -> None:
    """Five receivers without owner level share a partition and group; the sixth is refused, and let in later."""
    address = "readers/ConsumerGroups/everscore/Partitions/0"
    with RawClient(server.port) as client:
        client.open()
        client.sign_in("readers")
        for handle in range(MAX_READERS):
            client.attach_receiver(handle, address)
        client.attach_receiver(MAX_READERS, address)
        assert client.expect(Performative.DETACH).fields[2].value[0] == "amqp:resource-limit-exceeded"
        client.send(Performative.DETACH, codec.uint(0), codec.TRUE)
        client.expect(Performative.DETACH)
        client.attach_receiver(MAX_READERS, address)
        client.attach_sender(20, "readers")
        client.transfer(20, 1, BODY)
        handles = {client.expect(Performative.TRANSFER).fields[0] for _ in range(MAX_READERS)}
        assert handles == set(range(1, MAX_READERS + 1))


def test_credit_bounds_what_is_sent(server: Server) -> None:
    """A receiver gets as many events as it gave credit for, and the next only for more credit."""
    with RawClient(server.port) as client:
        client.open()
        client.sign_in("readers")
        client.attach_sender(1, "readers")
        for number in range(5):
            client.transfer(1, number + 1, BODY)
        selector = codec.described(0, codec.string("amqp.annotation.x-opt-sequence-number > '0'"))
        filters = codec.mapping([(codec.symbol("apache.org:selector-filter:string"), selector)])
        client.attach_receiver(2, "readers/ConsumerGroups/everscore/Partitions/0", filters=filters, credit=2)
        first = [client.expect(Performative.TRANSFER) for _ in range(2)]
        client.send(
            Performative.FLOW,
            *(codec.uint(number) for number in (2, 5000, 0, 5000)),
            *(codec.NULL,) * 5,
            codec.TRUE,
        )
        echo = client.read()
        assert echo is not None
        assert echo.descriptor == Performative.FLOW
        client.flow(2, 1, delivery_count=2, received=2)
        third = client.expect(Performative.TRANSFER)
        assert [found.fields[1] for found in (*first, third)] == [
            0 + first[0].fields[1] + step for step in range(3)
        ]


@pytest.mark.parametrize(
    "selector",
    [
        "amqp.annotation.x-opt-offset > no offset",
        "amqp.annotation.x-opt-sequence-number > '@latest'",
        "anything",
    ],
)
def test_a_filter_that_means_nothing_is_refused(server: Server, selector: str) -> None:
    """A start position that cannot be read is refused with the service's words, never taken for another one."""
    with RawClient(server.port) as client:
        client.open()
        client.sign_in("raw")
        described = codec.described(0, codec.string(selector))
        filters = codec.mapping([(codec.symbol("apache.org:selector-filter:string"), described)])
        client.attach_receiver(1, "raw/ConsumerGroups/$default/Partitions/0", filters=filters)
        error = client.expect(Performative.DETACH).fields[2]
        assert error.value[0] == "com.microsoft:argument-error"
        assert "is not a valid amqp filter" in error.value[1]


def test_a_client_with_an_idle_time_out_gets_heartbeats(server: Server) -> None:
    """A client that would hang up after a quiet while gets empty frames in time."""
    with RawClient(server.port) as client:
        client.open(idle_ms=200)
        assert [client.read() for _ in range(3)] == [None] * 3


@pytest.mark.parametrize(
    ("data", "condition"),
    [
        (b"\x7f\xff\xff\xff\x02\x00\x00\x00", "amqp:connection:framing-error"),
        (frame(0, b"\x00\x53\x99\x45"), "amqp:decode-error"),
        (frame(0, b"\x00\x53\x12\xc0\x7f\x01"), "amqp:decode-error"),
        (frame(0, codec.composite(Performative.ATTACH, codec.NULL)), "amqp:invalid-field"),
        (frame(1, codec.composite(Performative.BEGIN, *[codec.NULL] * 9)), "amqp:decode-error"),
        (
            frame(0, codec.composite(Performative.FLOW, codec.uint(0), codec.int32(-1))),
            "amqp:invalid-field",
        ),
        (
            frame(0, codec.composite(Performative.TRANSFER, codec.uint(0), codec.ulong(1 << 40))),
            "amqp:invalid-field",
        ),
        (
            frame(
                0,
                codec.composite(
                    Performative.ATTACH, codec.string("n"), codec.uint(0), codec.FALSE, codec.uint(999)
                ),
            ),
            "amqp:invalid-field",
        ),
    ],
)
def test_a_broken_frame_closes_the_connection_with_a_reason(
    server: Server, data: bytes, condition: str
) -> None:
    """A frame that cannot be read, or that no answer could be made to, ends its own connection with the fitting error."""
    with RawClient(server.port) as client, RawClient(server.port) as other:
        client.open()
        other.open()
        client.socket.sendall(data)
        assert client.expect(Performative.CLOSE).fields[0].value[0] == condition
        with pytest.raises(EOFError):
            client.read()
        assert other.sign_in("raw") == 202


def test_another_protocol_gets_the_header_of_this_one(server: Server) -> None:
    """A client that speaks something else is told what is spoken here, and the log says what it sent."""
    with RawClient(server.port) as client:
        client.socket.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert client.exactly(4) == PROTOCOL_HEADER[:4]
        client.exactly(4)
        with pytest.raises((EOFError, ConnectionResetError)):
            client.exactly(1)
