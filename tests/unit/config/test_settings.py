"""Settings: each mistake a sentence with the setting, what was found and what is expected; never a secret."""

from __future__ import annotations

import inspect

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from everscore.config.connections import on_loopback, parts_of
from everscore.config.settings import Settings, load_settings, setting_names
from everscore.failures import SettingError
from everscore_local.endpoints import Names

SECRET = "c2VjcmV0LWtleQ/+x"
EVENTHUB = f"Endpoint=sb://ns.example.net/;SharedAccessKeyName=n;SharedAccessKey={SECRET}="
COSMOS = f"AccountEndpoint=https://acc.example.net:443/;AccountKey={SECRET}==;"
STORAGE = f"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey={SECRET}==;EndpointSuffix=example.net"
GOOD = {
    "EVENTHUB": EVENTHUB,
    "COSMOS": COSMOS,
    "STORAGE": STORAGE,
    **Names().settings(),
}


def refusal(**changes: str | None) -> str:
    """The message for a good environment with changes; None takes a setting away."""
    environment = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(SettingError) as raised:
        load_settings(environment)
    return str(raised.value)


def test_a_good_environment_is_taken_with_its_defaults() -> None:
    """Connections and names suffice; all tunables have defaults, and other variables are no hindrance."""
    settings = load_settings(GOOD | {"PATH": "/bin", "eventhub_name": "ignored"})
    assert settings.eventhub_name == "events"
    assert settings.retry_give_up_days == 7
    assert settings.brake_hours == 24
    assert settings.eventhub_connection().connection_string == EVENTHUB
    assert settings.cosmos_connection().connection_string == COSMOS
    assert settings.storage_connection().connection_string == STORAGE


def test_the_process_is_the_environment_by_default(monkeypatch) -> None:
    """Without an argument the variables of the process are read."""
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    assert load_settings().cosmos_database == "everscore"


@pytest.mark.parametrize("name", [name for name in GOOD if "_" in name])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_name_is_said(name, value) -> None:
    """A name that is not set, or set to nothing, is named."""
    assert refusal(**{name: value}).startswith(f"{name} is not set; expected")


@pytest.mark.parametrize(
    ("name", "value", "found", "expected"),
    [
        ("RETRY_QUEUE", "Events", "'Events'", "lower-case"),
        ("RETRY_QUEUE", "a--b", "'a--b'", "single hyphens"),
        ("RETRY_QUEUE", "abc\n", "'abc\\n'", "lower-case"),
        ("RETRY_QUEUE", "ab", "'ab'", "at least 3 characters"),
        ("RETRY_QUEUE", "a" * 57, "aaa", "at most 56 characters"),
        ("DEADLETTER_CONTAINER", "-dead", "'-dead'", "lower-case"),
        ("BATCH_DEADLINE_SECONDS", "soon", "'soon'", "valid number"),
        ("BATCH_DEADLINE_SECONDS", "0", "'0'", "greater than 0"),
        ("BATCH_DEADLINE_SECONDS", "nan", "'nan'", "finite number"),
        ("COSMOS_PARALLEL_BATCHES", "1.5", "'1.5'", "valid integer"),
        ("COSMOS_PARALLEL_BATCHES", "0", "'0'", "greater than or equal to 1"),
        ("RETRY_GIVE_UP_DAYS", "-1", "'-1'", "greater than 0"),
        ("BRAKE_HOURS", "-1", "'-1'", "greater than or equal to 0"),
        ("FAST_EVENT_DATES", "perhaps", "'perhaps'", "valid boolean"),
        ("DECODER", "module", "'module'", "module:function"),
        ("DECODER", "a b:c", "'a b:c'", "module:function"),
        ("DECODER", "a:b\n", "'a:b\\n'", "module:function"),
        ("BATCH_DEADLINE_SECONDS", "600", "600", "less than TIME_BUDGET_SECONDS"),
        ("EVENTHUB", "nonsense", "no '='", "Key=value"),
        ("EVENTHUB", "SharedAccessKey=k", "Endpoint=(nothing)", "sb://"),
        ("COSMOS", COSMOS + "garbage;", "no '='", "Key=value"),
        ("STORAGE", STORAGE + ";garbage", "no '='", "Key=value"),
        ("AzureWebJobsStorage", STORAGE + ";garbage", "no '='", "Key=value"),
        ("EVENTHUB", "Endpoint=https://h/;SharedAccessKey=k", "Endpoint=https://h/", "sb://"),
        ("EVENTHUB", "Endpoint=sb://h:9092;SharedAccessKey=k", "9092", "5672"),
        ("EVENTHUB", "Endpoint=sb://h:99999;SharedAccessKey=k", "sb://h:99999", "port"),
        ("EVENTHUB", "Endpoint=sb://h/;SharedAccessKeyName=n", "without a key", "SharedAccessKey="),
        ("EVENTHUB", EVENTHUB + ";UseDevelopmentEmulator=true", "ns.example.net", "this machine"),
        ("COSMOS", "AccountKey=k", "without both", "AccountEndpoint="),
        ("COSMOS", "AccountEndpoint=http://acc/;AccountKey=k", "http://", "https://"),
        ("COSMOS", "AccountEndpoint=acc;AccountKey=k", "acc", "https://"),
        ("STORAGE", "AccountKey=k", "names no account", "AccountName="),
        ("STORAGE", "AccountName=a;BlobEndpoint=http://h/a", "http://", "https://"),
        ("STORAGE", "AccountName=a;EndpointSuffix=x", "without a key", "AccountKey="),
        (
            "COSMOS",
            "AccountEndpoint=https://[::1/;AccountKey=k",
            "AccountEndpoint=https://",
            "https://<host>",
        ),
        ("COSMOS", "AccountEndpoint=https://a:b/;AccountKey=k", "https://a:b/", "https://<host>"),
        ("COSMOS__accountEndpoint", "acc", "acc", "begins with https://"),
        (
            "COSMOS__accountEndpoint",
            "http://acc.example.net/",
            "http://acc.example.net/",
            "any other machine",
        ),
        ("COSMOS__accountEndpoint", "https://:443/", "https://:443/", "begins with https://"),
        ("STORAGE__blobServiceUri", "https://acc/?sv=1&sig=x", "https://acc/ with more", "address alone"),
        ("STORAGE__blobServiceUri", "acc.blob.core.windows.net", "acc.blob.core.windows.net", "https://"),
        ("STORAGE__queueServiceUri", "ftp://acc/", "ftp://acc/", "https://"),
        ("STORAGE__accountName", "Acc", "'Acc'", "lower-case"),
        ("STORAGE__accountName", "ab", "'ab'", "3 to 24"),
        ("STORAGE__accountName", "acc\n", "'acc\\n'", "3 to 24"),
        ("STORAGE__accountName", "acc.blob.core.windows.net", "a text of 25 characters", "name alone"),
        ("EVENTHUB__fullyQualifiedNamespace", "sb://ns.example.net/", "sb://ns.example.net/", "host name"),
        ("EVENTHUB__fullyQualifiedNamespace", "ns.example.net/", "ns.example.net/", "slash"),
        ("EVENTHUB__fullyQualifiedNamespace", "ns.example.net:5671", "ns.example.net:5671", "port"),
        ("EVENTHUB__fullyQualifiedNamespace", "ns.example.net\n", "ns.example.net", "host name alone"),
        ("EVENTHUB__fullyQualifiedNamespace", "ns-.example.net", "ns-.example.net", "host name alone"),
        ("AzureWebJobsStorage__accountName", "Acc", "'Acc'", "lower-case"),
        ("AzureWebJobsStorage__blobServiceUri", "http://acc/", "http://acc/", "any other machine"),
    ],
)
def test_a_wrong_value_is_a_sentence(name, value, found, expected) -> None:
    """The sentence names the setting first, then what was found and what is expected."""
    _is_refused(name, value, found, expected)


@pytest.mark.parametrize(
    ("name", "value", "found", "expected"),
    [
        *(
            ("EVENTHUB__fullyQualifiedNamespace", given, repr(given), "host name alone")
            for given in ("ns.example.net ", " ns.example.net", "ns.example.net\t")
        ),
        ("COSMOS__accountEndpoint", "https://acc.net/ ", "'https://acc.net/ '", "without white space"),
        ("STORAGE__blobServiceUri", "https://a cc.net/", "https://a", "without white space"),
        ("EVENTHUB_NAME", "events ", "'events '", "without white space"),
        ("EVENTHUB_CONSUMER_GROUP", " $Default", "' $Default'", "without white space"),
        ("COSMOS_DATABASE", "everscore\n", "'everscore\\n'", "without white space"),
        ("COSMOS_CONTAINER", "events ", "'events '", "without white space"),
        ("COSMOS__clientId", "0-1 ", "'0-1 '", "without white space"),
    ],
)
def test_hole_48_white_space_in_a_name_is_shown(name, value, found, expected) -> None:
    """Hole 48: a value that differs from a good one by white space alone is refused, in quotation marks."""
    _is_refused(name, value, found, expected)


@pytest.mark.parametrize(
    ("name", "value", "found", "expected"),
    [
        ("EVENTHUB__fullyQualifiedNamespace", "ns..servicebus.windows.net", "ns..serv", "host name alone"),
        ("EVENTHUB", EVENTHUB.replace("ns.", "ns.."), "sb://ns..example.net", "empty part"),
        ("COSMOS__accountEndpoint", "https://acc..net/", "https://acc..net/", "empty part"),
    ],
)
def test_hole_48_a_host_name_has_no_empty_part(name, value, found, expected) -> None:
    """Hole 48: a host name with two dots in a row is refused, whichever setting it stands in."""
    _is_refused(name, value, found, expected)


def _is_refused(name: str, value: str, found: str, expected: str) -> None:
    message = refusal(**{name: value})
    assert message.startswith(f"{name} is ")
    assert found in message
    assert "; expected " in message
    assert expected in message
    assert message.endswith(".")
    assert "\n" not in message


def test_all_mistakes_come_at_once() -> None:
    """Several wrong settings are reported together."""
    message = refusal(COSMOS_DATABASE=None, BRAKE_HOURS="x", EVENTHUB="y")
    for name in ("COSMOS_DATABASE", "BRAKE_HOURS", "EVENTHUB"):
        assert f"{name} is" in message


@given(st.sampled_from(["EVENTHUB", "COSMOS", "STORAGE"]), st.data())
@example("EVENTHUB", None)
def test_no_message_shows_a_secret(name, data) -> None:
    """However a connection string is mangled, the key in it is in no message and no representation."""
    texts = [
        f"Endpoint=sb://h:x,SharedAccessKeyName=n,SharedAccessKey={SECRET}",
        f"AccountEndpoint=ftp://u:{SECRET}@h/,AccountKey={SECRET}",
        f"BlobEndpoint=ftp://h/?sig={SECRET};QueueEndpoint=x",
        f"Endpoint=h&SharedAccessKey={SECRET}",
        f"AccountName=x;BlobEndpoint=h?sig={SECRET}",
        f"\"{GOOD[name]}'",
    ]
    if data is not None:
        text = GOOD[name]
        at = data.draw(st.integers(0, len(text) - len(SECRET) - 5))
        cut = data.draw(st.sampled_from(["", ",", "x", "=", "\n", ";;"]))
        texts.append(text[:at] + cut + text[at + 1 :])
    for text in texts:
        settings = refused = None
        try:
            settings = load_settings(GOOD | {name: text})
        except SettingError as error:
            refused = error
        if settings is None:
            assert SECRET not in str(refused)
            assert refused is not None
            assert refused.__suppress_context__  # the cause shows its input
            continue
        assert SECRET not in repr(settings)
        for connection in (
            settings.eventhub_connection,
            settings.cosmos_connection,
            settings.storage_connection,
        ):
            assert SECRET not in repr(connection())


@pytest.mark.parametrize(
    "name",
    [
        "EVENTHUB__fullyQualifiedNamespace",
        "COSMOS__accountEndpoint",
        "STORAGE__accountName",
        "STORAGE__blobServiceUri",
        "STORAGE__queueServiceUri",
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__blobServiceUri",
        "AzureWebJobsStorage__queueServiceUri",
    ],
)
@pytest.mark.parametrize("text", [EVENTHUB, COSMOS, STORAGE, f"https://acc/?sig={SECRET}", SECRET * 5])
def test_a_secret_in_the_wrong_setting_is_not_shown(name, text) -> None:
    """A connection string, a signed address or a key where an identity's address belongs is refused unseen."""
    assert SECRET not in refusal(**{name: text})


def test_identities_take_the_place_of_keys() -> None:
    """Without connection strings the Functions suffixes are read, each with its client id."""
    settings = load_settings(
        {name: value for name, value in GOOD.items() if "_" in name}
        | {
            "EVENTHUB__fullyQualifiedNamespace": "ns.example.net",
            "COSMOS__accountEndpoint": "https://acc.example.net/",
            "COSMOS__clientId": "client",
            "STORAGE__accountName": "acc",
        }
    )
    assert settings.eventhub_connection().endpoints == {"namespace": "ns.example.net"}
    assert settings.cosmos_connection().client_id == "client"
    assert settings.storage_connection().endpoints == {
        "blob": "https://acc.blob.core.windows.net",
        "queue": "https://acc.queue.core.windows.net",
    }


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("EVENTHUB", Settings.eventhub_connection),
        ("COSMOS", Settings.cosmos_connection),
        ("STORAGE", Settings.storage_connection),
    ],
)
def test_a_connection_that_is_not_set_is_said_when_it_is_needed(name, method) -> None:
    """Neither a string nor an identity: the sentence names both ways."""
    settings = load_settings({key: value for key, value in GOOD.items() if key != name})
    with pytest.raises(SettingError, match=f"^{name} is not set; expected .*{name}__"):
        method(settings)


def test_development_storage_is_azurite() -> None:
    """UseDevelopmentStorage=true means Azurite on its usual ports, for blobs and queues."""
    connection = load_settings(GOOD | {"STORAGE": "UseDevelopmentStorage=true"}).storage_connection()
    parts = parts_of(connection.connection_string)
    assert parts["blobendpoint"] == "http://127.0.0.1:10000/devstoreaccount1"
    assert parts["queueendpoint"] == "http://127.0.0.1:10001/devstoreaccount1"


def test_emulators_on_this_machine_may_be_plain() -> None:
    """Http and the emulator's flag are accepted for a loopback address, by each of its names."""
    for host in ("localhost", "127.0.0.1", "[::1]"):
        load_settings(
            GOOD
            | {
                "EVENTHUB": f"Endpoint=sb://{host}:5672;SharedAccessKeyName=n;SharedAccessKey=k;UseDevelopmentEmulator=true;",
                "COSMOS": f"AccountEndpoint=http://{host}:8081/;AccountKey=k;",
                "STORAGE": f"AccountName=a;AccountKey=k;BlobEndpoint=http://{host}:1/a;QueueEndpoint=http://{host}:2/a",
                "EVENTHUB__fullyQualifiedNamespace": "localhost",
                "COSMOS__accountEndpoint": f"http://{host}:8081",
                "STORAGE__blobServiceUri": f"http://{host}:10000/devstoreaccount1",
                "AzureWebJobsStorage__blobServiceUri": f"http://{host}:10000/devstoreaccount1",
                "AzureWebJobsStorage__queueServiceUri": f"http://{host}:2/a",
            }
        )


ONE = "https://one.queue.core.windows.net"
OTHER = "AccountName=other;AccountKey=secret"
BY_IDENTITY = {name: value for name, value in GOOD.items() if name != "STORAGE"}


@pytest.mark.parametrize(
    ("own", "host"),
    [
        ({"STORAGE": "UseDevelopmentStorage=true"}, {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}),
        ({"STORAGE": "AccountName=one;AccountKey=k"}, {"AzureWebJobsStorage": "AccountKey=k;AccountName=one"}),
        ({"STORAGE__accountName": "one"}, {"AzureWebJobsStorage__queueServiceUri": ONE + "/"}),
        ({"STORAGE__blobServiceUri": "https://b/", "STORAGE__queueServiceUri": ONE}, {"AzureWebJobsStorage__accountName": "one"}),
        ({"STORAGE": f"AccountName=x;AccountKey=k;QueueEndpoint={ONE};BlobEndpoint=https://b"}, {}),
        ({}, {"AzureWebJobsStorage": OTHER}),
        ({"STORAGE__accountName": "one"}, {"AzureWebJobsStorage__queueServiceUri": "https://ONE.queue.core.windows.net:443"}),
        ({"STORAGE": "UseDevelopmentStorage=true"}, {"AzureWebJobsStorage__queueServiceUri": "http://localhost:10001/devstoreaccount1/"}),
    ],
)  # fmt: skip
def test_two_names_of_one_account_are_one_queue(own, host) -> None:
    """However they are written; and where one of the two is not set there is nothing to compare."""
    load_settings(BY_IDENTITY | own | host)


@pytest.mark.parametrize(
    ("own", "host", "found"),
    [
        ({"STORAGE__accountName": "one"}, {"AzureWebJobsStorage": OTHER}, "https://other.queue.core.windows.net"),
        ({"STORAGE": OTHER}, {"AzureWebJobsStorage__accountName": "one"}, ONE),
        ({"STORAGE": OTHER, "STORAGE__queueServiceUri": ONE}, {"AzureWebJobsStorage__accountName": "one"}, "https://other.queue.core.windows.net"),
        ({"STORAGE": OTHER}, {"AzureWebJobsStorage": OTHER + ";EndpointSuffix=core.chinacloudapi.cn"}, "other.queue.core.chinacloudapi.cn"),
        ({"STORAGE": OTHER}, {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}, "http://127.0.0.1:10001/devstoreaccount1"),
        ({"STORAGE__accountName": "one"}, {"AzureWebJobsStorage__blobServiceUri": "https://one.blob.core.windows.net"}, f"AzureWebJobsStorage__queueServiceUri is not set; expected the address of the retry queue, {ONE}"),
    ],
)  # fmt: skip
def test_the_retry_queue_is_where_its_trigger_listens(own, host, found) -> None:
    """The host reads the connection STORAGE from AzureWebJobsStorage: a queue in another account is refused."""
    with pytest.raises(SettingError) as caught:
        load_settings(BY_IDENTITY | own | host)
    said = str(caught.value)
    assert found in said
    assert "AzureWebJobsStorage" in said
    assert "secret" not in said


@pytest.mark.parametrize("path", ["", "events", "EVENTS"])
def test_a_hub_that_is_named_twice_is_one(path) -> None:
    """The name of a hub knows no case; most connection strings name none."""
    load_settings(GOOD | {"EVENTHUB": f"{EVENTHUB};EntityPath={path}"})


def test_the_connection_string_names_no_other_hub() -> None:
    """Else the trigger would read one hub, while claim checks, checkpoints and replays mean another."""
    said = refusal(EVENTHUB=f"{EVENTHUB};EntityPath=flights")
    assert said.startswith(
        "EVENTHUB names the hub flights by its EntityPath, EVENTHUB_NAME another; expected"
    )
    assert SECRET not in said


def test_every_setting_has_one_name() -> None:
    """Names are unique, and tunables that are numbers end in their unit or count something."""
    names = setting_names()
    assert len(set(names)) == len(names)
    assert {"EVENTHUB", "COSMOS__accountEndpoint", "RETRY_GIVE_UP_DAYS"} <= set(names)


@pytest.mark.parametrize(
    ("address", "local"),
    [
        ("http://127.0.0.1:8081/", True),
        ("https://localhost:8081/", True),
        ("https://LOCALHOST/", True),
        ("https://[::1]:8081/", True),
        ("https://127.0.0.2:8081/", True),
        ("https://acc.documents.azure.com:443/", False),
        ("https://127.0.0.1.example.net/", False),
        ("https://10.0.0.1:8081/", False),
        ("", False),
    ],
)
def test_hole_26_what_counts_as_this_machine(address: str, local: bool) -> None:
    """Hole 26: by name or by any number of the loopback network, and nothing that only looks like one."""
    assert on_loopback(address) is local


def test_requests_at_once_have_a_connection_each() -> None:
    """No more are allowed than the client has connections: one that waited for its own would look like a slow store."""
    most = inspect.signature(aiohttp.TCPConnector).parameters["limit"].default
    assert load_settings(GOOD | {"COSMOS_PARALLEL_BATCHES": str(most)}).cosmos_parallel_batches == most
    with pytest.raises(SettingError, match="COSMOS_PARALLEL_BATCHES"):
        load_settings(GOOD | {"COSMOS_PARALLEL_BATCHES": str(most + 1)})
